"""What the benchmark runs on, without anything that names the machine or its owner."""

import os
import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Describe the machine."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Name the processor, which on Linux the kernel knows and the standard library doesn't."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
