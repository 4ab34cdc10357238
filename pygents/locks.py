"""An ``asyncio.Lock`` that holds between event loops and threads.

asyncio's own lock belongs to the first loop that waits for it and is safe on one thread only. A tool's lock is shared
by agents on any loop. This is still an ``asyncio.Lock`` to whoever looks, with the same methods.

Invariants, kept by ``_mutex``: the lock is handed over, never thrown open, while somebody waits, so it is fair (first
come, first served) and nobody slips in. A waiter that was handed the lock and cannot take it (cancelled, its loop gone)
hands it on. The mutex is held for a few steps only, never over an ``await``.
"""

import asyncio
import threading
from collections import deque
from typing import Literal

__all__ = ["CrossLoopLock", "check_lock"]


class _Waiter:
    __slots__ = ("future", "granted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.granted = False

    def resolve(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class CrossLoopLock(asyncio.Lock):
    """A fair mutual-exclusion lock for tasks on any event loop of the process."""

    def __init__(self) -> None:
        super().__init__()
        self._mutex = threading.Lock()
        self._held = False
        self._queue: deque[_Waiter] = deque()

    def __repr__(self) -> str:
        state = "locked" if self._held else "unlocked"
        return f"<{type(self).__name__} {state}, {len(self._queue)} waiting>"

    def locked(self) -> bool:
        """Return whether somebody holds the lock."""
        return self._held

    async def acquire(self) -> Literal[True]:
        """Wait until the lock is ours."""
        if self._take_open():
            return True
        waiter = _Waiter(asyncio.get_running_loop())  # not under the mutex: it may start the garbage collector
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            self._queue.append(waiter)
        try:
            await waiter.future
        except BaseException:
            self._give_up(waiter)
            raise
        return True

    def _take_open(self) -> bool:
        with self._mutex:
            taken, self._held = not self._held, True
        return taken

    def release(self) -> None:
        """Hand the lock to the one who has waited longest, or open it; from any thread.

        Raises:
            RuntimeError: if nobody holds it

        """
        with self._mutex:
            if not self._held:
                msg = "Lock is not acquired."
                raise RuntimeError(msg)
            self._hand_over()

    def _give_up(self, waiter: _Waiter) -> None:
        with self._mutex:
            if waiter.granted:
                self._hand_over()
            elif waiter in self._queue:
                self._queue.remove(waiter)

    def _hand_over(self) -> None:
        while self._queue:
            waiter = self._queue.popleft()
            waiter.granted = True
            try:
                waiter.loop.call_soon_threadsafe(waiter.resolve)
            except RuntimeError:  # its loop is closed: the next one
                waiter.granted = False
                continue
            return
        self._held = False


def check_lock(wanted: object) -> None:
    """Check what a decorator was given as `lock`.

    Raises:
        TypeError: if it is not True or False

    """
    if not isinstance(wanted, bool):
        msg = f"lock must be True or False, not {wanted!r}: the decorator makes the lock"
        raise TypeError(msg)
