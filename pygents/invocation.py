"""Running a tool's code under a time limit so that it has really ended before anybody says so.

It knows nothing of turns, hooks or agents. Two ways, for two kinds of tools:

* A coroutine gets a task of its own, started eagerly: if it finishes without suspending it pays for no timer and no
  loop iteration, and cancelling it never touches the consumer. A `TaskWatch` waits for one that has suspended.
* ``TimedSteps`` drives an async generator in the task that asks for its values. A task per value would break
  ``asyncio.timeout``, ``TaskGroup`` and ``ContextVar.reset`` across yields; a task of the generator's own would cost
  two iterations of the loop for each value, several times what the value costs. The price is that of any async
  generator: a scope held open across a yield that fires while the consumer has the value cancels the consumer
  (PEP 789). So whoever consumes one and has more to do, as a live agent has, does it in a task for all of its values.
  It cancels the way ``asyncio.timeout`` does: ``cancel()`` on the consumer's task at the deadline,
  ``uncancel()`` when the generator has ended.

A timer gets an empty context: a cancelled one stays in its loop's heap until it is due, and with the context of whoever
set it, it would keep the turn and the agent alive.

Everything here runs on the one event loop of the consumer; there is no other thread to guard against.
"""

import asyncio
import logging
from asyncio import CancelledError, Task
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextvars import Context
from math import inf
from types import coroutine
from typing import Any, Protocol

from pygents.actors.answers import log, show
from pygents.intercept import LeakedCancellationError, cancel_requests
from pygents.task_watch import ExpiredError, Outcome, Patience, TaskWatch, log_dropped

__all__ = ["TimedSteps", "close", "judged"]

logger = logging.getLogger("pygents")


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
        watch: what waits for the caller's task, if that may be left alone

    """

    __slots__ = ("_expired", "_label", "_loop", "_patience", "_watch", "clock", "left")

    def __init__(self, timeout: float | None, label: object, watch: TaskWatch | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        """The time of the loop, in seconds."""
        self.left = inf if timeout is None else timeout
        """Seconds that are left. Code that never suspends is not interrupted in a step, but gets no other one then."""
        self._label = label
        self._watch = watch
        self._expired = False
        self._patience: Patience

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
        self._patience = Patience(
            self._loop,
            self._label,
            lambda: _is_waited_for(self._watch) and (self._expired or task.cancelling() > requests),
        )
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
            log_dropped(self._label, outcome)
            raise error if isinstance(error, CancelledError) else CancelledError
        if self._expired:
            log_dropped(self._label, outcome)
            raise ExpiredError
        if error is not None:
            raise judged(error)
        return value

    def _expire(self, task: Task[Any]) -> None:
        self._expired = True
        if self._watch is not None:
            self._watch.lose_patience()
        task.cancel()
        self._patience.stop()
        self._patience.start()


async def close(generator: AsyncGenerator[Any], label: object, watch: TaskWatch | None = None) -> None:
    """Close a tool's generator and wait until it has ended, on whichever loop runs now; what it raises is logged.

    Args:
        generator: the generator
        label: what it belongs to, for the log
        watch: what waits for the caller's task, if that may be left alone

    Raises:
        CancelledError: if the consumer was cancelled meanwhile

    """
    patience = Patience(asyncio.get_running_loop(), label, lambda: _is_waited_for(watch))
    patience.start()
    try:
        await TimedSteps(None, label, watch).step(generator.aclose())
    except (CancelledError, GeneratorExit):  # the consumer's
        raise
    except LeakedCancellationError as leak:
        _log_late(label, leak.__cause__)
    except BaseExceptionGroup as group:
        if group.split(GeneratorExit)[1] is not None:  # else a TaskGroup has wrapped what closed it
            _log_late(label, group)
    except BaseException as error:  # noqa: BLE001 (logged)
        _log_late(label, error)
    finally:
        patience.stop()


def _log_late(label: object, error: BaseException | None) -> None:
    log(logging.ERROR, "%s raised while it was being closed:", show(label), error=error, to=logger)


def _is_waited_for(watch: TaskWatch | None) -> bool:
    return watch is None or not watch.given_up
