"""Cuts: how a child's own runtime cancels its handlers, and keeps away from one that ignores that.

A task that serves many messages may be cancelled for one of them, and goes on with the next: so the runtime takes its
own requests back, and knows them from those of others, which end the actor.

Invariants:

* Requests are made and taken back on the child's loop.
* A task that is abandoned is behind the *fence*: when it comes to `is_fenced`, it does nothing more for the child. A
  task on the loop that abandons it is suspended meanwhile. On another thread it may be about to end at that very
  moment; so it is first *suspected*, and abandoned only if it is suspected still after its patience. From then on the
  system's lock decides who was first.
"""

import asyncio
from asyncio import Task
from typing import cast

from pygents.actors.process_lock import ProcessLock

__all__ = ["Cuts", "FencedError"]


class FencedError(BaseException):
    """Raised in a handler's task that has been abandoned, so that it does nothing more for its cell."""


class Cuts:
    """The requests to cancel one child's activation, and its abandoned tasks."""

    __slots__ = ("_fenced", "_lock", "_requests", "_suspected", "_watchful")

    def __init__(self, lock: ProcessLock) -> None:
        self._lock = lock
        self._fenced: set[Task[None]] | None = None
        self._requests = 0
        self._suspected: Task[None] | None = None
        self._watchful = False  # whether there is a fence, or may be one soon

    def cancel(self, activation: "Task[None]") -> None:
        """Cancel the message that the activation has in hand."""
        self._requests += 1
        activation.cancel()

    @property
    def has_cut(self) -> bool:
        """Whether the message in hand is cut: that is its outcome, whatever its handler raises from now on."""
        return self._requests > 0

    def take_back(self, activation: "Task[None] | None") -> bool:
        """Take all requests back, and return whether there were any."""
        requests, self._requests = self._requests, 0
        if activation is None:
            return False
        for _ in range(requests):
            activation.uncancel()
        return requests > 0

    def forget(self) -> None:
        """Know of no request: the activation's task has been rid of all."""
        self._requests = 0

    def suspect(self, activation: "Task[None] | None") -> None:
        """Have the activation say so if it ends what it does, or begins anything else."""
        with self._lock:
            self._suspected = activation
            self._watchful = True

    def is_suspected(self, activation: "Task[None]") -> bool:
        """Return whether the activation has not come to an end since it was suspected; under the lock."""
        return self._suspected is activation

    def fence(self, activation: "Task[None]") -> None:
        """Have whatever the task still does for its cell come to nothing; under the lock."""
        self._fenced = self._fenced or set()
        self._fenced.add(activation)
        self._suspected = None
        self._requests = 0
        self._watchful = True

    def is_fenced(self) -> bool:
        """Return whether the running task is one that was abandoned."""
        if not self._watchful or asyncio._get_running_loop() is None:  # noqa: SLF001 (documented; thrown away, it runs in no task)
            return False
        with self._lock:
            running = asyncio.current_task()
            if self._suspected is running:
                self._suspected = None
            return self._fenced is not None and running in self._fenced

    def pass_fence(self) -> None:
        """Go on, unless the running task was abandoned.

        Raises:
            FencedError: if it was

        """
        if self._watchful and self.is_fenced():
            raise FencedError

    def leave(self) -> None:
        """Forget the running task, which was abandoned and ends at last."""
        with self._lock:
            cast("set[Task[None]]", self._fenced).remove(cast("Task[None]", asyncio.current_task()))
            self._watchful = bool(self._fenced)
