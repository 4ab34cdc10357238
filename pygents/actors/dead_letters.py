"""Dead letters: messages that nobody will handle, each with its reason, where people see them and send them again.

It knows no actor: whoever makes the store says how a letter is delivered again. Akka's dead letters, kept.

Invariant: ``_lock`` guards the letters and the count of what was dropped; delivering and publishing happen outside it.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from pygents.actors.answers import log, show
from pygents.actors.checks import checked_count
from pygents.actors.events import EventStream, Subscription

__all__ = ["DeadLetter", "DeadLetterReason", "DeadLetters"]


class DeadLetterReason(Enum):
    """Why nobody will handle a message."""

    STOPPED = "stopped"
    """Its recipient has stopped."""
    MAILBOX_FULL = "mailbox_full"
    """Its recipient's mailbox had no room."""
    COALESCED = "coalesced"
    """A newer message with the same key has taken its place."""
    POISON = "poison"
    """It was run as often as it may be."""
    FAILED = "failed"
    """Its handler failed, and nobody asked."""
    UNHANDLED = "unhandled"
    """Its recipient does not understand it."""
    EXPIRED = "expired"
    """Whoever asked had given up before its recipient came to it."""
    CUT = "cut"
    """It was being handled when its recipient was ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that nobody will handle."""

    message: object
    """The message."""
    recipient: str
    """The path of the actor that it was sent to."""
    sender: str | None
    """The path of the actor that sent it, if one did."""
    reason: DeadLetterReason
    """Why nobody will handle it."""
    failure: BaseException | None = None
    """What its handler raised, with the traceback."""
    at: float
    """When it died, in seconds since the epoch."""
    _along: object = field(default=None, repr=False, compare=False)
    """What a layer above has the message take along when it is sent again."""


type Deliver = Callable[[str, DeadLetter], None]
"""Sends a letter's message to the actor at a path; raises if it is not taken."""


class DeadLetters:
    """The last letters that died, oldest first.

    Args:
        capacity: letters that are kept at the most; beyond, the oldest are dropped, counted and logged
        deliver: sends a letter's message to the actor at a path

    Raises:
        TypeError: if the capacity is no integer
        ValueError: if it is below 1

    """

    def __init__(self, capacity: int, deliver: Deliver) -> None:
        checked_count("capacity", capacity, least=1)
        self._lock = threading.RLock()  # a finalizer may send what dies
        self._letters: deque[DeadLetter] = deque()
        self._capacity = capacity
        self._deliver = deliver
        self._dropped = 0
        self._stream: EventStream[DeadLetter] = EventStream()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._letters)} kept, {self._dropped} dropped>"

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        with self._lock:
            return iter(tuple(self._letters))

    @property
    def dropped(self) -> int:
        """How many letters were dropped because there were too many."""
        return self._dropped

    def record(self, letter: DeadLetter) -> None:
        """Keep a letter, and hand it to whoever has subscribed."""
        lost: DeadLetter | None = None
        with self._lock:
            if len(self._letters) == self._capacity:
                lost = self._letters.popleft()
                self._dropped += 1
            self._letters.append(letter)
        if lost is not None:
            log(logging.WARNING, "The oldest of %d dead letters is dropped: %s", self._capacity, show(lost))
        self._stream.publish(letter)

    def where(self, *, recipient: str | None = None, reason: DeadLetterReason | None = None) -> list[DeadLetter]:
        """Return the letters to a recipient, for a reason, or both."""
        return [
            letter
            for letter in self
            if (recipient is None or letter.recipient == recipient) and (reason is None or letter.reason is reason)
        ]

    def subscribe(self, *, capacity: int = 1_000) -> Subscription[DeadLetter]:
        """Return the letters from now on, as an asynchronous iterator; it ends with the system.

        Args:
            capacity: letters that wait for the subscriber at the most; beyond, the oldest are lost and counted

        Raises:
            TypeError: if the capacity is no integer
            ValueError: if it is below 1

        """
        return self._stream.subscribe(capacity=capacity)

    def close(self) -> None:
        """End all subscriptions, once each subscriber has got what waits for it; letters are still kept."""
        self._stream.close()

    def redrive(self, letter: DeadLetter, *, to: str | None = None) -> None:
        """Send a letter again, to its recipient or another; it is no longer dead then.

        Args:
            letter: one of the letters
            to: the path of another recipient

        Raises:
            ValueError: if it is not among the letters, or no longer
            Exception: if it is not taken; it stays then

        """
        if not self._send_again(letter, to):
            msg = f"{letter!r} is not among the dead letters: it was sent again, or dropped"
            raise ValueError(msg)

    def redrive_all(self, *, to: str | None = None) -> int:
        """Send all letters again, oldest first, and return how many; the first that is not taken ends it.

        Raises:
            Exception: if one is not taken; it stays then, with those behind it

        """
        return sum(self._send_again(letter, to) for letter in self)

    def _send_again(self, letter: DeadLetter, to: str | None) -> bool:
        """Send a letter unless somebody else has; taken out first, so that no two do."""
        with self._lock:
            place = next((index for index, known in enumerate(self._letters) if known is letter), None)
            if place is None:
                return False
            del self._letters[place]
        try:
            self._deliver(letter.recipient if to is None else to, letter)
        except BaseException:
            with self._lock:
                self._letters.insert(place, letter)
            raise
        return True
