"""Census: what is in a mailbox and what has gone from it, at one moment. It knows nothing of what the items are."""

from typing import NamedTuple

__all__ = ["Census"]


class Census[T](NamedTuple):
    """What is in a mailbox, and how much has gone, at one moment."""

    gone: int
    """Items that were taken and are not in hand any more."""
    failed: int
    """Of these, the ones that have failed."""
    lost: int
    """Of these, the ones that nobody will handle."""
    in_hand: T | None
    """The item taken last."""
    queued: list[T]
    """Those that wait."""
    cleared: list[T]
    """Those that somebody has cleared, and not counted yet."""
