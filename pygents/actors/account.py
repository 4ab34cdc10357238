"""Account: what is in a mailbox, and what has gone from it. It knows nothing of who may take or put an item, or when.

Invariants, all kept by the one lock, which the mailbox explains:

* An item is queued or in hand or gone, and ``contents`` sees it in exactly one of these places. One in hand that is
  *replaced* has not gone, but ``contents`` does not see it from the step on in which it sees the item in its place.
* Each item is counted once, in the step in which it goes: ``census`` sees it in a place or in a count. One that is
  cleared in a mailbox that keeps account is seen as cleared until whoever got it has counted it.
"""

import threading
from collections import deque

from pygents.actors.census import Census

__all__ = ["Account"]


class Account[T]:
    """The items of a mailbox, and the counts of those that have gone."""

    __slots__ = (
        "_cleared",
        "_failed",
        "_items",
        "_left_out",
        "_lock",
        "_lost",
        "_replaced",
        "_taken",
        "in_hand",
    )

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._items: deque[T] = deque()
        self.in_hand: T | None = None
        """The item taken last, until it is done; an attribute, since a call would cost every message."""
        self._taken: int = 0  # but for what is left out
        self._failed = 0
        self._lost = 0
        self._left_out: T | None = None
        self._replaced: T | None = None
        self._cleared: set[T] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def empty(self) -> bool:
        """Whether nothing is queued."""
        return not self._items

    def done(self, item: T) -> None:
        """Drop the item in hand, if it is this one: it has ended."""
        if self.in_hand is item:
            self.in_hand = None
            self._left_out = self._replaced = None

    def keep_account(self) -> None:
        """Keep what is cleared in the `census` until it is counted."""
        self._cleared = set()

    def drop(self, item: T, *, failed: bool = False) -> None:
        """Drop an item that is in hand or was cleared, and count it as failed or lost."""
        with self._lock:
            if self.in_hand is item:
                self.in_hand = None
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
            if self.in_hand is item:
                if self._left_out is not item:
                    self._left_out = item
                    self._taken -= 1
            elif self._cleared:
                self._cleared -= {item}

    def hold(self, item: T) -> None:
        """Put an item in hand as if it had been taken, ahead of all that is queued."""
        with self._lock:
            self._taken += 1
            self.in_hand = item

    def clear(self) -> list[T]:
        """Return what is left in a closed mailbox, the one in hand first, and drop it: each item goes to one caller."""
        empty: deque[T] = deque()
        with self._lock:
            left = [*self._items]
            if self.in_hand is not None:
                left = [self.in_hand, *left]
                if self._left_out is not self.in_hand:
                    self._taken -= 1
                self.in_hand = self._left_out = None
            _stale, self._replaced = self._replaced, None
            if self._cleared is not None:
                self._cleared |= {*left}
            self._items = empty
            return left

    def clear_queued(self) -> list[T]:
        """Return what is queued in a closed mailbox, and drop it: each item goes to one caller."""
        empty: deque[T] = deque()
        with self._lock:
            left = [*self._items]
            if self._cleared is not None:
                self._cleared |= {*left}
            self._items = empty
            return left

    def forget(self) -> None:
        """Drop what is left in a closed mailbox, once it has been answered."""
        self.clear()

    def renew(self) -> None:
        """Have a free lock, in a forked child; a fork comes between the same steps as a finalizer."""
        self._lock = threading.RLock()

    def contents(self) -> tuple[T | None, list[T]]:
        """Return the item in hand and the queued ones, oldest first, as they are at one moment."""
        with self._lock:
            replaced, in_hand = self._replaced, self.in_hand  # in this order: `done` takes no lock
            return None if in_hand is replaced else in_hand, list(self._items)

    def census(self) -> Census[T]:
        """Return what is here and how much has gone, as it is at one moment."""
        with self._lock:
            left_out = self._left_out  # first: `done` takes no lock, and rids itself of this one last
            in_hand = self.in_hand
            gone = self._taken if in_hand is None or in_hand is left_out else self._taken - 1
            return Census(gone, self._failed, self._lost, in_hand, [*self._items], [*(self._cleared or ())])
