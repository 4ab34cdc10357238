"""Hook time: how long each hook may take, where somebody has set a limit.

A context variable: an actor system sets it for the code of its agents, and for the hooks around what is put there.
"""

import asyncio
from asyncio import CancelledError, Task
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pygents.actors.own_task import disown
from pygents.errors import HookTimeoutError
from pygents.task_watch import ExpiredError, Outcome, TaskWatch, outcome_of

if TYPE_CHECKING:
    from pygents.deciding import Verdict
    from pygents.hooks import Hook

__all__ = ["HookLimit", "hook_limit", "in_hook_time"]


class HookLimit:
    """How long a hook may take; the `Keeper` of its task.

    Args:
        seconds: that it may take; then it is cancelled
        patience: seconds that it has to end when it is cancelled; then it is left alone
        leave_alone: called with the task of a hook that goes on

    """

    def __init__(self, seconds: float, patience: float, leave_alone: Callable[[Task[Any]], None]) -> None:
        self.seconds = seconds
        self.patience = patience
        self.leave_alone = leave_alone


hook_limit: ContextVar[HookLimit | None] = ContextVar("pygents.hook_limit", default=None)
"""How long a hook may take, or None for no limit."""


async def in_hook_time(hook: "Hook", *args: Any, **kwargs: Any) -> "Verdict | None":
    """Run a hook for as long as it may take.

    With a limit it has a task of its own, which can be left alone; what it sets in the context holds for its caller, as
    without one.

    Raises:
        HookTimeoutError: if it took longer, whatever it returned or raised when it was cancelled; it has ended, or is
            left alone
        BaseException: what it raised

    """
    limit = hook_limit.get()
    if limit is None:
        return await hook(*args, **kwargs)
    loop, here = asyncio.get_running_loop(), asyncio.current_task()
    assert here is not None  # noqa: S101 (in a coroutine on a running loop)
    running: Coroutine[Any, Any, Outcome[Verdict]] = _outcome(lambda: hook(*args, **kwargs))
    task = loop.create_task(running, name="pygents-hook", context=here.get_context())
    try:
        await TaskWatch(loop, hook, limit).wait(task, loop.time() + limit.seconds)
    except ExpiredError:
        if not task.done():
            disown(task)
        _, late = outcome_of(task) if task.done() else (None, None)
        cause = None if isinstance(late, CancelledError) else late
        raise HookTimeoutError(hook.__name__, limit.seconds) from cause
    outcome: Outcome[Verdict] = outcome_of(task)
    verdict, failure = outcome
    if failure is not None:
        raise failure
    return verdict


async def _outcome(running: "Callable[[], Awaitable[Verdict | None]]") -> "Outcome[Verdict]":
    """Run a user's code, and return what it gave or raised: nothing leaves the task that runs it."""
    try:
        return await running(), None
    except BaseException as error:  # noqa: BLE001 (returned)
        return None, error
