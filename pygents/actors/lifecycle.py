"""What the runtime tells about itself: frozen records, each with the path of the actor and the time."""

from dataclasses import dataclass

from pygents.actors.dead_letters import DeadLetter
from pygents.actors.watch import Ended

__all__ = [
    "ActorFailed",
    "ActorRestarted",
    "ActorStarted",
    "ActorStopped",
    "DeadLetterRecorded",
    "Event",
    "LoopStalled",
    "SupervisorFailed",
    "TurnCompleted",
    "TurnFailed",
    "TurnStarted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to an actor."""

    path: str
    """The actor's path."""
    at: float
    """When, in seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStarted(Event):
    """An actor's ``on_start`` has run for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorFailed(Event):
    """A handler, or one of the ``on_*`` methods, has raised."""

    failure: BaseException
    """What it raised."""
    message: object
    """The message that was being handled, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRestarted(Event):
    """A fresh actor has started behind the same ref."""

    failure: BaseException | None
    """What the one before it, or a sibling, failed with."""
    restarts: int
    """How many times that has happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStopped(Event):
    """An actor has ended for good."""

    how: Ended
    """How it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorFailed(Event):
    """A supervisor has put up with as many restarts as it may, or a failure was escalated to it."""

    failure: BaseException
    """The failure that its own supervisor gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRecorded(Event):
    """A message will be handled by nobody; the path is its recipient's."""

    letter: DeadLetter
    """The message, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStalled(Event):
    """The system's event loop stands still, and so does all that lives on it; the path is empty if it is none's fault.

    On a free-threaded Python only the seconds are known.
    """

    turn: object
    """The turn whose code is stuck, or else the message that its actor has in hand; None if there is none."""
    seconds: float
    """How long that has lasted so far, at the least."""
    stack: str
    """Where it is stuck, as in a traceback: the innermost call is the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStarted(Event):
    """An agent begins a turn; the path is the agent's."""

    turn: object
    """The turn."""
    attempt: int
    """Which run of it this is, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnCompleted(Event):
    """A turn has ended well, with all that follows from it."""

    turn: object
    """The turn, with its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFailed(Event):
    """A run of a turn has ended in an exception: it failed, was denied, or was cut."""

    turn: object
    """The turn, with its stop reason."""
    failure: BaseException
    """What it ended in."""
