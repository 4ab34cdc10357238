"""Ledger: what has become of one child's messages. Each one is counted once, and no dead one vanishes.

What has been handled is not counted but derived: it is what has gone from the mailbox, and has not gone wrong.

Invariant: the counts are the mailbox's, which changes them in the step in which a message goes, so that `balance` is
right at any moment, for any thread. What is cleared is dead from that step on, and is dropped when it is announced.
Which messages are the runtime's own is seen from themselves as long as they are there; one in hand is left out before
it can go.
"""

# pyright: reportPrivateUsage=false

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pykka.messages import _ActorStop

from pygents.actors.answers import answer, answer_dead, answer_late, fail_reply
from pygents.actors.dead_letters import DeadLetter, DeadLetterReason
from pygents.actors.envelope import Sent
from pygents.actors.statistics import Statistics
from pygents.actors.watch import Terminated
from pygents.errors import ActorFailedError

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from pygents.actors.mailbox import Mailbox

__all__ = ["Ledger"]

_TOLD_WHY = {
    DeadLetterReason.COALESCED,
    DeadLetterReason.MAILBOX_FULL,
    DeadLetterReason.POISON,
    DeadLetterReason.UNHANDLED,
}


class Ledger:
    """The accounts of one child's mailbox.

    Args:
        path: the child's
        inbox: its mailbox
        record: keeps a dead letter

    """

    __slots__ = ("_attempts", "_inbox", "_path", "_record", "_retried")

    def __init__(self, path: str, inbox: "Mailbox[Envelope[Any]]", record: Callable[[DeadLetter], None]) -> None:
        self._path = path
        self._inbox = inbox
        self._record = record
        inbox.keep_account()
        self._retried: Envelope[Any] | None = None
        self._attempts = 0

    @property
    def attempt(self) -> int:
        """Which run of the message in hand this is, from 1."""
        return self._attempts + 1 if self._retried is not None and self._retried is self._inbox.in_hand else 1

    def note_internal(self, envelope: "Envelope[Any]") -> None:
        """Leave a message out of the accounts, which is the runtime's own; doing it again changes nothing."""
        self._inbox.leave_out(envelope)

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
            self._retried = None

    def spend_failed(self, envelope: "Envelope[Any]", failure: BaseException) -> None:
        """Let go of a message that has failed: its asker gets the failure, and if nobody asked it is a dead letter."""
        if envelope.reply_to is None:
            self.bury(envelope, DeadLetterReason.FAILED, failure)
            return
        self._inbox.drop(envelope, failed=True)
        fail_reply(envelope.reply_to, failure, self._path)

    def bury(self, envelope: "Envelope[Any]", reason: DeadLetterReason, failure: BaseException | None = None) -> None:
        """Make a message a dead letter, and tell whoever asked."""
        self._write_off(envelope)
        self._announce(envelope, reason, failure)

    def cut_short(self) -> None:
        """Let go of the message in hand, because its recipient has ended; a stop is answered by who carries it out."""
        envelope = self._inbox.in_hand
        if envelope is None:
            return
        if _is_internal(envelope):
            self._write_off(envelope)
        else:
            self.bury(envelope, DeadLetterReason.CUT)

    def clear_queued(self) -> "Callable[[], None]":
        """Write what is queued off, because the recipient stops; what is returned says so to everybody.

        The two are apart because the first is done under a lock, and the second may run anybody's code.
        """
        rest = self._inbox.clear_queued()
        return lambda: self.bury_all(rest)

    def bury_all(self, envelopes: "Iterable[Envelope[Any]]") -> None:
        """Make messages dead letters, because their recipient stops."""
        for envelope in envelopes:
            self.bury(envelope, DeadLetterReason.STOPPED)

    def _write_off(self, envelope: "Envelope[Any]") -> None:
        if _is_internal(envelope):
            self._inbox.leave_out(envelope)
            self._inbox.done(envelope)
        else:
            self._inbox.drop(envelope)

    def _announce(
        self, envelope: "Envelope[Any]", reason: DeadLetterReason, failure: BaseException | None = None
    ) -> None:
        if _is_internal(envelope):
            answer(envelope.reply_to, True)  # noqa: FBT003
            return
        self.record(envelope, reason, failure)
        if reason in _TOLD_WHY and failure is not None and envelope.reply_to is not None:
            fail_reply(envelope.reply_to, failure, self._path)
        elif reason is DeadLetterReason.EXPIRED:
            answer_late(envelope, self._path)
        else:
            answer_dead(envelope, self._path)

    def record(self, envelope: "Envelope[Any]", reason: DeadLetterReason, failure: BaseException | None = None) -> None:
        """Keep a dead letter."""
        self._record(
            DeadLetter(
                message=envelope.message,
                recipient=self._path,
                sender=envelope.sender if isinstance(envelope, Sent) else None,
                reason=reason,
                failure=failure,
                at=time.time(),
                _along=envelope.along if isinstance(envelope, Sent) else None,
            )
        )

    def balance(self) -> Statistics:
        """Return the counts, as they are now."""
        census = self._inbox.census()
        cleared, queued = _count_users(census.cleared), _count_users(census.queued)
        if census.in_hand is not None and not _is_internal(census.in_hand):
            queued += 1
        return Statistics(
            accepted=census.gone + cleared + queued,
            handled=census.gone - census.failed - census.lost,
            answered_with_error=census.failed,
            dead_lettered=census.lost + cleared,
            queued=queued,
        )


def _is_internal(envelope: "Envelope[Any]") -> bool:
    return isinstance(envelope.message, (_ActorStop, Terminated))


def _count_users(envelopes: "Iterable[Envelope[Any]]") -> int:
    return sum(not _is_internal(envelope) for envelope in envelopes)
