"""Statistics: how many messages were accepted, and what has become of them."""

from dataclasses import dataclass
from typing import Self

__all__ = ["Statistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts of users' messages; `accepted` is the sum of the others, always."""

    accepted: int = 0
    """Those that a mailbox has taken."""
    handled: int = 0
    """Those whose handler has returned."""
    answered_with_error: int = 0
    """Those whose asker got an exception."""
    dead_lettered: int = 0
    """Those that nobody will handle, or that failed and nobody asked."""
    queued: int = 0
    """Those that wait, or are in hand."""

    def __add__(self, other: Self) -> "Statistics":
        return Statistics(
            accepted=self.accepted + other.accepted,
            handled=self.handled + other.handled,
            answered_with_error=self.answered_with_error + other.answered_with_error,
            dead_lettered=self.dead_lettered + other.dead_lettered,
            queued=self.queued + other.queued,
        )
