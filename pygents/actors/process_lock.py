"""ProcessLock: a lock that belongs to the process in which it was made.

In a forked child the threads of the parent do not exist, and one of them may have held the lock at the fork: whoever
wants it there is told so, and does not wait for ever.
"""

import os
import threading
from types import TracebackType

from pykka import ActorDeadError

__all__ = ["ProcessLock"]


class ProcessLock:
    """A re-entrant lock for ``with``, that is refused in a forked child.

    Args:
        what: what it guards, for the error

    """

    __slots__ = ("_lock", "_process", "_what")

    def __init__(self, what: str) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._what = what

    def __enter__(self) -> None:
        self.check()
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    @property
    def is_parents(self) -> bool:
        """Whether this is a forked child of the process that it belongs to."""
        return os.getpid() != self._process

    def check(self) -> None:
        """Go on, unless this is a forked child.

        Raises:
            ActorDeadError: if it is

        """
        if self.is_parents:
            msg = f"{self._what} is of the process that this one was forked from, and dead here: make a new one"
            raise ActorDeadError(msg)
