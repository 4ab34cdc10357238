"""The policy of a bounded mailbox: how much it holds, and what becomes of a message for which there is no room.

It is data, and knows no mailbox.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum
from inspect import iscoroutinefunction
from typing import Any

from pygents.actors.checks import checked, checked_count, checked_limit

__all__ = ["MailboxPolicy", "Overflow"]


class Overflow(Enum):
    """What becomes of a message for which a mailbox has no room."""

    BACKPRESSURE = "backpressure"
    """Its sender waits until there is room."""
    REJECT = "reject"
    """Its sender gets a `MailboxFullError`."""
    DROP_NEWEST = "drop_newest"
    """It is dropped itself."""
    DROP_OLDEST = "drop_oldest"
    """It takes the place of the oldest one, which is dropped."""
    COALESCE = "coalesce"
    """It takes the place of one with the same key, also if there is room; if none has, as REJECT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxPolicy:
    """How much a mailbox holds, and what becomes of a message for which there is no room.

    Raises:
        TypeError: if a field is of the wrong type
        ValueError: if the capacity is below 1, the timeout not above zero, or the key missing or of no use

    """

    capacity: int
    """Messages that are queued at the most, apart from the one in hand and those that no bound holds for."""
    overflow: Overflow = Overflow.BACKPRESSURE
    """What becomes of one more."""
    timeout: float | None = 5.0
    """Seconds that a thread without an event loop waits for room under BACKPRESSURE; None for no limit."""
    key: Callable[[Any], Hashable] | None = None
    """For COALESCE: says of a message what it is about. Its values are compared while the mailbox is locked."""

    def __post_init__(self) -> None:
        checked_count("capacity", self.capacity, least=1)
        checked("overflow", self.overflow, Overflow)
        checked_limit("timeout", self.timeout)
        key: object = self.key
        if key is not None and (not callable(key) or iscoroutinefunction(key)):
            msg = f"key must be a plain function of a message, not {key!r}"
            raise TypeError(msg)
        if (self.overflow is Overflow.COALESCE) != (key is not None):
            verb = "needs a key" if key is None else "takes no key: only Overflow.COALESCE does"
            msg = f"{self.overflow} {verb}"
            raise ValueError(msg)
