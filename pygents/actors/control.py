"""Control: what is said to the message in hand: that it is to end, and notes for its handler. It overtakes the queue.

Kill goes before stop now, that before the cancelling of a message, that before a pause, that before all messages.

Invariants: everything here is touched on the loop that runs the handler, but for `take_nowait`, a single step. What
others say from elsewhere is brought there. A control belongs to one message, and ends with it: whoever waits for the
cancellation is told then, and what nobody has read is handed back.
"""

import logging
from asyncio import CancelledError, Task
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from pygents.actors.answers import log
from pygents.actors.envelope import Sent
from pygents.actors.reply import Reply
from pygents.errors import TurnCancelledError

__all__ = ["BY_REQUEST", "Control", "Notes"]

BY_REQUEST = "cancel_turn() was called"
"""The reason of who gives none."""


class Notes:
    """Notes for the handler of one message, in the order they came."""

    __slots__ = ("_ended", "_news", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Sent[object]] = deque()
        self._news: Reply[None] = Reply()
        self._ended = False

    def put(self, note: Sent[object]) -> None:
        """Add a note, and wake whoever waits for one."""
        self._waiting.append(note)
        self._tell()

    def take_nowait(self) -> object | None:
        """Return the oldest note, or None if there is none."""
        try:
            return self._waiting.popleft().message
        except IndexError:
            return None

    async def until_the_end(self) -> AsyncIterator[object]:
        """Give each note as it comes, until the message has ended."""
        while True:
            news = self._news  # first: what comes after the look sets it
            while self._waiting:
                yield self._waiting.popleft().message
            if self._ended:
                return
            await news

    def end(self) -> list[Sent[object]]:
        """End the reading, and return what nobody has read."""
        unread = [*self._waiting]
        self._waiting.clear()
        self._ended = True
        self._tell()
        return unread

    def _tell(self) -> None:
        news, self._news = self._news, Reply()
        news.set(None)


class Control:
    """What is said to one message in hand."""

    __slots__ = ("_over", "_task", "has_keeper", "notes", "reason")

    def __init__(self) -> None:
        self.notes = Notes()
        self.reason: str | None = None
        """Why it is to end; None if it is not."""
        self.has_keeper = False
        """Whether somebody leaves the handler alone that ignores its end."""
        self._over: list[Reply[bool]] = []
        self._task: Task[Any] | None = None

    def ask_to_end(self, reason: str, over: Reply[bool], interrupt: Callable[["Control"], bool]) -> None:
        """Have the message end, and tell that it has; if it is to end already, the first reason holds.

        Args:
            reason: why
            over: set to True when it has ended, and to False if there is nothing to interrupt
            interrupt: ends what the handler waits for, and returns whether it waits for anything

        """
        if self.reason is None:
            self.reason = reason
            if not interrupt(self):
                self.reason = None
                over.set(False)
                return
        self._over.append(over)

    def cancel(self, task: "Task[Any]") -> None:
        """Cancel the task that handles the message, as ``asyncio.timeout`` does: the request is taken back later."""
        self._task = task
        task.cancel()

    def verdict(self, who: object, error: BaseException) -> BaseException:
        """Return what the message has ended in, since it was to end, whatever its handler has raised then.

        Unless somebody else has cancelled the handler, too: that goes first.
        """
        task, self._task = self._task, None
        mine = task is not None and task.uncancel() == 0
        if self.reason is None or (isinstance(error, CancelledError) and not mine):
            return error
        if isinstance(error, TurnCancelledError) and error.reason == self.reason:  # it is the verdict
            return error
        if not isinstance(error, CancelledError):
            log(logging.ERROR, "%s was told to end and raised, which is dropped:", who, error=error)
        return self.cancelled()

    def cancelled(self) -> TurnCancelledError:
        """Return what a message has ended in that was to end."""
        cancelled = TurnCancelledError(self.reason or BY_REQUEST)
        cancelled.__suppress_context__ = True
        return cancelled

    def end(self) -> list[Sent[object]]:
        """Tell whoever waits that the message has ended, and return the notes that nobody has read."""
        self.reason = None
        for over in self._over:
            over.set(True)
        self._over.clear()
        return self.notes.end()
