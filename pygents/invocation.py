"""Running a tool's code under a time limit so that it has really ended before anybody says so.

It knows nothing of turns, hooks or agents. Two ways, for two kinds of tools:

* A coroutine gets a task of its own, started eagerly: if it finishes without suspending it pays for no timer and no
  loop iteration, and cancelling it never touches the consumer. ``wait_in_time`` waits for one that has suspended.
* ``TimedSteps`` drives an async generator in the task that asks for its values. A task per value would break
  ``asyncio.timeout``, ``TaskGroup`` and ``ContextVar.reset`` across yields; a task of the generator's own would cost
  two iterations of the loop for each value, several times what the value costs. The price is that of any async
  generator: a scope held open across a yield that fires while the consumer has the value cancels the consumer
  (PEP 789). It cancels the way ``asyncio.timeout`` does: ``cancel()`` on the consumer's task at the deadline,
  ``uncancel()`` when the generator has ended.

A timer gets an empty context: a cancelled one stays in its loop's heap until it is due, and with the context of whoever
set it, it would keep the turn and the agent alive.

Everything here runs on the one event loop of the consumer; there is no other thread to guard against.
"""

import asyncio
import logging
from asyncio import CancelledError, Task
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextvars import Context
from math import inf
from types import coroutine
from typing import Any, Protocol

from pygents.intercept import LeakedCancellationError, cancel_requests
from pygents.tool_functions import Outcome

__all__ = [
    "CALL_NAME",
    "ExpiredError",
    "TimedSteps",
    "close",
    "judged",
    "outcome_of",
    "wait_in_time",
]

logger = logging.getLogger("pygents")

CALL_NAME = "pygents-tool"
"""The name of every tool's task: a name of its own for each would cost as much as a tenth of the task."""

_PATIENCE = 5.0  # seconds between two warnings that cancelled code goes on


class ExpiredError(Exception):
    """Raised when the time is up and the code has ended."""


class _Patience:
    """Warns, again and again, that code which was cancelled has not ended."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, label: object, is_needed: Callable[[], bool] = lambda: True
    ) -> None:
        self._loop = loop
        self._label = label
        self._is_needed = is_needed
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._timer is None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(_PATIENCE, self._warn, context=Context())

    @property
    def is_idle(self) -> bool:
        return self._timer is None

    def stop(self) -> None:
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


def judged(failure: BaseException) -> BaseException:
    """Return the exception to raise for one that the code raised, while nobody had told it to end.

    Two would be taken for something else on their way to the consumer: a ``CancelledError`` for its own cancellation,
    a ``GeneratorExit`` for the end of a generator on that way.
    """
    if isinstance(failure, CancelledError):
        verdict: BaseException = LeakedCancellationError()
    elif isinstance(failure, GeneratorExit):
        verdict = RuntimeError("a GeneratorExit was let out that nobody had asked for")
    else:
        return failure
    verdict.__cause__ = failure
    return verdict


async def wait_in_time[T](task: Task[Outcome[T]], began: float, timeout: float | None, label: object) -> None:
    """Wait until a tool's task has ended, in time.

    Args:
        task: the task, whose code raises nothing but returns its outcome
        began: the loop's time when the task began
        timeout: seconds that it may take, or None for no limit
        label: what the code belongs to, for the log

    Raises:
        ExpiredError: if the time was up; the code has ended, whatever else it returned or raised then
        CancelledError: if the consumer was cancelled, after the code has ended

    """
    watch = _TaskWatch(task, asyncio.get_running_loop(), label)
    await watch.wait(None if timeout is None else began + timeout)


class _TaskWatch[T]:
    """Waits for a task that may expire, while its consumer may be cancelled."""

    def __init__(self, task: Task[Outcome[T]], loop: asyncio.AbstractEventLoop, label: object) -> None:
        self._task = task
        self._loop = loop
        self._label = label
        self._patience = _Patience(loop, label)
        self._expired = False
        self._second_cancel: asyncio.TimerHandle | None = None

    async def wait(self, deadline: float | None) -> None:
        timer = None if deadline is None else self._loop.call_at(deadline, self._expire, context=Context())
        try:
            cancelled = await self._until_done()
        finally:
            if timer is not None:
                timer.cancel()
            if self._second_cancel is not None:
                self._second_cancel.cancel()
            self._patience.stop()
            self._task.cancel()  # of no effect, unless the consumer's coroutine is being thrown away
        if cancelled is not None or self._expired:
            _log_dropped(self._label, outcome_of(self._task))
            raise ExpiredError if cancelled is None else cancelled

    async def _until_done(self) -> CancelledError | None:
        cancelled = None
        while not self._task.done():
            waiter = self._loop.create_future()

            def wake(_: Task[Outcome[T]], waiter: "asyncio.Future[None]" = waiter) -> None:
                if not waiter.done():
                    waiter.set_result(None)

            self._task.add_done_callback(wake)
            try:
                await waiter
            except CancelledError as error:
                if cancelled is None and _ends_with_its_loop(self._task):
                    self._second_cancel = self._loop.call_later(_PATIENCE, self._task.cancel, context=Context())
                elif cancelled is not None or not self._expired:
                    self._task.cancel()
                cancelled = error
                self._patience.start()
            finally:
                self._task.remove_done_callback(wake)
        return cancelled

    def _expire(self) -> None:
        if self._task.done():  # in time, though the loop was too busy to say so
            return
        self._expired = True
        if self._patience.is_idle:  # else the consumer was cancelled before, and the code knows
            self._task.cancel()
        self._patience.start()


def _ends_with_its_loop(task: Task[Any]) -> bool:
    """Return whether the loop is cancelling all its tasks: this one knows, and a second time would cut its cleanup."""
    return task.cancelling() > 0 and all(other.cancelling() > 0 for other in asyncio.all_tasks())


class _Steppable(Protocol):
    """What ``await`` gets from an awaitable: the sending side of a generator."""

    def send(self, value: None, /) -> object: ...
    def throw(self, error: BaseException, /) -> object: ...
    def close(self) -> object: ...


class TimedSteps:
    """Runs steps of one piece of code in the caller's task, with one time limit over all of them.

    Time between two steps does not count. `step` is one step; a loop over many does the same in its own frame, with
    `clock`, `left` and `suspended`, since a generator for every value would cost a third of the value.

    Args:
        timeout: seconds that the steps may take together, or None for no limit
        label: what the code belongs to, for the log

    """

    __slots__ = ("_expired", "_label", "_loop", "_patience", "clock", "left")

    def __init__(self, timeout: float | None, label: object) -> None:
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        """The time of the loop, in seconds."""
        self.left = inf if timeout is None else timeout
        """Seconds that are left. Code that never suspends is not interrupted in a step, but gets no other one then."""
        self._label = label
        self._expired = False
        self._patience: _Patience

    @coroutine
    def step[T](self, awaitable: Awaitable[T]) -> Generator[Any, None, T]:
        """Await one step.

        Raises:
            BaseException: as `suspended`

        """
        steps: Any = awaitable
        started = self.clock()
        try:
            waits_for = steps.send(None)
        except StopIteration as stop:
            self.left += started - self.clock()
            return stop.value  # type: ignore[no-any-return]  # pyright: ignore[reportReturnType] (a cast is a call)
        except (CancelledError, GeneratorExit) as error:  # nobody can have told it to end: it has not suspended
            raise judged(error)  # noqa: B904 (it has its cause)
        value: T = yield from self._suspended(steps, waits_for, started)
        return value

    @coroutine
    def suspended(self, steps: _Steppable, waits_for: object, started: float) -> Generator[Any, None, Any]:
        """Go on with a step that waits for something.

        Args:
            steps: the step
            waits_for: what its first ``send`` gave
            started: the time before that

        Raises:
            ExpiredError: if the time was up; this step has ended, whatever it returned or raised then
            CancelledError: if the consumer was cancelled, after the step has ended
            LeakedCancellationError: if the code let a ``CancelledError`` out by itself
            BaseException: what else the code raised

        """
        return (yield from self._suspended(steps, waits_for, started))

    def _suspended(self, steps: _Steppable, waits_for: object, started: float) -> Generator[Any, None, Any]:
        task = asyncio.current_task()
        if task is None:
            msg = f"{self._label!r} needs an asyncio task to run in: use asyncio.run() or create_task()"
            raise RuntimeError(msg)
        requests = cancel_requests()
        self._patience = _Patience(self._loop, self._label, lambda: self._expired or task.cancelling() > requests)
        timer = (
            None if self.left == inf else self._loop.call_at(started + self.left, self._expire, task, context=Context())
        )
        try:
            outcome = yield from self._drive(steps, waits_for)
        finally:
            self.left += started - self.clock()
            self._patience.stop()
            if timer is not None:
                timer.cancel()
        return self._judge(task, requests, outcome)

    def _drive(self, steps: _Steppable, waits_for: object) -> "Generator[Any, None, Outcome[Any]]":
        while True:
            thrown: BaseException | None = None
            try:
                yield waits_for
            except GeneratorExit:  # the consumer's coroutine is being thrown away
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001 (the code's to handle)
                thrown = error
                if isinstance(error, CancelledError):
                    self._patience.start()
            try:
                waits_for = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as stop:
                return stop.value, None
            except BaseException as error:  # noqa: BLE001 (judged by the caller)
                return None, error

    def _judge(self, task: Task[Any], requests: int, outcome: Outcome[Any]) -> object:
        value, error = outcome
        if self._expired:
            task.uncancel()
        if task.cancelling() > requests:
            _log_dropped(self._label, outcome)
            raise error if isinstance(error, CancelledError) else CancelledError
        if self._expired:
            _log_dropped(self._label, outcome)
            raise ExpiredError
        if error is not None:
            raise judged(error)
        return value

    def _expire(self, task: Task[Any]) -> None:
        self._expired = True
        task.cancel()
        self._patience.stop()
        self._patience.start()


async def close(generator: AsyncGenerator[Any], label: object) -> None:
    """Close a tool's generator and wait until it has ended, on whichever loop runs now; what it raises is logged.

    Args:
        generator: the generator
        label: what it belongs to, for the log

    Raises:
        CancelledError: if the consumer was cancelled meanwhile

    """
    patience = _Patience(asyncio.get_running_loop(), label)
    patience.start()
    try:
        await TimedSteps(None, label).step(generator.aclose())
    except (CancelledError, GeneratorExit):  # the consumer's
        raise
    except LeakedCancellationError as leak:
        logger.error("%r raised while it was being closed:", label, exc_info=leak.__cause__)  # noqa: TRY400
    except BaseExceptionGroup as group:
        if group.split(GeneratorExit)[1] is not None:  # else a TaskGroup has wrapped what closed it
            logger.exception("%r raised while it was being closed:", label)
    except BaseException:
        logger.exception("%r raised while it was being closed:", label)
    finally:
        patience.stop()


def _log_dropped(label: object, outcome: Outcome[Any]) -> None:
    value, error = outcome
    if error is None:
        logger.warning("%r was told to end and gave %r, which is dropped", label, value)
    elif not isinstance(error, (CancelledError, StopAsyncIteration)):
        logger.error("%r was told to end and raised, which is dropped:", label, exc_info=error)
