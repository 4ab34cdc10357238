"""The gauge: what the process holds, at a moment when nothing is under way."""

import asyncio
import gc
import resource
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from pykka import ActorRegistry

__all__ = ["Reading", "read_gauge"]

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the process holds."""

    memory: int
    """Bytes of the resident set; where the system does not say, the most there ever were."""
    objects: int
    """Objects that the garbage collector knows, after a collection."""
    tasks: int
    """Tasks of the running loop."""
    threads: int
    """Threads of the process."""
    actors: int
    """Actors in pykka's registry."""


def read_gauge() -> Reading:
    """Collect garbage, and take a reading; on the loop whose tasks count."""
    gc.collect()
    return Reading(
        memory=_resident(),
        objects=len(gc.get_objects()),
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        actors=len(ActorRegistry.get_all()),
    )


def _resident() -> int:
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
