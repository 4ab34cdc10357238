"""Admission: the part of a mailbox that keeps to a policy: what is let in, what waits, what is dropped for what.

A mailbox without a policy has no `Room`, and `put` and `take` pay for that with one look.

An item that counts has a *place* while it is queued, and there are as many as the policy's capacity. Those that no
bound holds for are queued without one: control, what the reader returns, and what was there before the bounds. A sender
for whose item there is no place may stand in *line*.

Invariants, all kept by the mailbox's lock:

* The free places and the taken ones are the capacity; more are taken only after a policy with more has gone.
* Nobody stands in line while a place is free. The step in which one becomes free gives it to who has waited longest,
  and puts that item into the queue. So nobody overtakes who waits; and while somebody waits, something is queued, so
  that nobody has to be woken for what is let in.
* A queued item gives up its place first, and then leaves the queue. In between it is one of those without a place.
* What is let in is *unconfirmed* until its sender knows of it, or it is taken. Until then it has not been accepted: it
  is in no snapshot and in no count. So a sender that is cancelled meanwhile can take it back, and no count falls.
* Who stands in line is told, outside the lock, when its item is in, or when it has to try again, because the mailbox
  was closed or given another policy. A closed mailbox has no `Room`: that breaks the cycle with whose mailbox it is.

Re-entrance is as in the mailbox: no call lies between the last look at a field and the change that relies on it. The
function of a policy that gives keys is called outside the lock. Keys are looked up and compared inside it, which for
strings, numbers and tuples runs no code but the interpreter's; what else may run then, or raise, meets a mailbox that
is in order.
"""

import _thread
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast, override

from pykka import ActorDeadError

from pygents.actors.account import Account
from pygents.actors.census import Census
from pygents.actors.mailbox_policy import MailboxPolicy, Overflow
from pygents.actors.room import CLOSED, NO_KEY, Owner, Place, Room, Waiter
from pygents.errors import MailboxFullError

__all__ = ["Admission", "call_all"]


class Admission[T](Account[T]):
    """The places of a mailbox's items, and who waits for one."""

    __slots__ = ("_blocked", "_closed", "_room")

    def __init__(self) -> None:
        super().__init__()
        self._closed = False
        self._blocked = False
        self._room: Room[T] | None = None

    @property
    def policy(self) -> MailboxPolicy | None:
        """What bounds it, while it is open; None if nothing does."""
        room = self._room
        return None if room is None else room.policy

    @property
    def held_here(self) -> bool:
        """Whether this thread is inside the mailbox's lock: it is a finalizer, say, that runs in the midst of it."""
        held: bool = cast("Any", self._lock)._is_owned()  # noqa: SLF001 (as threading.Condition does)
        return held

    def bind(self, policy: MailboxPolicy, owner: Owner[T]) -> None:
        """Have bounds from now on, or others. What is queued without a place gets none.

        Who waits goes on to wait, or tries again, if there may be room now or nobody waits any more.
        """
        room, line = Room(policy, owner), deque[Waiter[T]]()
        with self._lock:
            if self._closed:
                return
            if self._room is None:
                self._room = room
            else:
                room = self._room
                room.free += policy.capacity - room.policy.capacity
                room.policy, room.owner, room.has_keys = policy, owner, policy.key is not None
                if room.free > 0 or policy.overflow is not Overflow.BACKPRESSURE:
                    line, room.line = room.line, line
        call_all([waiter.tell for waiter in line])

    def stand_in_line(self, item: T, tell: Callable[[], object]) -> Waiter[T] | None:
        """Wait for a place behind all others who do, or return None if it is worth trying to `put` the item.

        Args:
            item: what is to be put
            tell: called when it need not wait longer; safe on any thread, also if called again

        """
        waiter = Waiter(item, tell)
        with self._lock:
            room = self._room
            if room is None or room.free > 0 or room.policy.overflow is not Overflow.BACKPRESSURE:
                return None
            room.line.append(waiter)
            return waiter

    def leave_line(self, waiter: Waiter[T]) -> bool:
        """Wait no longer, and return whether the item has not been let in, and will not be."""
        with self._lock:
            room = self._room
            if room is not None and waiter in room.line:
                room.line.remove(waiter)
            return not waiter.admitted

    def confirm(self, item: T) -> None:
        """Let an item count that was let in, since its sender knows of it."""
        with self._lock:
            if self._room is not None:
                self._room.unconfirmed -= {item}

    def take_back(self, item: T) -> bool:
        """Take back what was let in, unless it has been confirmed or taken, and return whether it was not."""
        told: list[Callable[[], object]] = []
        try:
            with self._lock:
                if self._room is None or item not in self._room.unconfirmed:
                    return False
                self._vacate(item, told)
                if self._closed or item not in self._items:  # what runs in the midst may close it
                    return False
                self._items.remove(item)
                return True
        finally:
            call_all(told)

    def get(self) -> T:
        """Take the oldest item, as pykka's inbox does, but without blocking.

        Raises:
            IndexError: if the mailbox is empty

        """
        told: list[Callable[[], object]] = []
        try:
            with self._lock:
                self._vacate(self._items[0], told)
                item = self._items.popleft()
                self._taken += 1
                return item
        finally:
            call_all(told)

    @override
    def renew(self) -> None:
        """Have a free lock, in a forked child, where nobody waits for room."""
        super().renew()
        if self._room is not None:
            self._room.line = deque()  # whoever waits does so in the parent

    @override
    def contents(self) -> tuple[T | None, list[T]]:
        """Return the item in hand and the queued ones, oldest first, as they are at one moment."""
        with self._lock:
            in_hand, queued = super().contents()
            unconfirmed = self._unconfirmed()
        return in_hand, [item for item in queued if item not in unconfirmed] if unconfirmed else queued

    @override
    def census(self) -> Census[T]:
        """Return what is here and how much has gone, as it is at one moment."""
        with self._lock:
            census = super().census()
            unconfirmed = self._unconfirmed()
        if not unconfirmed:
            return census
        return census._replace(queued=[item for item in census.queued if item not in unconfirmed])

    def _unconfirmed(self) -> set[T]:
        return set() if self._room is None else {*self._room.unconfirmed}

    def _take_bounded(self) -> T | None:
        """`take`, where there are bounds."""
        told: list[Callable[[], object]] = []
        try:
            with self._lock:
                if self._items and not self._blocked:
                    head = self._items[0]
                    self._vacate(head, told)
                    if self._items and self._items[0] is head and not self._blocked:  # again: after a call
                        self.in_hand = head
                        self._taken += 1
                        del self._items[0]
                        return head
                self.in_hand = None
                return None
        finally:
            if told:
                call_all(told)

    def _vacate(self, item: T, told: list[Callable[[], object]]) -> None:
        """Give up the place of an item that is going to leave the queue; `told` gets who gets it, and is to be told."""
        room = self._room
        if room is None or item not in room.taken:
            return
        if (place := room.taken[item]) is not None:
            place.item = None
        del room.taken[item]
        if room.unconfirmed:
            room.unconfirmed -= {item}
        if room.free or not room.line:
            room.free += 1
            return
        waiter = room.line[0]
        del room.line[0]
        waiter.admitted = True
        room.taken[waiter.item] = None
        room.unconfirmed |= {waiter.item}
        told += [waiter.tell]
        self._items.append(waiter.item)

    def _enter(  # noqa: C901 (in one function, or there would be calls between a look and its change)
        self, room: Room[T], item: T, key: object, dropped: list[T]
    ) -> None:
        """Let an item in as far as the policy does; `dropped` gets what is dropped for it. Under the lock.

        Raises:
            ActorDeadError: if the mailbox is closed
            MailboxFullError: if there is no place

        """
        place = None if key is NO_KEY else room.place_of(key)
        while place is not None and (old := place.item) is not None and not self._closed:
            if self._replace(room, old, item, place, dropped):
                return
        if self._closed:
            raise ActorDeadError(CLOSED)
        if room.free > 0:
            room.taken[item] = place
            room.free -= 1
            if place is not None:
                place.item = item
            self._items.append(item)
            return
        if room.policy.overflow is Overflow.DROP_NEWEST:
            if self._cleared is not None:
                self._cleared |= {item}
            dropped += [item]
            return
        if room.policy.overflow is Overflow.DROP_OLDEST:
            for oldest in room.taken:  # it ends here
                if (its_own := room.taken[oldest]) is not None:
                    its_own.item = None
                del room.taken[oldest]
                room.taken[item] = None
                self._items.append(item)
                self._put_out(room, oldest, dropped)
                return
        raise MailboxFullError(room.owner.label, room.policy.capacity)

    def _replace(self, room: Room[T], old: T, item: T, place: Place[T], dropped: list[T]) -> bool:
        """Put an item in the place of another one, if that is still there."""
        at = -1
        with suppress(ValueError):
            at = self._items.index(old)
        try:
            if self._closed or place.item is not old or self._items[at] is not old:
                return False
        except IndexError:
            return False
        self._items[at] = item
        place.item = item
        del room.taken[old]
        room.taken[item] = place
        if self._cleared is not None:
            self._cleared |= {old}
        dropped += [old]
        return True

    def _put_out(self, room: Room[T], item: T, dropped: list[T]) -> None:
        """Take an item out of the queue that has given up its place, if it is still there."""
        if self._closed or item not in self._items:
            return
        room.unconfirmed -= {item}
        if self._cleared is not None:
            self._cleared |= {item}
        dropped += [item]
        self._items.remove(item)


def call_all(functions: Sequence[Callable[[], object]]) -> None:
    """Call functions; if one has no room near the recursion limit, or is interrupted, another thread calls them."""
    try:
        for function in functions:
            function()
    except BaseException as error:
        _thread.start_new_thread(_call_all_again, (functions,))
        if not isinstance(error, RecursionError):
            raise


def _call_all_again(functions: Sequence[Callable[[], object]]) -> None:
    for function in functions:
        with suppress(Exception):
            function()
