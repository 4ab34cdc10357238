"""Sending: putting a message into an actor's mailbox, and waiting for room there if its policy lets its senders wait.

A sender waits where it is: in its task, or on its thread if no event loop runs there, for as long as the policy allows.
Nobody waits for room who keeps the reader from making it: not a thread that runs a loop, and not what the reader itself
waits for, which is the handler of the message in hand, or the consumer of a drain.

Invariant: whoever waits gets the message in, or leaves the line. One that is cancelled takes back what was let in while
its cancellation was on the way; if that has been taken by then, it is accepted, and the cancellation comes out all the
same. One whose time is up leaves what was let in where it is, and has succeeded.
"""

# pyright: reportPrivateUsage=false

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, override

from pykka import ActorDeadError, Timeout

from pygents.actors.answers import answer
from pygents.actors.loops import LoopEndedError
from pygents.actors.mailbox_policy import Overflow
from pygents.actors.reply import Reply
from pygents.errors import MailboxFullError, WouldDeadlockError

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from pygents.actors.ref import ActorRef
    from pygents.actors.room import Waiter

__all__ = ["REFUSALS", "insist", "insist_async", "offer", "send", "send_async", "send_exempt"]

REFUSALS = ActorDeadError, MailboxFullError
"""What a mailbox raises that does not take a message."""

type _Ref = ActorRef[Any]
type _Envelope = Envelope[Any]


def offer(ref: _Ref, envelope: _Envelope) -> None:
    """Put a message, unless there is no room or the loop that would have to handle it is closed; nobody waits.

    If the loop is closed just after the look, the message was accepted, and is answered for as all that is queued is.

    Raises:
        ActorDeadError: if the actor takes no more messages
        MailboxFullError: if there is no room
        BaseException: what the policy's ``key`` raised

    """
    dispatcher = ref._dispatcher
    if dispatcher is not None and dispatcher.ended:
        ref._lose_loop()
    try:
        ref.actor_inbox.put(envelope)
    except LoopEndedError:
        ref._lose_loop()


def send_exempt(ref: _Ref, envelope: _Envelope) -> None:
    """Put a message that no bound holds for; otherwise as `offer`."""
    ref._notice_a_closed_loop()
    try:
        ref.actor_inbox.put_exempt(envelope)
    except LoopEndedError:
        ref._lose_loop()


def send(ref: _Ref, envelope: _Envelope, timeout: float | None = None) -> float | None:
    """Put a message, waiting for room on this thread if need be; return what is left of the timeout, in seconds.

    Raises:
        ActorDeadError: if the actor takes no more messages
        MailboxFullError: if there is no room in time, or the policy has nobody wait, or this sender must not
        BaseException: what the policy's ``key`` raised

    """
    try:
        offer(ref, envelope)
    except REFUSALS as refusal:
        return insist(ref, envelope, refusal, timeout)
    return timeout


async def send_async(ref: _Ref, envelope: _Envelope, timeout: float | None = None) -> float | None:
    """Put a message, waiting for room in this task if need be; otherwise as `send`."""
    try:
        offer(ref, envelope)
    except REFUSALS as refusal:
        return await insist_async(ref, envelope, refusal, timeout)
    return timeout


def insist(ref: _Ref, envelope: _Envelope, refusal: Exception, timeout: float | None = None) -> float | None:
    """Do what can be done about a refused message: wait for room on this thread, or raise; otherwise as `send`."""
    began = time.monotonic()
    may_wait = asyncio._get_running_loop() is None and not ref.actor_inbox.held_here  # documented
    wait = _Wait(ref, envelope, refusal, may_wait=may_wait)
    try:
        limit = _shorter(timeout, wait.limit)
        while (told := wait.next()) is not None:
            try:
                told.get(timeout=_left(limit, time.monotonic() - began))
            except (Timeout, WouldDeadlockError):
                wait.expire()
    except BaseException as error:
        wait.end(error)
        raise
    return _left(timeout, time.monotonic() - began)


async def insist_async(
    ref: _Ref, envelope: _Envelope, refusal: Exception, timeout: float | None = None
) -> float | None:
    """Do what can be done about a refused message: wait for room in this task, or raise; otherwise as `send`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    wait = _Wait(ref, envelope, refusal, may_wait=not _is_reader(ref))
    try:
        while (told := wait.next()) is not None:
            try:
                await told.get_async(timeout=_left(timeout, loop.time() - began))
            except Timeout:
                wait.expire()
    except BaseException as error:
        wait.end(error)
        raise
    return _left(timeout, loop.time() - began)


class _Told(Reply[None]):
    """What is set when a wait for room is over.

    Waiting for it adds no edge to the wait graph: it would take the place of that of an ask which waits for room.
    """

    @override
    def _begin_wait(self) -> None:
        return None


class _Wait:
    """One sender's wait for room, which begins when its message was refused.

    Args:
        ref: whose mailbox it is
        envelope: what is put
        refusal: why it was not taken
        may_wait: whether this sender may wait here

    """

    def __init__(self, ref: _Ref, envelope: _Envelope, refusal: Exception, *, may_wait: bool) -> None:
        self._ref = ref
        self._inbox = ref.actor_inbox
        self._envelope = envelope
        self._refusal: type[Exception] = type(refusal)  # not itself: its traceback would keep whatever keeps it
        self._details = refusal.args
        self._may_wait = may_wait and isinstance(refusal, MailboxFullError)
        self._waiter: Waiter[_Envelope] | None = None

    @property
    def limit(self) -> float | None:
        """Seconds that a thread waits at the most."""
        policy = self._inbox.policy
        return None if policy is None else policy.timeout

    def next(self) -> Reply[None] | None:
        """Put the message, or stand in line; return what is set when that is over, or None if the message is in.

        Raises:
            Exception: as `offer`

        """
        if self._waiter is not None and self._waiter.admitted:
            self._inbox.confirm(self._envelope)
            return None
        while self._may_wait:
            told = _Told(self._ref)
            self._waiter = self._inbox.stand_in_line(self._envelope, partial(answer, told, None))
            if self._waiter is not None:
                return told
            try:
                offer(self._ref, self._envelope)
            except MailboxFullError as error:
                self._details = error.args
                policy = self._inbox.policy
                self._may_wait = policy is None or policy.overflow is Overflow.BACKPRESSURE
            else:
                return None
        raise self._refusal(*self._details) from None

    def expire(self) -> None:
        """Be over because the time is up, unless the message is in.

        Raises:
            MailboxFullError: if it is not

        """
        if self._waiter is None or self._inbox.leave_line(self._waiter):
            raise self._refusal(*self._details) from None

    def end(self, error: BaseException) -> None:
        """Be over because of an error, which the sender gets.

        Raises:
            ActorDeadError: in the place of that of the mailbox, which does not know whose it is

        """
        if self._waiter is not None and not self._inbox.leave_line(self._waiter) and not isinstance(error, Exception):
            self._inbox.take_back(self._envelope)
        if isinstance(error, ActorDeadError):
            raise self._ref._dead() from None


def _is_reader(ref: _Ref) -> bool:
    """Return whether the actor takes no message as long as what runs here waits."""
    cell = ref._find_cell()
    return cell is not None and cell.is_reader()


def _shorter(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _left(limit: float | None, passed: float) -> float | None:
    return None if limit is None else max(0.0, limit - passed)
