"""Shutdown: how a system ends, once: what is queued first or not, then its actors, youngest first.

Invariant: everything here runs on the system's loop, but for `begin`, which decides under the system's lock who is
first. What is cut and who is abandoned is collected from any thread; appending to a list is atomic.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from pygents.actors.dead_letters import DeadLetter, DeadLetterReason
from pygents.actors.reply import Reply
from pygents.actors.shutdown_report import ShutdownReport

if TYPE_CHECKING:
    from pygents.actors.system import ActorSystem

__all__ = ["Shutdown"]

logger = logging.getLogger("pygents.actors")


class Shutdown:
    """The end of one system."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self._abandoned: list[str] = []
        self._cut: list[DeadLetter] | None = None
        self._over: Reply[ShutdownReport] | None = None
        self._draining: asyncio.Timeout | None = None

    def note_abandoned(self, path: str) -> None:
        """Count a handler that ignores its cancellation."""
        self._abandoned.append(path)
        logger.error("%s ignores its cancellation, and is abandoned", path)

    def note_dead(self, letter: DeadLetter) -> None:
        """Count a message that the shutdown has cut."""
        if self._cut is not None and letter.reason in {DeadLetterReason.STOPPED, DeadLetterReason.CUT}:
            self._cut.append(letter)

    def begin(self, timeout: float | None = None, *, drain: bool) -> Reply[ShutdownReport]:
        """End the system, and return its report to come; when it is ending already, that one's."""
        with self._system.lock:
            if self._over is not None:
                return self._over
            over = self._over = Reply()
            self._system.closed = True
        self._system.submit(lambda: self._run(over, timeout, drain=drain))
        return over

    def stop_draining(self) -> None:
        """Wait for the queued work no longer; on the loop."""
        if self._draining is not None:
            with suppress(RuntimeError):  # it is over
                self._draining.reschedule(self._system.now())

    async def _run(self, over: Reply[ShutdownReport], timeout: float | None, *, drain: bool) -> None:
        try:
            if drain and not self._system.has_failed:
                await self._drain(timeout)
            self._cut = []
            await self._system.root.transitions.terminate_all(close=True)
            await self._system.tasks_done()
        finally:
            self._system.news.close()
            over.set(ShutdownReport(cut=tuple(self._cut or ()), abandoned=tuple(self._abandoned)))

    async def _drain(self, timeout: float | None) -> None:
        began = self._system.now()
        self._draining = asyncio.timeout(timeout)
        try:
            async with self._draining:
                await self._system.wait_idle()
        except TimeoutError:
            seconds = self._system.now() - began
            logger.warning("%r: the queued work was not done within %s seconds", self._system, seconds)
