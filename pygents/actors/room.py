"""Room: the places of a bounded mailbox: who has one, and who waits for one. The rules are those of `Admission`."""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol

from pygents.actors.mailbox_policy import MailboxPolicy

__all__ = ["NO_KEY", "Owner", "Place", "Room", "Waiter"]

NO_KEY = object()
"""In the place of a key, of an item that has none."""


class Owner[T](Protocol):
    """Whose mailbox it is, who knows what the items are."""

    @property
    def label(self) -> str:
        """Its name, as text."""
        ...

    def key_of(self, item: T, policy: MailboxPolicy, /) -> Hashable:
        """Return the key of an item, under a policy that has keys."""
        ...

    def bury(self, item: T, policy: MailboxPolicy, /) -> None:
        """Answer for an item that was dropped; called outside the lock, on the thread that put another one."""


class Waiter[T]:
    """A sender that waits for a place.

    Args:
        item: what it puts
        tell: called when it need not wait longer; safe on any thread, also if called again

    """

    __slots__ = ("admitted", "item", "tell")

    def __init__(self, item: T, tell: Callable[[], object]) -> None:
        self.item = item
        self.tell = tell
        self.admitted = False
        """Whether its item is in the queue, or has been; if not, it is worth trying again."""


class Place[T]:
    """The place of the items with one key, of which one at the most is queued."""

    __slots__ = ("item",)

    def __init__(self) -> None:
        self.item: T | None = None

    def is_empty(self) -> bool:
        """Return whether none is queued."""
        return self.item is None


class Room[T]:
    """The places of one mailbox."""

    __slots__ = ("_by_key", "free", "has_keys", "line", "owner", "policy", "taken", "unconfirmed")

    def __init__(self, policy: MailboxPolicy, owner: Owner[T]) -> None:
        self.policy = policy
        self.owner = owner
        self.has_keys = policy.key is not None
        """Whether what is put may take the place of what has the same key."""
        self.free = policy.capacity
        """Places that nobody has; below zero if there have been more."""
        self.taken: dict[T, Place[T] | None] = {}
        """The queued items that have a place, oldest first, each with that of its key, if it has a key."""
        self.line: deque[Waiter[T]] = deque()
        """Who waits for a place, longest first."""
        self.unconfirmed: set[T] = set()
        """Items that were let in, and whose senders do not know that yet."""
        self._by_key: dict[object, Place[T]] = {}

    def key_of(self, item: T) -> object:
        """Return the key of an item, or `NO_KEY`; it calls a function of the user's.

        Raises:
            TypeError: if the key is not hashable
            BaseException: what the function raised

        """
        policy = self.policy
        if policy.key is None:
            return NO_KEY
        key = self.owner.key_of(item, policy)
        try:
            hash(key)
        except TypeError as error:
            msg = f"{policy.key!r} gave {key!r}, which cannot be a key: let it return a string, say"
            raise TypeError(msg) from error
        return key

    def place_of(self, key: object) -> Place[T]:
        """Return the place of a key, which from now on has one."""
        if len(self._by_key) > 2 * self.policy.capacity + 8:
            self._sweep()
        return self._by_key.setdefault(key, Place())

    def _sweep(self) -> None:
        """Forget the keys of which nothing is queued; they are the majority then, so it costs each put a little."""
        for key, place in [*self._by_key.items()]:
            if place.is_empty():
                self._by_key.pop(key, None)
                if not place.is_empty():  # the key's own ``__eq__`` may have put one
                    self._by_key.setdefault(key, place)
