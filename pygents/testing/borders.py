"""The borders of a simulation: whatever would block its thread, or leave it, is an error there.

Python tells an *audit hook* of such calls, and a call ends in what the hook raises. A hook is for the process and for
good: this one is installed when the first simulation runs, and does nothing unless one does, on this very thread. What
no hook is told of, a loop without end or a wait for a lock, is for the watchdog. ``time.sleep`` tells them from Python
3.13 on; until then there is another function in its place, which whoever has imported it by name does not see.
"""

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, SupportsIndex

from pygents.testing.simulation_loop import STAND_IN, SimulationLoop

__all__ = ["closed_borders"]

_SLEEP_IS_TOLD = sys.version_info >= (3, 13)
_LEAVING = {
    "builtins.input": STAND_IN,
    "os.exec": STAND_IN,
    "os.fork": STAND_IN,
    "os.forkpty": STAND_IN,
    "os.posix_spawn": STAND_IN,
    "os.spawn": STAND_IN,
    "os.startfile": STAND_IN,
    "os.system": STAND_IN,
    "pty.spawn": STAND_IN,
    "socket.bind": STAND_IN,
    "socket.connect": STAND_IN,
    "socket.getaddrinfo": STAND_IN,
    "socket.gethostbyaddr": STAND_IN,
    "socket.gethostbyname": STAND_IN,
    "socket.getnameinfo": STAND_IN,
    "socket.sendmsg": STAND_IN,
    "socket.sendto": STAND_IN,
    "subprocess.Popen": STAND_IN,
    "time.sleep": "Use `await asyncio.sleep()`",
    "_thread.start_joinable_thread": STAND_IN,
    "_thread.start_new_thread": STAND_IN,
}


class _Hook:
    """Told by Python of every call of that kind, in the whole process, for good.

    In C, as long as no simulation runs: it costs next to nothing then, and takes no frame, which may be the last one.
    """

    __call__: Any = staticmethod(dict[object, object]().get)


_hook: Any = _Hook()
_installed = False


@contextmanager
def closed_borders(loop: SimulationLoop) -> Generator[None]:
    """Have a run of this loop end if something on this thread leaves it."""
    global _installed  # noqa: PLW0603 (one per process: there is no way back)
    here, sleep, nothing = threading.get_ident(), time.sleep, type(_hook).__call__

    def look(event: str, _arguments: object) -> None:
        if event in _LEAVING and threading.get_ident() == here:
            loop.refuse(f"{event.removeprefix('builtins.')} was called", _LEAVING[event])

    def tell_and_sleep(seconds: float | SupportsIndex, /) -> None:
        look("time.sleep", (seconds,))
        sleep(seconds)

    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    try:
        type(_hook).__call__ = staticmethod(look)
        if not _SLEEP_IS_TOLD and getattr(sleep, "__self__", None) is time:  # else it is somebody's stand-in
            time.sleep = tell_and_sleep
        yield
    finally:
        time.sleep = sleep
        type(_hook).__call__ = staticmethod(nothing)
