"""Course: where a child is in its life, what it has been ordered to do, and who waits for it to get somewhere.

Invariant: everything here changes under the system's lock, but for ``halt``. An activation parks only if nothing has
been said to the child meanwhile (``halt``); whoever says something to a parked child is told so, and wakes it. So
nothing that is said is missed.
"""

from pygents.actors.child_spec import Order, Phase
from pygents.actors.process_lock import ProcessLock
from pygents.actors.reply import Reply

__all__ = ["Course"]


class Course:
    """The part of a child that other threads see and change."""

    __slots__ = ("_idle", "_lock", "_reached", "halt", "order", "parked", "phase", "steps")

    def __init__(self, lock: ProcessLock) -> None:
        self._lock = lock
        self.phase = Phase.STARTING
        self.order: Order | None = None
        self.halt = True
        """Whether there is something to do beside messages."""
        self.parked = False
        """Whether the child waits without a task, and keeps its mailbox's claim."""
        self.steps = 0
        """How many phases it has entered; it only grows."""
        self._reached: dict[tuple[Phase, ...], Reply[None]] = {}  # shared, so that waits given up do not pile up
        self._idle: Reply[None] | None = None  # likewise

    def give(self, order: Order) -> bool:
        """Take an order, and return whether it is news: the child has not ended, and has no higher one."""
        with self._lock:
            if self.phase is Phase.STOPPED or (self.order is not None and self.order >= order):
                return False
            self.order = order
            self.halt = True
            return True

    def enter(self, phase: Phase) -> bool:
        """Be in another phase, and return whether that is news; the last one is for good."""
        with self._lock:
            if self.phase is Phase.STOPPED:
                return False
            self.phase = phase
            self.steps += 1
            reached = [self._reached.pop(phases) for phases in list(self._reached) if phase in phases]
        for reply in reached:
            reply.set(None)
        return True

    def begin_running(self) -> bool:
        """Be running without a start, unless something has been ordered already; return whether that is so."""
        with self._lock:
            if self.order is not None:
                return False
            self.halt = False
            return self.enter(Phase.RUNNING)

    def reach(self, *phases: Phase) -> Reply[None]:
        """Return what is set when the child is in one of these phases."""
        reply: Reply[None] = Reply()
        with self._lock:
            if self.phase not in phases:
                return self._reached.setdefault(phases, reply)
        reply.set(None)
        return reply

    def park(self) -> bool:
        """Park, unless something has been said to the child meanwhile; return whether it is parked."""
        with self._lock:
            self.parked = not self.halt
            return self.parked

    def unpark(self) -> bool:
        """Go on, if there is something to do; return whether the child is not parked."""
        with self._lock:
            self.parked = self.parked and not self.halt
            return not self.parked

    def when_idle(self) -> Reply[None]:
        """Return what `note_idle` sets."""
        with self._lock:
            self._idle = self._idle or Reply()
            return self._idle

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the child to be idle."""
        return self._idle is not None

    def note_idle(self) -> None:
        """Tell who waits for it that the child has nothing to do, for now."""
        with self._lock:
            waiting, self._idle = self._idle, None
        if waiting is not None:
            waiting.set(None)
