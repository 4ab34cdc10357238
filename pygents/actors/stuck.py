"""Stuck: what an event loop is stuck in: whose code it is, with what in hand, and where in it.

Another thread looks at the loop's, which may go on at any moment. With the global lock that is safe, since each look is
one step: ``asyncio.current_task(loop)`` is an entry of a table (from Python 3.14 on, all threads are halted for it), a
context gives its values to anybody, and frames can be followed outwards. What is seen need not belong together then,
so whoever asks has to make sure that the loop has not gone on meanwhile.

Without the lock Python promises none of that, so there nothing is looked at.
"""

import asyncio
import sys
import traceback
from collections.abc import Iterator
from contextvars import Context
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, cast

from pygents.actors.child import Child
from pygents.actors.envelope import sender
from pygents.actors.running import home, running

if TYPE_CHECKING:
    from pygents.actors.system import ActorSystem

__all__ = ["Stuck", "find_stuck"]

_OURS = {"pygents", "pykka"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """What a loop is stuck in."""

    path: str = ""
    """Of the actor whose code it is, if it is one of the system's."""
    turn: object = None
    """What that has in hand."""
    calls: tuple[tuple[FrameType, int], ...] = ()
    """The calls and their lines, the innermost first; none if they cannot be known."""

    def is_same_as(self, other: "Stuck") -> bool:
        """Return whether that was the same actor with the same turn."""
        return self.path == other.path and self.turn is other.turn

    def without_calls(self) -> "Stuck":
        """Return what can be kept: calls keep alive all that they use."""
        return replace(self, calls=())

    def stack(self) -> str:
        """Return the calls as in a traceback, without ours around the user's code; this reads files."""
        calls = list(self.calls)
        while len(calls) > 1 and _module(calls[-1][0]).partition(".")[0] in _OURS:
            calls.pop()
        return "".join(traceback.StackSummary.extract(reversed(calls)).format())


def find_stuck(system: "ActorSystem", thread_id: int | None) -> Stuck:
    """Return what the loop of a system is stuck in, which this thread runs."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return Stuck()
    frame = None if thread_id is None else sys._current_frames().get(thread_id)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    calls = tuple(_calls(frame))
    task = asyncio.current_task(system.loop)
    context = None if task is None else task.get_context()
    path = None if context is None or context.get(home) is not system.news else context.get(sender)
    if context is None or path is None:
        return Stuck(calls=calls)
    return Stuck(path=path, turn=_turn(system, path, context), calls=calls)


def _turn(system: "ActorSystem", path: str, context: Context) -> object:
    who = context.get(running)
    turn = cast("tuple[object, object]", who)[1] if isinstance(who, tuple) else None
    if turn is not None:
        return turn
    child = system.root.find(path.split("/"))
    in_hand = child.inbox.in_hand if isinstance(child, Child) else None
    return None if in_hand is None else in_hand.message


def _calls(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    while frame is not None and _module(frame) != "asyncio.events":  # where a callback of the loop is run
        yield frame, frame.f_lineno
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    name: object = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""
