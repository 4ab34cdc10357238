"""ShutdownReport: what a shutdown did not let finish."""

from dataclasses import dataclass

from pygents.actors.dead_letters import DeadLetter

__all__ = ["ShutdownReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownReport:
    """What a shutdown did not let finish."""

    cut: tuple[DeadLetter, ...]
    """The messages that were queued, or being handled, when their actor was stopped."""
    abandoned: tuple[str, ...]
    """The paths of the actors whose handlers ignored their cancellation."""
