"""Signals: functions in the place of a program's handlers of SIGINT and SIGTERM, for a time.

Signals are the process's: while several functions are to be called, all are, and the one that leaves last puts the
former handlers back. Everything here runs on the main thread, so no lock is needed.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["in_place_of_signals"]

_NUMBERS = signal.SIGINT, signal.SIGTERM

_called: list[Callable[[], object]] = []
_former: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}


@contextmanager
def in_place_of_signals(function: Callable[[], object]) -> Generator[None]:
    """Have a function called on the running loop at SIGINT and SIGTERM; afterwards the former handlers are back.

    Not ``loop.add_signal_handler``, which forgets what was there before.

    Raises:
        RuntimeError: if this is not the main thread

    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("signals are handled on the main thread alone")
    loop = asyncio.get_running_loop()

    def call() -> None:
        loop.call_soon_threadsafe(function)

    if not _called:
        _former.update((number, signal.getsignal(number)) for number in _NUMBERS)
    _called.append(call)
    try:
        for number in _NUMBERS:
            signal.signal(number, _call_all)
        yield
    finally:
        _called.remove(call)
        if not _called:
            for number, handler in _former.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _call_all(_number: int, _frame: object) -> None:
    for call in _called:
        call()
