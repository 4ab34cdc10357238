"""Dropping: what becomes of the messages that a bounded mailbox has dropped, by its policy, for want of room.

Whoever asked is told. In a system, each is a dead letter; elsewhere nobody keeps it, and the log says what it was.
"""

# pyright: reportPrivateUsage=false

import logging
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, override

from pygents.actors.answers import fail_reply, log, show
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.mailbox_policy import MailboxPolicy, Overflow
from pygents.errors import MailboxFullError

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from pygents.actors.cell import Cell
    from pygents.actors.child import Child

__all__ = ["bind", "bind_child"]


def bind(cell: "Cell[Any]", policy: MailboxPolicy | None) -> None:
    """Have a policy, if there is one, bound the mailbox of an actor that has no supervisor."""
    if policy is not None:
        cell.inbox.bind(policy, _Undertaker(cell))


def bind_child(child: "Child[Any]", policy: MailboxPolicy | None) -> None:
    """Have a policy bound the mailbox of an actor in a system, or what bounds it already, if there is one."""
    policy = policy or child.inbox.policy
    if policy is not None:
        child.inbox.bind(policy, _ChildsUndertaker(child))


class _Undertaker:
    """Answers for what an actor's mailbox has dropped."""

    def __init__(self, cell: "Cell[Any]") -> None:
        self._cell = cell

    @property
    def label(self) -> str:
        """What names the actor."""
        return self._cell.label

    def key_of(self, envelope: "Envelope[Any]", policy: MailboxPolicy) -> Hashable:
        """Return the key of a message."""
        return None if policy.key is None else policy.key(envelope.message)

    def bury(self, envelope: "Envelope[Any]", policy: MailboxPolicy) -> None:
        """Tell who asked that the message was dropped, or log it."""
        if envelope.reply_to is not None:
            fail_reply(envelope.reply_to, self._why(policy), self.label)
            return
        text = "The mailbox of %s is full, which has dropped %s (%s)"
        log(logging.WARNING, text, self.label, show(envelope.message), policy.overflow.value)

    def _why(self, policy: MailboxPolicy) -> MailboxFullError:
        return MailboxFullError(self.label, policy.capacity, policy.overflow is Overflow.COALESCE)


class _ChildsUndertaker(_Undertaker):
    def __init__(self, child: "Child[Any]") -> None:
        super().__init__(child)
        self._ledger = child.ledger

    @override
    def bury(self, envelope: "Envelope[Any]", policy: MailboxPolicy) -> None:
        coalesced = policy.overflow is Overflow.COALESCE
        reason = DeadLetterReason.COALESCED if coalesced else DeadLetterReason.MAILBOX_FULL
        self._ledger.bury(envelope, reason, self._why(policy))
