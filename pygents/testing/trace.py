"""The trace of a simulation: what has happened in it, as text that is the same in every process.

What differs from one process to another is left out, or replaced: URNs and other UUIDs, addresses, where a file is, the
numbers of asyncio's tasks. Sets are shown in order, as far as they are not inside something of a user's own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from reprlib import Repr
from typing import override

from pygents.actors.answers import show
from pygents.actors.dead_letters import DeadLetter
from pygents.actors.lifecycle import Event

__all__ = ["Record", "Tracer", "stable"]

_UNSTABLE = re.compile(
    r"(?P<address>\b0x[0-9a-fA-F]{6,})"
    r"|(?P<uuid>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)"
    r"|(?P<task>\bTask-\d+\b)"
    r"|(?<![\w.\-/\\])(?:[A-Za-z]:)?[\\/](?:[^\s'\"<>|:*?\\/]+[\\/])*(?P<file>[^\s'\"<>|:*?\\/]+\.py\b)"
)
_LEFT_OUT = {"path", "at", "recipient"}  # said already, or different each time


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that has happened in a simulation."""

    at: float
    """When, in virtual seconds."""
    path: str
    """The path of the actor that it happened to."""
    kind: str
    """What it is: ``"message"``, which is about to be handled, ``"fault"``, or the name of an event."""
    text: str
    """What the message, the fault or the event is, as its ``repr``."""
    sender: str | None = None
    """The path of the actor that sent the message, if one did."""

    @override
    def __str__(self) -> str:
        sent = "" if self.sender is None else f" from {self.sender}"
        return f"{self.at:.6f} {self.path} {self.kind} {self.text}{sent}".rstrip()


class Tracer:
    """Writes the trace, until it is closed.

    Args:
        clock: gives the virtual seconds

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._records: list[Record] = []
        self._closed = False

    @property
    def records(self) -> tuple[Record, ...]:
        """What has been written."""
        return tuple(self._records)

    def close(self) -> None:
        """Write nothing more: the order in which asyncio ends what is left is nobody's."""
        self._closed = True

    def note_message(self, path: str, message: object, sender: str | None) -> None:
        """Write that a message is about to be handled."""
        self._write(path, "message", stable(message), sender)

    def note_fault(self, path: str, text: str) -> None:
        """Write that a fault befalls an actor."""
        self._write(path, "fault", text)

    def note_event(self, event: Event) -> None:
        """Write what the system tells of its actors."""
        self._write(event.path, type(event).__name__, _fields_of(event))

    def _write(self, path: str, kind: str, text: str, sender: str | None = None) -> None:
        if not self._closed:
            self._records.append(Record(at=self._clock(), path=path, kind=kind, text=text, sender=sender))


class _Repr(Repr):
    """Shows sets in order, and cuts what is long."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 10
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 100
        self.maxstring = self.maxlong = self.maxother = 1_000


_repr = _Repr()


def stable(value: object) -> str:
    """Return the ``repr`` of something, without what differs from one process to another."""
    try:
        text = _repr.repr(value)
    except BaseException:  # noqa: BLE001 (a user's own, or a class that is named like one of Python's)
        text = show(value)
    return _UNSTABLE.sub(_replace, text)


def _replace(found: re.Match[str]) -> str:
    kind = found.lastgroup
    return found["file"] if kind == "file" else {"address": "0x", "uuid": "uuid", "task": "Task"}[str(kind)]


def _fields_of(record: Event | DeadLetter) -> str:
    shown: list[str] = []
    for field in fields(record):
        value: object = getattr(record, field.name)
        if isinstance(value, DeadLetter):
            shown.append(_fields_of(value))
        elif field.name not in _LEFT_OUT and not field.name.startswith("_"):
            shown.append(f"{field.name}={stable(value)}")
    return ", ".join(shown)
