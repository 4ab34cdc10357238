"""Cuts: how a child's own runtime cancels its handlers, and keeps away from one that ignores that.

A task that serves many messages may be cancelled for one of them, and goes on with the next: so the runtime takes its
own requests back, and knows them from those of others, which end the actor.

Invariant: requests are made and taken back on the child's loop. A handler is put behind the fence under the system's
lock, on any thread, and asks whether it is there itself, on the child's loop.
"""

import asyncio
from asyncio import Task
from typing import cast

__all__ = ["Cuts", "FencedError"]


class FencedError(BaseException):
    """Raised in a handler's task that has been abandoned, so that it does nothing more for its cell."""


class Cuts:
    """The requests to cancel one child's activation, and its abandoned tasks."""

    __slots__ = ("_fenced", "_requests")

    def __init__(self) -> None:
        self._fenced: set[Task[None]] = set()
        self._requests = 0

    def cancel(self, activation: "Task[None]") -> None:
        """Cancel the message that the activation has in hand."""
        self._requests += 1
        activation.cancel()

    def take_back(self, activation: "Task[None] | None") -> bool:
        """Take all requests back, and return whether there were any."""
        requests, self._requests = self._requests, 0
        if activation is None:
            return False
        for _ in range(requests):
            activation.uncancel()
        return requests > 0

    def fence(self, activation: "Task[None]") -> None:
        """Have whatever the task still does for its cell raise `FencedError`."""
        self._fenced.add(activation)
        self._requests = 0

    def is_fenced(self) -> bool:
        """Return whether the running task is one that was abandoned."""
        return bool(self._fenced) and asyncio.current_task() in self._fenced

    def leave(self) -> None:
        """Forget the running task, which was abandoned and ends at last."""
        self._fenced.remove(cast("Task[None]", asyncio.current_task()))
