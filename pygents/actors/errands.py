"""Errands: what is done on a system's loop, asked for on any thread; each is a task that is kept until it has ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pygents.actors.answers import log
from pygents.actors.reply import Reply

if TYPE_CHECKING:
    from pygents.actors.system import ActorSystem

__all__ = ["Errands"]


class Errands:
    """The tasks of one system."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self._tasks: set[asyncio.Task[None]] = set()

    async def done(self) -> None:
        """Wait until none is on, but for the running task."""
        me = asyncio.current_task()
        while others := [task for task in self._tasks if task is not me]:
            await asyncio.wait(others)

    def submit[T](self, work: Callable[[], Awaitable[T]]) -> Reply[T]:
        """Have work done, and return its outcome to come."""
        reply: Reply[T] = Reply()

        async def run() -> None:
            try:
                reply.set(await work())
            except BaseException as error:
                reply.fail(error)
                if not isinstance(error, (Exception, asyncio.CancelledError)):
                    raise
                if not isinstance(error, asyncio.CancelledError):
                    log(logging.CRITICAL, "%r: its own machinery failed", self._system, error=error)

        def begin() -> None:
            task = self._system.loop.create_task(run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._system.call(begin)
        return reply
