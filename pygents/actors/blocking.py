"""Blocking: awaiting a future that can only block, on a thread that ends soon after nobody waits any more.

Not on the loop's default executor: its threads are joined when the loop ends, so one future that is never set would
keep ``asyncio.run`` from returning.
"""

# pyright: reportPrivateUsage=false

import threading
import time
from typing import TYPE_CHECKING, Any

from pykka import Future, ThreadingFuture, Timeout

if TYPE_CHECKING:
    from pygents.actors.reply import Reply

__all__ = ["wait_on_thread"]

_POLL = 0.1  # seconds after which the thread looks whether anybody still waits


async def wait_on_thread[S](future: Future[S], result: "Reply[S]") -> S:
    """Wait for a future that can only block; a fresh reply brings its outcome here."""
    wanted = threading.Event()
    wanted.set()
    threading.Thread(target=_block_for, args=(future, result, wanted), name="pygents-wait", daemon=True).start()
    try:
        return await result
    finally:
        wanted.clear()


def _block_for[S](future: Future[S], result: "Reply[S]", wanted: threading.Event) -> None:
    try:
        result.set(_poll(future, wanted) if _is_plain(future) else future.get())
    except BaseException as error:  # noqa: BLE001 (handed to the one who waits)
        result.fail(error)


def _is_plain(future: Future[Any]) -> bool:
    """Tell whether asking for the value again and again has no effect: a hook would run each time."""
    return isinstance(future, ThreadingFuture) and future._get_hook is None


def _poll[S](future: Future[S], wanted: threading.Event) -> S:
    while wanted.is_set():
        started = time.monotonic()
        try:
            return future.get(timeout=_POLL)
        except Timeout:
            if time.monotonic() - started < _POLL:  # not ours: the future's own outcome
                raise
    raise Timeout
