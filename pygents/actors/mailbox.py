"""The mailbox: an actor's queue of messages and the right to handle them.

It knows nothing of messages, actors or loops: items go in, come out in order, and somebody is woken.

Invariants, all kept by the one lock:

* Closed means closed. ``put`` either appends before ``close`` took what was there, or raises; nothing slips in behind
  it.
* At most one holder has the *claim*, the right to take items: whoever got ``True`` from ``claim`` or was woken. It is
  given back by ``release`` alone, and ``release`` keeps it with its holder while there is something to do. So a message
  that arrives at an idle mailbox wakes exactly once, and one that arrives at a claimed mailbox is seen by the claim's
  holder.
* ``close`` gives what is queued to its first caller, who answers for it. What is where, and what has gone, is the
  `Account`'s; whether there is room for an item is the `Admission`'s.
* While it is *paused* nobody is woken for an item, and ``take`` gives none: it is as if none were there, but for a stop
  at the head of the queue. ``_blocked`` says so, also of a closed mailbox, so that ``take`` looks at one field.

Re-entrance: a signal handler, or a finalizer run by the garbage collector, may tell an actor on a thread that is
inside this very lock. So the lock is re-entrant, and each critical section is right although another one runs in its
midst. Such code can run only when a call has returned, at the start of a Python function and at a backward jump, and
there is none of these between a look at a field and the change that relies on it: the one call in the midst of a
section, ``append``, comes after the look at ``_closed`` and before the look at ``_claimed``. What a section drops goes
when the lock is free again, so that no message's own finalizer runs with it held.

``put`` and ``take`` are the path of every message, and ``with`` would double what they cost: 100 ns each. They call
``acquire`` as the first thing inside ``try``: a ``KeyboardInterrupt`` comes after it, when the lock is held, or out of
the wait for it, but not between the lock and the ``try``. ``wake`` is called outside the lock, on the thread that put;
it must not block, and bears being called once too often, which happens after an interrupt. If it raises, its caller
gets the error; a sender near the recursion limit has no room for it, so then another thread calls it, or the claim
would be nobody's for good. A lock and a deque rather than ``queue.SimpleQueue``: closing, claiming and looking inside
have to be one step with putting and taking.
"""

import _thread
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, cast

from pykka import ActorDeadError

from pygents.actors.admission import Admission, call_all
from pygents.actors.room import CLOSED, Room

__all__ = ["Mailbox"]


class Mailbox[T](Admission[T]):
    """A first-in-first-out queue that closes atomically and has at most one reader at a time."""

    __slots__ = (
        "_claimed",
        "_gate",
        "_paused",
        "_serves_items",
        "_stopping",
        "_wake",
        "_wake_for_items",
    )

    def __init__(self) -> None:
        super().__init__()
        self._paused = False
        self._gate: list[Callable[[], object]] = []
        self._claimed = True  # by whoever is constructing the actor, until it is opened
        self._stopping = False
        self._wake: Callable[[], None] | None = None
        self._serves_items = False
        self._wake_for_items = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        room = self._room
        line = "" if room is None else f" of {room.policy.capacity}, {len(room.line)} waiting"
        return f"<{type(self).__name__} {state}, {len(self._items)} queued{line}>"

    def open(self, wake: Callable[[], None], *, wake_for_items: bool) -> None:
        """Say who is woken when there is something to do. The claim stays with the caller until `release`.

        Args:
            wake: called, with the claim held, when somebody must act
            wake_for_items: whether an ordinary item is something to act on, or only a stop

        """
        with self._lock:
            self._wake = wake
            self._serves_items = wake_for_items
            self._wake_for_items = wake_for_items and not self._paused

    def put(self, item: T) -> None:
        """Append an item and wake the reader if nobody is reading; if there are bounds, do what they say.

        Raises:
            ActorDeadError: if the mailbox is closed
            MailboxFullError: if there is no room; see `stand_in_line`
            BaseException: what the policy's ``key`` raised

        """
        lock = self._lock
        released = claimed = False
        try:
            lock.acquire()
            if self._closed:
                raise ActorDeadError(CLOSED)  # noqa: TRY301 (below, the lock is let go)
            if (room := self._room) is not None:
                if room.free < 1 or room.has_keys:
                    released = True
                    lock.release()
                    self._seek_admission(item, room)
                    return
                room.taken[item] = None
                room.free -= 1
            self._items.append(item)
            if self._wake_for_items and not self._claimed:
                self._claimed = claimed = True
            released = True
            lock.release()
            if claimed:
                self._call_wake()
        except BaseException as error:
            if not released:
                self._let_go_of_lock()
            if claimed and isinstance(error, RecursionError):
                _thread.start_new_thread(self._call_wake, ())  # written in C: it takes none of the frames that lack
            elif claimed and not isinstance(error, Exception):
                self._call_wake()  # an interrupt came, before the wake or after it
            raise

    def _seek_admission(self, item: T, room: Room[T]) -> None:
        policy, owner = room.policy, room.owner
        key = room.key_of(item)
        dropped: list[T] = []
        claimed = False
        try:
            with self._lock:
                self._enter(room, item, key, dropped)
                if self._wake_for_items and not self._claimed:
                    self._claimed = claimed = True
            if claimed:
                self._call_wake()
        except BaseException as error:
            if claimed and isinstance(error, RecursionError):
                _thread.start_new_thread(self._call_wake, ())
            elif claimed and not isinstance(error, Exception):
                self._call_wake()
            raise
        finally:
            call_all([partial(owner.bury, one, policy) for one in dropped])

    def put_exempt(self, item: T) -> None:
        """Append an item that no bound holds for; it is never refused for want of room.

        Raises:
            ActorDeadError: if the mailbox is closed

        """
        with self._lock:
            if self._closed:
                raise ActorDeadError(CLOSED)
            self._items.append(item)
            wakes = self._wake_for_items and not self._claimed
            self._claimed = self._claimed or wakes
        try:
            if wakes:
                self._call_wake()
        except RecursionError:
            _thread.start_new_thread(self._call_wake, ())
            raise

    def put_stop(self, item: T) -> None:
        """Append an item that ends the reader, and wake somebody for it even if nobody reads ordinary items.

        Raises:
            ActorDeadError: if the mailbox is closed

        """
        with self._lock:
            if self._closed:
                raise ActorDeadError(CLOSED)
            self._stopping = True
            self._items.append(item)
            gate = self._see_to_gate()
            claimed, self._claimed = self._claimed, True
        call_all(gate)
        if claimed:
            return
        try:
            self._call_wake()
        except RecursionError:
            _thread.start_new_thread(self._call_wake, ())
            raise

    def put_in_place(self, item: T) -> None:
        """Append an item in the place of the one in hand, which stays there, but for `contents`: it sees one of them.

        Raises:
            ActorDeadError: if the mailbox is closed

        """
        with self._lock:
            if self._closed:
                raise ActorDeadError(CLOSED)
            _stale, self._replaced = self._replaced, self.in_hand  # it goes at the end, with the lock free
            self._items.append(item)

    def take(self) -> T | None:
        """Take the oldest item in hand and return it, or None; for the holder of the claim."""
        lock = self._lock
        try:
            lock.acquire()
            if self._room is not None:
                lock.release()
                return self._take_bounded()
            if self._items and not self._blocked:
                self.in_hand = item = self._items[0]
                self._taken += 1
                del self._items[0]  # not popleft: after a call others may look, and the item would be nowhere
            else:
                self.in_hand = item = None
        except BaseException:
            self._let_go_of_lock()
            raise
        lock.release()
        return item

    def peek(self) -> T | None:
        """Return the oldest item without taking it, or None; for the holder of the claim."""
        with self._lock:
            return self._items[0] if self._items else None

    def put_back(self, item: T) -> bool:
        """Return the item in hand to the head of the queue, in one step; in a closed mailbox it stays in hand."""
        with self._lock:
            if self._closed or self.in_hand is not item:
                return False
            self.in_hand = None
            _stale, self._replaced = self._replaced, None
            if self._left_out is not item:
                self._taken -= 1
            self._left_out = None
            self._items.appendleft(item)
            return True

    def claim(self) -> bool:
        """Try to get the right to take items."""
        with self._lock:
            if self._claimed:
                return False
            self._claimed = True
            return True

    def release(self) -> bool:
        """Give the claim back, unless something waits that only the holder of the claim will see.

        Returns:
            False if the claim stays: there are items to handle, or a stop.

        """
        with self._lock:
            if self._closed:
                return True
            if self._items and not self._blocked and (self._stopping or self._wake_for_items):
                return False
            self._claimed = False
            return True

    def pause(self) -> bool:
        """Give no items, and wake nobody for one, until `resume`; return whether that is news."""
        with self._lock:
            news, self._paused = not self._paused, True
            self._wake_for_items = False
            self._see_to_gate()
            return news

    def resume(self) -> bool:
        """Give items again, and wake the reader if there are some; return whether that is news."""
        with self._lock:
            if not self._paused:
                return False
            self._paused = False
            self._wake_for_items = self._serves_items
            gate = self._see_to_gate()
            wakes = bool(self._items) and self._wake_for_items and not self._claimed
            self._claimed = self._claimed or wakes
        call_all(gate)
        if wakes:
            self._call_wake()
        return True

    def at_gate(self, opened: Callable[[], object]) -> bool:
        """Have a function called when `take` gives items again, or never will; return whether it does not now."""
        with self._lock:
            if self._blocked and not self._closed:
                self._gate.append(opened)
                return True
            return False

    def _see_to_gate(self) -> list[Callable[[], object]]:
        """See whether `take` may give items, and return who is to be told that it may; under the lock."""
        stops = self._stopping and len(self._items) == 1  # what is queued is the stop
        self._blocked = self._closed or (self._paused and not stops)
        if self._blocked and not self._closed:
            return []
        gate, self._gate = self._gate, []
        return gate

    def close(self) -> list[T]:
        """Accept nothing more; the claim stays taken for good.

        Returns:
            What is queued, to the first caller alone. It stays visible in `contents` until `forget`.

        """
        waiting: list[Callable[[], object]] = []
        try:
            return self._shut(waiting)
        finally:
            call_all(waiting)

    def try_close(self) -> list[T] | None:
        """Close as `close` does, or return None if the lock is taken, by this thread or another.

        For a finalizer that goes on to take other locks: it must not wait, nor do so with this one held.
        """
        if self.held_here or not self._lock.acquire(blocking=False):
            return None
        waiting: list[Callable[[], object]] = []
        try:
            return self._shut(waiting)
        finally:
            self._lock.release()
            call_all(waiting)

    def _shut(self, waiting: list[Callable[[], object]]) -> list[T]:
        """Be closed, and return what is queued; `waiting` gets who is to be told."""
        with self._lock:
            if self._closed:
                return []
            self._closed = self._claimed = True
            wake, self._wake = self._wake, None  # breaks the cycle of actor and mailbox
            room, self._room = self._room, None
            waiting += self._see_to_gate()
            if room is not None:
                waiting += map(attrgetter("tell"), room.line)
            rest = list(self._items)
        del wake
        return rest

    def leave_behind(self) -> list[T]:
        """Close in a forked child, where a thread that held the lock does not exist; return what is left."""
        self.renew()
        self.close()
        return self.clear()

    @property
    def claimed(self) -> bool:
        """Whether somebody has the right to take items."""
        return self._claimed

    @property
    def blocked(self) -> bool:
        """Whether `take` gives no items, because it is paused or closed."""
        return self._blocked

    @property
    def paused(self) -> bool:
        """Whether items wait until `resume`."""
        return self._paused

    @property
    def closed(self) -> bool:
        """Whether the mailbox accepts nothing more."""
        return self._closed

    def _let_go_of_lock(self) -> None:
        """Release the lock after an interrupt, unless that came out of the wait for it."""
        if cast("Any", self._lock)._is_owned():  # noqa: SLF001 (not `held_here`: there may be no frame left for it)
            self._lock.release()

    def _call_wake(self) -> None:
        wake = self._wake
        if wake is not None:  # None: closed between the lock and here; close has taken the item
            wake()
