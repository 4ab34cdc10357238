"""Signals: a function in the place of a program's handlers of SIGINT and SIGTERM, for a time."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["in_place_of_signals"]


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

    def handle(_number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(function)

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in former:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
