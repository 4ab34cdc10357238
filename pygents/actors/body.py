"""Body: the task inside ``async with``, which is cancelled when its system fails, as an ``asyncio.TaskGroup`` does.

It knows nothing of systems. Everything here runs on the task's loop.
"""

import asyncio
from typing import Any

__all__ = ["Body"]


class Body:
    """A task that may be cancelled once, and that is rid of that cancellation when it leaves."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def enter(self) -> None:
        """Be the running task."""
        self._task = asyncio.current_task()

    def cancel(self) -> None:
        """Cancel the task, unless it has left, or there is none."""
        if self._task is not None:
            self._cancelled = True
            self._task.cancel()

    def leave(self, error: BaseException | None) -> BaseException | None:
        """Take our cancellation back, whatever has become of it; return what the body has raised of its own."""
        task, self._task = self._task, None
        if task is None or not self._cancelled:
            return error
        others = task.uncancel()
        return None if isinstance(error, asyncio.CancelledError) and not others else error
