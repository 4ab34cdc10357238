"""Stalls: a watchdog, on a thread of its own, that notices when the event loop of a system stands still.

It sends the loop a *beat*, a callback that answers, and looks from time to time whether the beat has been answered. It
counts looks, not seconds: if the whole process is halted (a laptop sleeps, a container is frozen), that is one long
look, and nobody's fault. A loop that does not run, or is closed, does not stand still either. One on virtual time says
so when it waits for other threads, and is not woken then: it would wait anew. Nothing is done per message, and no timer
is set on the loop: on virtual time it would have time pass for ever.

Code in C that does not let go of the global lock, such as a long regular expression, keeps the watchdog from looking.
When it can look at last, the loop is at the end of that very call. The process was not halted then: it has used its
processor.

What each field is written by, which is all that the threads need, with or without a global lock:

* ``_due`` by the watchdog while it is False, and by the loop while it is True. So one beat is on its way at the most.
* ``_thread_id`` and ``_answered`` by the loop, before it clears ``_due``; the first also before the watchdog begins.
* ``_late``, ``_sent``, ``_reported`` and ``_looked`` by the watchdog alone, once it has begun; ``_thread`` by whoever
  enters the system, before others can leave it.

The watchdog keeps its system alive, and with that whatever would end it: no finalizer waits for the thread to end.
"""

import logging
import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pygents.actors.answers import log, show
from pygents.actors.checks import checked_limit
from pygents.actors.stuck import Stuck, find_stuck

if TYPE_CHECKING:
    from pygents.actors.system import ActorSystem

__all__ = ["Stalls"]

_LOOKS = 4  # in the time of a stall, at the least; and one each second, to see in time that the loop is closed


class Stalls:
    """The watchdog of one system.

    Args:
        system: whose loop is watched
        after: seconds that the loop may stand still, or None: then there is no thread

    Raises:
        TypeError: if that is no number
        ValueError: if it is not above zero

    """

    def __init__(self, system: "ActorSystem", after: float | None) -> None:
        self._system = system
        self._after = checked_limit("stall_after", after) or math.inf
        self._looks = _LOOKS if after is None else max(_LOOKS, math.ceil(after))
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._thread_id: int | None = None
        self._due = False
        self._late = 0
        self._sent = 0.0
        self._answered = 0.0
        self._reported: Stuck | None = None
        self._looked = time.monotonic(), time.process_time()

    def start(self, thread_id: int | None) -> None:
        """Begin, when the system is entered.

        Args:
            thread_id: of the thread that runs the loop

        """
        if self._after == math.inf:
            return
        self._thread_id = thread_id
        self._looked = time.monotonic(), time.process_time()
        period = self._after / self._looks
        name = f"pygents-stalls-{self._system.name}"
        thread = threading.Thread(target=self._watch, args=(period,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # at the end of the program, say: no reason not to do the work
            log(logging.WARNING, "%r has no watchdog: %s", self._system, error)
        else:
            self._thread = thread

    def end(self) -> None:
        """End, and wait until the thread has; on any thread but that one."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, period: float) -> None:
        try:
            while not self._ended.wait(period) and not self._system.loop.is_closed():
                self.look()
        except Exception as error:  # noqa: BLE001 (the system does not depend on it)
            log(logging.CRITICAL, "%r: its watchdog has failed", self._system, error=error)

    def look(self) -> None:
        """Look whether the last beat was answered: report if it is late, or send the next one."""
        shut_out = self._seconds_shut_out()
        stuck = find_stuck(self._system, self._thread_id) if shut_out else None  # at once: it is about to go on
        loop, due = self._system.loop, self._due
        rests = not loop.is_running() or getattr(loop, "is_waiting", False)  # of `pygents.testing.VirtualTimeLoop`
        self._late = 0 if rests or not due else self._late + 1
        if not due:
            self._note_the_end()
            if not rests:
                self._send(shut_out)
        elif self._late and self._late % self._looks == 0:
            self._report()
        if stuck is not None and not rests:
            self._tell(stuck)

    def _send(self, ago: float) -> None:
        self._due = True
        self._sent = time.monotonic() - ago
        with suppress(RuntimeError):  # the loop has just been closed
            self._system.loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._thread_id = threading.get_ident()
        self._answered = time.monotonic()
        self._due = False

    def _seconds_shut_out(self) -> float:
        """Return the seconds since the last look, if the process has worked so long without letting this thread run."""
        (looked, used), self._looked = self._looked, (time.monotonic(), time.process_time())
        seconds = self._looked[0] - looked
        worked = self._looked[1] - used > self._after / 2  # a process that was halted has not
        return seconds if worked and seconds > self._after * (1 + 1 / self._looks) else 0.0

    def _report(self) -> None:
        stuck = find_stuck(self._system, self._thread_id)
        if self._due:  # else it has gone on meanwhile: what was seen may be something else
            self._tell(stuck)

    def _tell(self, stuck: Stuck) -> None:
        if self._reported is not None and stuck.is_same_as(self._reported):
            return
        self._reported = stuck.without_calls()
        seconds, stack = time.monotonic() - self._sent, stuck.stack()
        self._system.news.stalled(stuck.path, stuck.turn, seconds, stack)
        text = f", in {_who(stuck)}:\n{stack.rstrip()}" if stack else ""
        log(logging.ERROR, "%r: its event loop stands still for %.2f s%s", self._system, seconds, text)

    def _note_the_end(self) -> None:
        if self._reported is not None:
            self._reported = None
            log(logging.INFO, "%r: its event loop goes on after %.2f s", self._system, self._answered - self._sent)


def _who(stuck: Stuck) -> str:
    who = stuck.path or "code outside its actors"
    return who if stuck.turn is None else f"{who} with {show(stuck.turn)}"
