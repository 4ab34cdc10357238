"""TaskWatch: waiting for the task of a user's code, so that it has really ended before anybody says so.

It knows nothing of tools, turns, hooks or agents. Code that ignores its cancellation is waited for, however long it
takes. The other way is for a `Keeper`, who has others to look after: it leaves the task alone when its patience is at
an end.

A timer gets an empty context: a cancelled one stays in its loop's heap until it is due, and with the context of whoever
set it, it would keep the turn and the agent alive.

Everything here runs on the one event loop of the consumer; there is no other thread to guard against.
"""

import asyncio
import logging
from asyncio import CancelledError, Task
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol

__all__ = [
    "CALL_NAME",
    "ExpiredError",
    "Keeper",
    "LiveKeeper",
    "Outcome",
    "Patience",
    "TaskWatch",
    "log_dropped",
    "outcome_of",
]

logger = logging.getLogger("pygents")

type Outcome[T] = tuple[T | None, BaseException | None]
"""What code ended in, handed over rather than raised: asyncio re-raises a SystemExit out of a task, and of its loop."""

CALL_NAME = "pygents-tool"
"""The name of every tool's task: a name of its own for each would cost as much as a tenth of the task."""

_PATIENCE = 5.0  # seconds between two warnings that cancelled code goes on


class ExpiredError(Exception):
    """Raised when the time is up, and the code has ended or is left alone."""


class Patience:
    """Warns, again and again, that code which was cancelled has not ended.

    Args:
        loop: the running loop
        label: what the code belongs to
        is_needed: asked before each warning; after the first no there is none

    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, label: object, is_needed: Callable[[], bool] = lambda: True
    ) -> None:
        self._loop = loop
        self._label = label
        self._is_needed = is_needed
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to count, if it has not begun."""
        if self._timer is None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(_PATIENCE, self._warn, context=Context())

    @property
    def is_idle(self) -> bool:
        """Whether it has not begun."""
        return self._timer is None

    def stop(self) -> None:
        """Warn no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _warn(self) -> None:
        self._timer = None
        if not self._is_needed():
            return
        waited = self._loop.time() - self._since
        logger.warning("%r was told to end %.0f s ago and has not ended; waiting for it", self._label, waited)
        self._timer = self._loop.call_later(_PATIENCE, self._warn, context=Context())


def outcome_of[T](task: Task[Outcome[T]]) -> Outcome[T]:
    """Return what a tool's task ended in, in its last step too: there the code may have cancelled its own task."""
    return (None, CancelledError()) if task.cancelled() else task.result()


class Keeper(Protocol):
    """Whoever does not wait for ever for code that ignores its cancellation."""

    @property
    def patience(self) -> float:
        """Seconds from the end of the code's time until it is left alone."""
        ...

    def leave_alone(self, task: Task[Any], /) -> None:
        """Go on without the task; called by whoever has waited for it."""


class LiveKeeper(Keeper, Protocol):
    """The keeper of an agent that lives in a system, which knows its tool's task by its context."""

    inner: Context | None
    """That context."""


class TaskWatch:
    """Waits for a task that may expire, while its consumer may be cancelled.

    Args:
        loop: the running loop
        label: what the task's code belongs to, for the log
        keeper: who leaves the task alone in the end, if somebody does

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, label: object, keeper: Keeper | None = None) -> None:
        self._task: Task[Outcome[Any]]
        self._loop = loop
        self._label = label
        self._keeper = keeper
        self._patience = Patience(loop, label)
        self._expired = False
        self._second_cancel: asyncio.TimerHandle | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.given_up = False
        """Whether the task is left alone."""

    async def wait(self, task: Task[Outcome[Any]], deadline: float | None) -> None:
        """Wait until a tool's task has ended, in time.

        Args:
            task: the task, whose code raises nothing but returns its outcome
            deadline: the loop's time when it is to have ended, or None for no limit

        Raises:
            ExpiredError: if the time was up; the code has ended, whatever else it returned or raised then, or is left
                alone by its keeper
            CancelledError: if the consumer was cancelled, after the same

        """
        self._task = task
        timer = None if deadline is None else self._loop.call_at(deadline, self._expire, context=Context())
        try:
            cancelled = await self._until_done()
        finally:
            if timer is not None:
                timer.cancel()
            if self._second_cancel is not None:
                self._second_cancel.cancel()
            self.be_patient()
            self._patience.stop()
            if not self.given_up:
                task.cancel()  # of no effect, unless the consumer's coroutine is being thrown away
        if cancelled is not None or self._expired or self.given_up:
            self._drop(task)
            raise ExpiredError if cancelled is None else cancelled

    def lose_patience(self) -> None:
        """Have the keeper, if there is one, leave the task alone after its patience."""
        if self._keeper is not None and self._giving_up is None:
            self._giving_up = self._loop.call_later(self._keeper.patience, self._give_up, context=Context())

    def be_patient(self) -> None:
        """Wait for the task again, however long it takes."""
        if self._giving_up is not None:
            self._giving_up.cancel()

    def interrupt(self) -> bool:
        """End the task as if its time were up, and return whether it had time, and has not ended."""
        if self._expired or self._task.done():
            return False
        self._expire()
        return True

    def stop(self) -> bool:
        """Return False: there is nothing that could be stopped between two steps."""
        return False

    async def _until_done(self) -> CancelledError | None:
        cancelled = None
        while not (self._task.done() or self.given_up):
            self._waiter = self._loop.create_future()
            self._task.add_done_callback(self._wake)
            try:
                await self._waiter
            except CancelledError as error:
                if cancelled is None and _ends_with_its_loop(self._task):
                    self._second_cancel = self._loop.call_later(_PATIENCE, self._task.cancel, context=Context())
                elif cancelled is not None or not self._expired:
                    self._task.cancel()
                cancelled = error
                self._patience.start()
            finally:
                self._task.remove_done_callback(self._wake)
        return cancelled

    def _wake(self, _: object = None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expire(self) -> None:
        if self._task.done():  # in time, though the loop was too busy to say so
            return
        self._expired = True
        self.lose_patience()
        if self._patience.is_idle:  # else the consumer was cancelled before, and the code knows
            self._task.cancel()
        self._patience.start()

    def _give_up(self) -> None:
        self.given_up = not self._task.done()
        self._wake()

    def _drop(self, task: Task[Outcome[Any]]) -> None:
        if self.given_up and self._keeper is not None:
            task.add_done_callback(lambda task: log_dropped(self._label, outcome_of(task)))
            self._keeper.leave_alone(task)
        else:
            log_dropped(self._label, outcome_of(task))


def _ends_with_its_loop(task: Task[Any]) -> bool:
    """Return whether the loop is cancelling all its tasks: this one knows, and a second time would cut its cleanup."""
    return task.cancelling() > 0 and all(other.cancelling() > 0 for other in asyncio.all_tasks())


def log_dropped(label: object, outcome: Outcome[Any]) -> None:
    """Log what code that was told to end gave or raised, unless it just ended."""
    value, error = outcome
    if error is None:
        logger.warning("%r was told to end and gave %r, which is dropped", label, value)
    elif not isinstance(error, (CancelledError, StopAsyncIteration)):
        logger.error("%r was told to end and raised, which is dropped:", label, exc_info=error)
