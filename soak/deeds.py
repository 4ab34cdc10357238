"""What a message may ask of whoever gets it, and how often chance asks for it. Data, which knows nobody."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pygents.actors.supervision import Directive

__all__ = ["DECIDE", "Deed", "EscalatedError", "GaveUpError", "Task", "for_actors", "for_agents", "for_threads"]


class Deed(StrEnum):
    """What a handler does."""

    WORK = "work"
    WAIT = "wait"
    STREAM = "stream"
    PASS_ON = "pass on"  # noqa: S105 (no password)
    HELP = "help"
    RAISE = "raise"
    SKIP = "skip"
    STUMBLE = "stumble"
    POISON = "poison"
    HANG = "hang"
    LINGER = "linger"
    CANCEL = "cancel"
    EXIT = "exit"
    ESCALATE = "escalate"
    GIVE_UP = "give up"
    QUIT = "quit"
    DENIED = "denied"
    NONSENSE = "nonsense"


class EscalatedError(Exception):
    """Raised by ESCALATE: the whole team fails."""


class GaveUpError(Exception):
    """Raised by GIVE_UP: its actor ends for good."""


DECIDE: Mapping[type[BaseException], Directive] = {
    KeyError: Directive.RESUME,
    ConnectionError: Directive.RETRY,
    EscalatedError: Directive.ESCALATE,
    GaveUpError: Directive.STOP,
}
"""What a team's supervisor does about failures; RESTART if nothing is said."""


@dataclass(slots=True, eq=False)
class Task:
    """A message."""

    number: int
    """No other message has it."""
    deed: Deed
    """What is to be done."""
    asked: bool
    """Whether somebody waits for the answer."""


_OFTEN = {Deed.WORK: 200, Deed.WAIT: 20}
_FAILURES = {
    Deed.RAISE: 8,
    Deed.SKIP: 8,
    Deed.STUMBLE: 8,
    Deed.POISON: 4,
    Deed.HANG: 4,
    Deed.CANCEL: 4,
    Deed.EXIT: 2,
    Deed.GIVE_UP: 2,
}
for_threads = _OFTEN | _FAILURES
"""Weights of the deeds of actors that have a thread of their own."""
for_actors = for_threads | {Deed.PASS_ON: 20, Deed.HELP: 4, Deed.LINGER: 2, Deed.ESCALATE: 1, Deed.QUIT: 4}
"""Weights of the deeds of actors."""
for_agents = for_actors | {Deed.STREAM: 20, Deed.DENIED: 8, Deed.NONSENSE: 4}
"""Weights of the deeds of agents."""
