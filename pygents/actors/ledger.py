"""Ledger: what has become of one child's messages. Each one is counted once, and no dead one vanishes.

What has been handled is not counted but derived: it is what the mailbox has given out, and what is neither in hand nor
has gone wrong.

Invariant: the counts are changed by whoever has the envelope that they are about: the holder of the mailbox's claim, or
the one to whom the closed mailbox gave it. A message leaves the mailbox before it is counted as gone wrong, so that a
reader on another thread sees no negative count.
"""

# pyright: reportPrivateUsage=false

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pykka.messages import _ActorStop

from pygents.actors.answers import answer, answer_dead, fail_reply
from pygents.actors.dead_letters import DeadLetter, DeadLetterReason
from pygents.actors.envelope import Sent
from pygents.actors.statistics import Statistics
from pygents.actors.watch import Terminated
from pygents.errors import ActorFailedError

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from pygents.actors.mailbox import Mailbox

__all__ = ["Ledger"]

_TOLD_WHY = {DeadLetterReason.POISON, DeadLetterReason.UNHANDLED}


class Ledger:
    """The accounts of one child's mailbox.

    Args:
        path: the child's
        inbox: its mailbox
        record: keeps a dead letter

    """

    __slots__ = ("_attempts", "_dead", "_failed_asks", "_inbox", "_internal", "_latest", "_path", "_record", "_retried")

    def __init__(self, path: str, inbox: "Mailbox[Envelope[Any]]", record: Callable[[DeadLetter], None]) -> None:
        self._path = path
        self._inbox = inbox
        self._record = record
        self._failed_asks = 0
        self._dead = 0
        self._internal = 0  # of those that the mailbox has given out, the ones that are no user's
        self._latest: Envelope[Any] | None = None
        self._retried: Envelope[Any] | None = None
        self._attempts = 0

    @property
    def attempt(self) -> int:
        """Which run of the message in hand this is, from 1."""
        return self._attempts + 1 if self._retried is not None and self._retried is self._inbox.in_hand else 1

    def note_internal(self, envelope: "Envelope[Any]") -> None:
        """Leave a message out of the accounts, which is the runtime's own; doing it again changes nothing."""
        if envelope is not self._latest:
            self._latest = envelope
            self._internal += 1

    def note_refused(self) -> None:
        """Leave a message out that its sender was told is not accepted."""
        self._internal += 1

    def go_back(self, envelope: "Envelope[Any]", attempts: int, failure: BaseException | None = None) -> bool:
        """Return the message in hand to the head of the mailbox; if it has been run so many times, it is poison."""
        attempt = self.attempt
        if attempt < attempts and self._inbox.put_back(envelope):
            self._retried, self._attempts = envelope, attempt
            return True
        if attempt < attempts:
            self.bury(envelope, DeadLetterReason.CUT, failure)
        else:
            cut = ActorFailedError(self._path, f"the message was cut in each of its {attempt} runs")
            self.bury(envelope, DeadLetterReason.POISON, failure or cut)
        return False

    def forget_ended(self) -> None:
        """Keep nothing of messages that have ended, now that none is in hand."""
        if not len(self._inbox):
            self._latest = self._retried = None

    def spend_failed(self, envelope: "Envelope[Any]", failure: BaseException) -> None:
        """Let go of a message that has failed: its asker gets the failure, and if nobody asked it is a dead letter."""
        if envelope.reply_to is None:
            self.bury(envelope, DeadLetterReason.FAILED, failure)
            return
        self._inbox.done(envelope)
        self._failed_asks += 1
        fail_reply(envelope.reply_to, failure, self._path)

    def bury(self, envelope: "Envelope[Any]", reason: DeadLetterReason, failure: BaseException | None = None) -> None:
        """Make a message a dead letter, and tell whoever asked."""
        self._inbox.done(envelope)
        self._write_off(envelope)
        self._announce(envelope, reason, failure)

    def clear_queued(self) -> "Callable[[], None]":
        """Write what is queued off, because the recipient stops; what is returned says so to everybody.

        The two are apart because the first is done under a lock, and the second may run anybody's code.
        """
        rest = self._inbox.clear_queued()
        for envelope in rest:
            self._write_off(envelope)

        def announce() -> None:
            for envelope in rest:
                self._announce(envelope, DeadLetterReason.STOPPED)

        return announce

    def bury_all(self, envelopes: "Iterable[Envelope[Any]]") -> None:
        """Make messages dead letters, because their recipient stops."""
        for envelope in envelopes:
            self.bury(envelope, DeadLetterReason.STOPPED)

    def _write_off(self, envelope: "Envelope[Any]") -> None:
        if isinstance(envelope.message, (_ActorStop, Terminated)):
            self.note_internal(envelope)
        else:
            self._dead += 1

    def _announce(
        self, envelope: "Envelope[Any]", reason: DeadLetterReason, failure: BaseException | None = None
    ) -> None:
        if isinstance(envelope.message, (_ActorStop, Terminated)):
            answer(envelope.reply_to, True)  # noqa: FBT003
            return
        self._record(
            DeadLetter(
                message=envelope.message,
                recipient=self._path,
                sender=envelope.sender if isinstance(envelope, Sent) else None,
                reason=reason,
                failure=failure,
                at=time.time(),
            )
        )
        if reason in _TOLD_WHY and failure is not None and envelope.reply_to is not None:
            fail_reply(envelope.reply_to, failure, self._path)
        else:
            answer_dead(envelope, self._path)

    def balance(self) -> Statistics:
        """Return the counts, as they are now."""
        taken, in_hand, waiting = self._inbox.census()
        queued = users = sum(not isinstance(envelope.message, (_ActorStop, Terminated)) for envelope in waiting)
        if in_hand is not None and not isinstance(in_hand.message, (_ActorStop, Terminated)):
            queued += 1
        accepted = taken - self._internal + users
        wrong, dead = self._failed_asks, self._dead
        return Statistics(
            accepted=accepted,
            handled=accepted - queued - wrong - dead,
            answered_with_error=wrong,
            dead_lettered=dead,
            queued=queued,
        )
