"""Two ways to see how much memory a process has taken, for the peers whose actors are weighed."""

import gc
import tracemalloc

import psutil


def traced_bytes() -> int:
    """Return the bytes that Python objects hold; `tracemalloc` must be on."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def resident_bytes() -> int:
    """Return the bytes of the process's resident set."""
    gc.collect()
    return psutil.Process().memory_info().rss
