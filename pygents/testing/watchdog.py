"""A watchdog for a loop that is stuck: code that runs without end, or waits for a lock that nobody will release.

Only a signal reaches such code, and Python handles signals on the main thread alone: elsewhere, and on systems without
``SIGALRM``, nobody watches. Whoever has set the alarm before, a test's time limit perhaps, gets it back; if theirs
comes first it is left alone.
"""

import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from pygents.testing.simulation_loop import SimulationLoop

__all__ = ["watched"]


@contextmanager
def watched(loop: SimulationLoop, seconds: float | None) -> Generator[None]:
    """Have a run of the loop end if one of its iterations takes longer than so many real seconds, up to twice that."""
    main = threading.current_thread() is threading.main_thread()
    if seconds is None or not main or not hasattr(signal, "setitimer"):
        yield
        return
    seen = -1

    def look(_number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if loop.steps == seen:
            loop.refuse(f"nothing has happened for {seconds} real seconds, {_where(frame)}", "It would be stuck here")
        seen = loop.steps

    with _alarm_set(look, seconds):
        yield


@contextmanager
def _alarm_set(look: Callable[[int, FrameType | None], object], seconds: float) -> Generator[None]:
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    former = signal.getsignal(signal.SIGALRM)
    if former is None or 0 < left <= 2 * seconds:
        yield
        return
    began = time.monotonic()
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        if left:
            soon = max(left - (time.monotonic() - began), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, soon, interval)


def _where(frame: FrameType | None) -> str:
    last = traceback.extract_stack(frame, limit=1)
    return "".join(f"in {one.name}, {one.filename}:{one.lineno}" for one in last)
