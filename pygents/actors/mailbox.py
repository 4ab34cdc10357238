"""The mailbox: an actor's queue of messages and the right to handle them.

It knows nothing of messages, actors or loops: items go in, come out in order, and somebody is woken.

Invariants, all kept by the one lock:

* Closed means closed. ``put`` either appends before ``close`` took what was there, or raises; nothing slips in behind
  it.
* At most one holder has the *claim*, the right to take items: whoever got ``True`` from ``claim`` or was woken. It is
  given back by ``release`` alone, and ``release`` keeps it with its holder while there is something to do. So a message
  that arrives at an idle mailbox wakes exactly once, and one that arrives at a claimed mailbox is seen by the claim's
  holder.
* An item is queued or in hand or gone, and ``contents`` sees it in exactly one of these places. ``close`` gives what is
  queued to its first caller, who answers for it. One in hand that is *replaced* has not gone, but ``contents`` does not
  see it from the step on in which it sees the item in its place.
* Each item is counted once, in the step in which it goes: ``census`` sees it in a place or in a count. One that is
  cleared in a mailbox that keeps account is seen as cleared until whoever got it has counted it.

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
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from pykka import ActorDeadError

from pygents.actors.census import Census

__all__ = ["Mailbox"]


class Mailbox[T]:
    """A first-in-first-out queue that closes atomically and has at most one reader at a time."""

    __slots__ = (
        "_claimed",
        "_cleared",
        "_closed",
        "_failed",
        "_in_hand",
        "_items",
        "_left_out",
        "_lock",
        "_lost",
        "_replaced",
        "_stopping",
        "_taken",
        "_wake",
        "_wake_for_items",
    )

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._items: deque[T] = deque()
        self._in_hand: T | None = None
        self._closed = False
        self._claimed = True  # by whoever is constructing the actor, until it is opened
        self._stopping = False
        self._taken = 0  # but for what is left out
        self._failed = 0
        self._lost = 0
        self._left_out: T | None = None
        self._replaced: T | None = None
        self._cleared: set[T] | None = None
        self._wake: Callable[[], None] | None = None
        self._wake_for_items = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} {state}, {len(self._items)} queued>"

    def __len__(self) -> int:
        return len(self._items)

    def open(self, wake: Callable[[], None], *, wake_for_items: bool) -> None:
        """Say who is woken when there is something to do. The claim stays with the caller until `release`.

        Args:
            wake: called, with the claim held, when somebody must act
            wake_for_items: whether an ordinary item is something to act on, or only a stop

        """
        with self._lock:
            self._wake = wake
            self._wake_for_items = wake_for_items

    def put(self, item: T) -> None:
        """Append an item and wake the reader if nobody is reading.

        Raises:
            ActorDeadError: if the mailbox is closed

        """
        lock = self._lock
        released = claimed = False
        try:
            lock.acquire()
            if self._closed:
                raise ActorDeadError(_CLOSED)  # noqa: TRY301 (below, the lock is let go)
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

    def put_stop(self, item: T) -> None:
        """Append an item that ends the reader, and wake somebody for it even if nobody reads ordinary items.

        Raises:
            ActorDeadError: if the mailbox is closed

        """
        with self._lock:
            if self._closed:
                raise ActorDeadError(_CLOSED)
            self._stopping = True
            self._items.append(item)
            if self._claimed:
                return
            self._claimed = True
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
                raise ActorDeadError(_CLOSED)
            _stale, self._replaced = self._replaced, self._in_hand  # it goes at the end, with the lock free
            self._items.append(item)

    def take(self) -> T | None:
        """Take the oldest item in hand and return it, or None; for the holder of the claim."""
        lock = self._lock
        try:
            lock.acquire()
            if self._items and not self._closed:
                self._in_hand = item = self._items[0]
                self._taken += 1
                del self._items[0]  # not popleft: after a call others may look, and the item would be nowhere
            else:
                self._in_hand = item = None
        except BaseException:
            self._let_go_of_lock()
            raise
        lock.release()
        return item

    def peek(self) -> T | None:
        """Return the oldest item without taking it, or None; for the holder of the claim."""
        with self._lock:
            return self._items[0] if self._items else None

    @property
    def in_hand(self) -> T | None:
        """The item taken last, until it is done."""
        return self._in_hand

    def done(self, item: T) -> None:
        """Drop the item in hand, if it is this one: it has ended."""
        if self._in_hand is item:
            self._in_hand = None
            self._left_out = self._replaced = None

    def keep_account(self) -> None:
        """Keep what is cleared in the `census` until it is counted."""
        self._cleared = set()

    def drop(self, item: T, *, failed: bool = False) -> None:
        """Drop an item that is in hand or was cleared, and count it as failed or lost."""
        with self._lock:
            if self._in_hand is item:
                self._in_hand = None
                _stale, self._replaced = self._replaced, None
            elif self._cleared and item in self._cleared:
                self._cleared -= {item}  # not remove: after a call others may look
                self._taken += 1
            else:
                return
            if failed:
                self._failed += 1
            else:
                self._lost += 1

    def leave_out(self, item: T) -> None:
        """Have an item that is in hand or was cleared count for nothing; doing it again changes nothing."""
        with self._lock:
            if self._in_hand is item:
                if self._left_out is not item:
                    self._left_out = item
                    self._taken -= 1
            elif self._cleared:
                self._cleared -= {item}

    def hold(self, item: T) -> None:
        """Put an item in hand as if it had been taken, ahead of all that is queued."""
        with self._lock:
            self._taken += 1
            self._in_hand = item

    def put_back(self, item: T) -> bool:
        """Return the item in hand to the head of the queue, in one step; in a closed mailbox it stays in hand."""
        with self._lock:
            if self._closed or self._in_hand is not item:
                return False
            self._in_hand = None
            _stale, self._replaced = self._replaced, None
            if self._left_out is not item:
                self._taken -= 1
            self._left_out = None
            self._items.appendleft(item)
            return True

    def withdraw(self, item: T) -> bool:
        """Take back what was put, if it is still queued, and return whether it is."""
        with self._lock:
            try:
                self._items.remove(item)
            except ValueError:
                return False
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
            if self._items and (self._stopping or self._wake_for_items):
                return False
            self._claimed = False
            return True

    def close(self) -> list[T]:
        """Accept nothing more; the claim stays taken for good.

        Returns:
            What is queued, to the first caller alone. It stays visible in `contents` until `forget`.

        """
        with self._lock:
            if self._closed:
                return []
            self._closed = self._claimed = True
            wake, self._wake = self._wake, None  # breaks the cycle of actor and mailbox
            rest = list(self._items)
        del wake
        return rest

    def try_close(self) -> list[T] | None:
        """Close as `close` does, or return None if the lock is taken, by this thread or another.

        For a finalizer that goes on to take other locks: it must not wait, nor do so with this one held.
        """
        held_here: bool = cast("Any", self._lock)._is_owned()  # noqa: SLF001 (as threading.Condition does)
        if held_here or not self._lock.acquire(blocking=False):
            return None
        try:
            return self.close()
        finally:
            self._lock.release()

    def clear(self) -> list[T]:
        """Return what is left, the one in hand first, and drop it: each item goes to one caller."""
        empty: deque[T] = deque()
        with self._lock:
            left = [*self._items]
            if self._in_hand is not None:
                left = [self._in_hand, *left]
                if self._left_out is not self._in_hand:
                    self._taken -= 1
                self._in_hand = self._left_out = None
            _stale, self._replaced = self._replaced, None
            if self._cleared is not None:
                self._cleared |= {*left}
            self._items = empty
            return left

    def clear_queued(self) -> list[T]:
        """Return what is queued, and drop it: each item goes to one caller."""
        empty: deque[T] = deque()
        with self._lock:
            left = [*self._items]
            if self._cleared is not None:
                self._cleared |= {*left}
            self._items = empty
            return left

    def leave_behind(self) -> list[T]:
        """Close in a forked child, where a thread that held the lock does not exist; return what is left."""
        self.renew()
        self.close()
        return self.clear()

    def renew(self) -> None:
        """Have a free lock, in a forked child; a fork comes between the same steps as a finalizer."""
        self._lock = threading.RLock()

    def forget(self) -> None:
        """Drop what is left in a closed mailbox, once it has been answered."""
        self.clear()

    def contents(self) -> tuple[T | None, list[T]]:
        """Return the item in hand and the queued ones, oldest first, as they are at one moment."""
        with self._lock:
            replaced, in_hand = self._replaced, self._in_hand  # in this order: `done` takes no lock
            return None if in_hand is replaced else in_hand, list(self._items)

    def census(self) -> Census[T]:
        """Return what is here and how much has gone, as it is at one moment."""
        with self._lock:
            left_out = self._left_out  # first: `done` takes no lock, and rids itself of this one last
            in_hand = self._in_hand
            gone = self._taken if in_hand is None or in_hand is left_out else self._taken - 1
            return Census(gone, self._failed, self._lost, in_hand, [*self._items], [*(self._cleared or ())])

    @property
    def claimed(self) -> bool:
        """Whether somebody has the right to take items."""
        return self._claimed

    @property
    def closed(self) -> bool:
        """Whether the mailbox accepts nothing more."""
        return self._closed

    def get(self) -> T:
        """Take the oldest item, as pykka's inbox does, but without blocking.

        Raises:
            IndexError: if the mailbox is empty

        """
        with self._lock:
            item = self._items.popleft()
            self._taken += 1
            return item

    def empty(self) -> bool:
        """Whether nothing is queued."""
        return not self._items

    def _let_go_of_lock(self) -> None:
        """Release the lock after an interrupt, unless that came out of the wait for it."""
        if cast("Any", self._lock)._is_owned():  # noqa: SLF001 (as threading.Condition does)
            self._lock.release()

    def _call_wake(self) -> None:
        wake = self._wake
        if wake is not None:  # None: closed between the lock and here; close has taken the item
            wake()


_CLOSED = "the mailbox is closed"
