"""Comeback: when a child whose actor has failed starts again: after its backoff, or when its supervisor revives it.

Invariants:

* ``failure``, ``due`` and who waits for the start change under the system's lock.
* The timer of a backoff is touched on the child's loop alone. A revival ends the backoff there, before anything else.
"""

import asyncio
from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, Any

from pygents.actors.child_spec import Order, Phase
from pygents.actors.reply import Reply
from pygents.actors.supervision import BackoffClock, RestartWindow, Supervision

if TYPE_CHECKING:
    from pygents.actors.child import Child

__all__ = ["Comeback", "revive"]


class Comeback:
    """What one child waits for before it starts again."""

    __slots__ = ("_backoff", "_timer", "_tried", "_window", "due", "failure")

    def __init__(self, own: Supervision | None) -> None:
        self.due = False
        """Whether the next actor may start, once no backoff is on."""
        self.failure: BaseException | None = None
        """What the next actor is told."""
        self._window = None if own is None else RestartWindow(own.max_restarts, own.within)
        self._backoff: BackoffClock | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tried: Reply[None] | None = None

    @property
    def rests(self) -> bool:
        """Whether a backoff is on."""
        return self._timer is not None

    def admits(self, now: float) -> bool | None:
        """Count a restart in the window for this child alone; None if it has none."""
        return None if self._window is None else self._window.admits(now)

    def next_delay(self, policy: Supervision, now: float) -> float:
        """Return the seconds to wait before the next restart or retry."""
        self._backoff = self._backoff or BackoffClock(policy.backoff)
        return self._backoff.next_delay(now, random())  # noqa: S311 (jitter is no secret)

    def rest(self, loop: asyncio.AbstractEventLoop, delay: float, over: Callable[[], object]) -> None:
        """Begin a backoff; `over` is called at its end."""

        def end() -> None:
            self._timer = None
            over()

        self._timer = loop.call_later(delay, end)

    def stop_resting(self) -> None:
        """End a backoff early, if one is on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def revive(self, failure: BaseException | None) -> Reply[None]:
        """Let the child start now; what is returned is set when it has tried, or will not."""
        tried = self._tried = Reply[None]()
        self.failure, self.due = failure, True
        return tried

    @property
    def is_revival(self) -> bool:
        """Whether somebody waits for the start."""
        return self._tried is not None

    def take_waiting(self) -> Reply[None] | None:
        """Return what is to be set now that the child has tried, or will not."""
        tried, self._tried = self._tried, None
        return tried


def revive(child: "Child[Any]", failure: BaseException | None) -> Reply[None] | None:
    """Let a suspended child, or one that has failed, start afresh; what is returned is set when it has tried.

    None if there is nothing to try: it has ended, or it was spawned when the others were suspended, and runs.
    """
    with child.system.lock:
        if child.course.phase is Phase.STOPPED or child.course.order is Order.STOP or child.killed:
            return None
        child.settle()
        child.course.order = None
        child.course.halt = True
        tried: Reply[None] | None = None
        if child.course.phase not in {Phase.STARTING, Phase.RUNNING}:
            tried = child.comeback.revive(failure)
            child.course.enter(Phase.RESTARTING)
    child.attend_soon()
    return tried
