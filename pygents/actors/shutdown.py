"""Shutdown: how a system ends, once: what is queued first or not, then its actors, youngest first.

Whoever asks for it again gets the same report, and may only hasten it: the draining ends at the earliest moment that
anybody has asked for.

Invariant: everything here runs on the system's loop, but for `begin`, which decides under the system's lock who is
first. What is cut and who is abandoned is collected from any thread; appending to a list is atomic.
"""

import asyncio
import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING

from pygents.actors.answers import log
from pygents.actors.dead_letters import DeadLetter, DeadLetterReason
from pygents.actors.idleness import wait_until_idle
from pygents.actors.loops import join_ending_threads
from pygents.actors.reply import Reply
from pygents.actors.shutdown_report import ShutdownReport

if TYPE_CHECKING:
    from pygents.actors.system import ActorSystem

__all__ = ["Shutdown"]


class Shutdown:
    """The end of one system."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self.over: Reply[ShutdownReport] = Reply()
        """The report to come."""
        self._abandoned: list[str] = []
        self._cut: list[DeadLetter] = []
        self._begun = False
        self._until = math.inf
        self._draining: asyncio.Timeout | None = None

    def note_abandoned(self, path: str) -> None:
        """Count a handler that ignores its cancellation."""
        self._abandoned.append(path)
        log(logging.ERROR, "%s ignores its cancellation, and is abandoned", path)

    def note_dead(self, letter: DeadLetter) -> None:
        """Count a message that is cut from the beginning of the shutdown on."""
        if self._begun and letter.reason in {DeadLetterReason.STOPPED, DeadLetterReason.CUT}:
            self._cut.append(letter)

    def begin(self, timeout: float | None = None, *, drain: bool) -> Reply[ShutdownReport]:
        """End the system, and return its report to come; if it is ending, drain no longer than is asked for now."""
        seconds = 0.0 if not drain else math.inf if timeout is None else timeout
        with self._system.lock:
            first, self._begun = not self._begun, True
            self._system.closed = True
            if not self.over.done:
                self._until = min(self._until, self._system.now() + seconds)
        if not self.over.done:
            self._system.submit(self._run) if first else self._system.call(self._hasten)
        return self.over

    def _hasten(self) -> None:
        if self._draining is not None:
            with suppress(RuntimeError):  # it is over
                self._draining.reschedule(self._until)

    async def _run(self) -> None:
        try:
            if self._until > self._system.now():
                await self._drain()
            await self._system.root.transitions.terminate_all(close=True)
            await self._system.tasks_done()
            await join_ending_threads(self._system.loop)
        finally:
            self.conclude()

    def conclude(self) -> None:
        """Tell everybody that the system has ended, unless they know: in order, or because its loop has ended."""
        self._system.closed = True
        if not self.over.done:
            self.over.set(ShutdownReport(cut=tuple(self._cut), abandoned=tuple(self._abandoned)))
        self._system.stalls.end()  # after that, since its thread may wait for it, in a handler of the log
        self._system.news.close()
        self._system.dead_letters.close()

    async def _drain(self) -> None:
        began = self._system.now()
        self._draining = asyncio.timeout_at(None if self._until == math.inf else self._until)
        try:
            async with self._draining:
                await wait_until_idle(self._system.root)
        except TimeoutError:
            seconds = self._system.now() - began
            text = "%r: the queued work was not done within %s seconds"
            log(logging.WARNING, text, self._system, seconds)
