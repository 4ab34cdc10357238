"""Hook time: how long each hook may take, where somebody has set a limit.

A context variable: an actor system sets it for the code of its agents, and for the hooks around what is put there.
"""

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pygents.errors import HookTimeoutError

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["hook_seconds", "in_hook_time"]

hook_seconds: ContextVar[float | None] = ContextVar("pygents.hook_seconds", default=None)
"""Seconds that a hook may take, or None for no limit."""


async def in_hook_time[T](running: Awaitable[T], hook: "Hook") -> T:
    """Await a hook for as long as it may take.

    Raises:
        HookTimeoutError: if it took longer; it was cancelled, and has ended, whatever it returned or raised then
        BaseException: what it raised

    """
    seconds = hook_seconds.get()
    if seconds is None:
        return await running
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            returned = await running
    except (Exception, SystemExit) as error:
        if not limit.expired():  # the hook's own
            raise
        late = error.__cause__ if isinstance(error.__cause__, CancelledError) else error  # what it did when cancelled
        raise HookTimeoutError(hook.__name__, seconds) from late
    if limit.expired():
        raise HookTimeoutError(hook.__name__, seconds)
    return returned
