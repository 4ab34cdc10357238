"""Deadlines: until when a message that was asked is worth handling.

It is the time at which its asker gives up, by the clock that they wait by: the one of their event loop, which may be
virtual, or that of their thread. So it has passed when they have gone, whatever clock the actor's own loop has; and it
may be looked at on any thread.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pykka import Future

__all__ = ["Deadline", "is_late"]


class Deadline:
    """The end of so many seconds from now.

    Args:
        seconds: that the asker waits
        blocks: whether it is a thread that waits, and not a task

    """

    __slots__ = ("_clock", "_time")

    def __init__(self, seconds: float, *, blocks: bool = False) -> None:
        loop = None if blocks else asyncio._get_running_loop()  # noqa: SLF001 (documented; None, not an error)
        self._clock = time.monotonic if loop is None else loop.time
        self._time = self._clock() + seconds

    @property
    def has_passed(self) -> bool:
        """Whether it is over: at the very moment, too, as for a timer."""
        return self._clock() >= self._time


def is_late(reply: "Future[Any]") -> bool:
    """Return whether whoever waits for a reply has given up before it is worked on."""
    deadline: Deadline | None = getattr(reply, "deadline", None)  # only ours have one
    return deadline is not None and deadline.has_passed
