"""Running one of an actor's ``on_*`` methods for a limited time."""

import asyncio
from asyncio import CancelledError, Task
from collections.abc import Callable, Coroutine
from contextvars import Context
from inspect import iscoroutine
from typing import Any

__all__ = ["Bounds", "call_bounded"]


class Bounds:
    """How long a method may take.

    Args:
        seconds: that it may take
        patience: seconds that it has to end when it is cancelled; then it is abandoned
        interrupted: called when the one who waits for it is cancelled; the method is cancelled then
        abandoned: called when it ignores its cancellation
        context: makes the context of its task

    """

    __slots__ = ("abandoned", "context", "interrupted", "patience", "seconds")

    def __init__(
        self,
        seconds: float,
        patience: float,
        interrupted: Callable[[], object],
        abandoned: Callable[[], object],
        context: Callable[[], Context],
    ) -> None:
        self.seconds = seconds
        self.patience = patience
        self.interrupted = interrupted
        self.abandoned = abandoned
        self.context = context


async def call_bounded(bounds: Bounds, method: Callable[..., object], *args: object) -> BaseException | None:
    """Run a method, plain or ``async``, and return what it raised.

    Raises:
        TimeoutError: if it took longer; it has ended by now, or is abandoned

    """
    try:
        result = method(*args)
    except BaseException as error:  # noqa: BLE001 (returned)
        return error
    if not iscoroutine(result):
        return None
    loop = asyncio.get_running_loop()
    task: Task[BaseException | None] = Task(
        _outcome(result), loop=loop, name="pygents-method", context=bounds.context(), eager_start=True
    )
    if not task.done() and not await _ends(task, bounds.seconds, bounds.interrupted):
        task.cancel()
        if not await _ends(task, bounds.patience, bounds.interrupted):
            bounds.abandoned()
        raise TimeoutError
    return task.result()


async def _ends(task: "Task[BaseException | None]", seconds: float, interrupted: Callable[[], object]) -> bool:
    """Wait for a task, and return whether it has ended in time."""
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
    except CancelledError:
        interrupted()
        return task.done()
    return bool(done)


async def _outcome(coroutine: "Coroutine[Any, Any, object]") -> BaseException | None:
    """Await a user's coroutine, and return what it raised: nothing leaves the task that runs it."""
    try:
        await coroutine
    except BaseException as error:  # noqa: BLE001 (returned)
        return error
    return None
