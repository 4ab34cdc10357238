"""ActorRef: pykka's reference to an actor, with the async verbs and an answer for actors whose event loop is gone.

A ref may be used from any thread. It keeps no state of its own beyond what the actor's start writes once; the mailbox
does the locking. An actor that is told, asked or stopped after its loop was closed is declared dead here, by whoever
notices.
"""

# pyright: reportPrivateUsage=false

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from pykka import ActorDeadError
from pykka import ActorRef as PykkaRef
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.actors.checks import check_timeout, checked
from pygents.actors.control import BY_REQUEST
from pygents.actors.deadline import Deadline
from pygents.actors.envelope import Sent
from pygents.actors.lane import cancel, steer
from pygents.actors.loops import LoopEndedError
from pygents.actors.reply import Reply
from pygents.actors.running import runs_here, who_runs
from pygents.actors.sending import REFUSALS, insist, offer, send, send_async, send_exempt
from pygents.actors.statistics import Statistics
from pygents.actors.wait_graph import Wait, begin_wait
from pygents.actors.watch import Ended, Terminated, Watches
from pygents.errors import WouldDeadlockError

if TYPE_CHECKING:
    import weakref

    from pygents.actors.actor import AsyncActor
    from pygents.actors.cell import Cell
    from pygents.actors.dispatcher import Dispatcher
    from pygents.actors.mailbox import Mailbox

__all__ = ["ActorRef", "OwnStop"]


class OwnStop(_ActorStop):
    """The stop that an actor orders for itself, in one of its lives."""

    life = 0
    """How often it had been restarted."""


class ActorRef[A: AsyncActor](PykkaRef[Any]):
    """A reference to an actor: pykka's, plus ``tell_async``, ``ask_async`` and ``stop_async``."""

    actor_class: type[A]  # pyright: ignore[reportIncompatibleVariableOverride] (A is none of pykka's, see AsyncActor)
    """The class of the actor."""
    actor_inbox: "Mailbox[Envelope[Any]]"  # pyright: ignore[reportIncompatibleVariableOverride] (narrower than pykka's)

    def __init__(self, actor: A) -> None:
        super().__init__(actor)
        self._dispatcher: Dispatcher | None = None
        self._cell: weakref.ref[Cell[Any]] | None = None  # weak: a ref does not keep its actor
        self._watches: Watches | None = None
        self._path: str | None = None  # in a system
        self._past: Statistics | None = None  # what has become of its messages, once it has ended

    def __str__(self) -> str:
        return super().__str__() if self._path is None else f"{self.actor_class.__name__} ({self._path})"

    @property
    def serving_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that handles the actor's messages; None if nobody drains it, or it is not started."""
        return self._dispatcher.loop if self._dispatcher is not None else None

    def is_alive(self) -> bool:
        """Return whether the actor has not stopped; one whose event loop is closed has."""
        self._notice_a_closed_loop()
        return super().is_alive()

    def tell(self, message: object) -> None:
        """Send a message without waiting for an answer; never blocks a thread that runs an event loop.

        On another thread it waits for room, if the mailbox is full and its policy is BACKPRESSURE.

        Raises:
            ActorDeadError: if the actor takes no more messages
            MailboxFullError: if there is no room, or none in time
            BaseException: what the ``key`` of the mailbox's policy raised

        """
        envelope = Sent(message)
        try:
            offer(self, envelope)
        except REFUSALS as refusal:
            insist(self, envelope, refusal)

    @overload
    def ask(self, message: object, *, block: Literal[False], timeout: float | None = None) -> Reply[Any]: ...
    @overload
    def ask(self, message: object, *, block: Literal[True] = True, timeout: float | None = None) -> Any: ...
    @overload
    def ask(self, message: object, *, block: bool = True, timeout: float | None = None) -> Any | Reply[Any]: ...
    def ask(  # pyright: ignore[reportIncompatibleMethodOverride] (a Reply is the Future of pykka's signature)
        self, message: object, *, block: bool = True, timeout: float | None = None
    ) -> Any | Reply[Any]:
        """Send a message and wait for the answer, blocking this thread.

        With ``block=False`` the answer comes as a `Reply`, which can be awaited on any loop or waited for later.

        Args:
            message: what to send
            block: whether to wait here
            timeout: seconds to wait at the most, or None for no limit; a message that the actor has not come to by then
                is not handled, and its reply fails with ``pykka.Timeout``, also with ``block=False``

        Raises:
            ActorDeadError: if the actor takes no more messages, or ends before it handles this one
            MailboxFullError: if there is no room, as for `tell`, or this message was dropped for another
            pykka.Timeout: if it took longer
            ValueError: if the timeout is below zero; nothing is sent
            WouldDeadlockError: if this thread runs the loop that has to produce the answer; nothing is sent
            AskCycleError: if a handler would wait for an actor that waits for the handler's own; nothing is sent
            Exception: what the actor's handler raised
            ActorFailedError: if the handler ended in something that is not an ``Exception``

        """
        check_timeout(timeout)
        reply: Reply[Any] = Reply(self)
        envelope = Sent(message, reply)
        wait: Wait | None = None
        if timeout is not None:
            reply.deadline = Deadline(timeout, blocks=block)
        if block and (timeout is None or timeout > 0) and not self.actor_inbox.closed:
            self._refuse_to_block()
            if envelope.sender is not None:
                wait = begin_wait(reply, self._find_cell())
        try:
            try:
                timeout = send(self, envelope, timeout)
            except REFUSALS as refusal:
                reply.fail(refusal)
            return reply.get(timeout=timeout) if block else reply
        finally:
            if wait is not None:
                wait.end()

    @overload
    def stop(self, *, block: Literal[True] = True, timeout: float | None = None) -> bool: ...
    @overload
    def stop(self, *, block: Literal[False], timeout: float | None = None) -> Reply[bool]: ...
    @overload
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Reply[bool]: ...
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Reply[bool]:
        """Ask the actor to stop when it has handled what is queued, and wait for that, blocking this thread.

        Ordered by the actor's own code, it is the actor's own stop: a supervisor starts a permanent actor again.

        Args:
            block: whether to wait here; if not, a `Reply` of the result is returned
            timeout: seconds to wait at the most, or None for no limit

        Returns:
            True if the actor has stopped, False if it was dead already.

        Raises:
            pykka.Timeout: if it took longer
            ValueError: if the timeout is below zero; the actor is not stopped
            WouldDeadlockError: if this thread runs the actor's own loop; the actor is not stopped
            AskCycleError: if a handler would wait for an actor that waits for the handler's own; the stop is ordered

        """
        check_timeout(timeout)
        if block and (timeout is None or timeout > 0) and not self.actor_inbox.closed:
            self._refuse_to_block()
        reply = self._request_stop()
        return reply.get(timeout=timeout) if block else reply

    async def tell_async(self, message: object, *, timeout: float | None = None) -> None:
        """Send a message, waiting for room if the mailbox is full and its policy is BACKPRESSURE.

        Cancelled, it takes the message back, unless that has been taken by then.

        Args:
            message: what to send
            timeout: seconds to wait for room at the most, or None for no limit

        Raises:
            ActorDeadError: if the actor takes no more messages
            MailboxFullError: if there is no room in time, or at all; the message is not sent
            BaseException: what the ``key`` of the mailbox's policy raised

        """
        check_timeout(timeout)
        await send_async(self, Sent(message), timeout)

    async def ask_async(self, message: object, *, timeout: float | None = None) -> Any:
        """Send a message, waiting for room as `tell_async`, and await the answer.

        Cancelling cancels the wait, not the actor.

        Args:
            message: what to send
            timeout: seconds to wait at the most, or None for no limit; a message that the actor has not come to by then
                is not handled

        Raises:
            Exception: as `ask`, but for WouldDeadlockError

        """
        check_timeout(timeout)
        reply: Reply[Any] = Reply(self)
        envelope = Sent(message, reply)
        if timeout is not None:
            reply.deadline = Deadline(timeout)
        is_actors = envelope.sender is not None and not self.actor_inbox.closed
        wait = begin_wait(reply, self._find_cell()) if is_actors else None
        try:
            timeout = await send_async(self, envelope, timeout)
            return await reply.get_async(timeout=timeout)
        finally:
            if wait is not None:
                wait.end()

    async def stop_async(self, *, timeout: float | None = None) -> bool:
        """Ask the actor to stop when it has handled what is queued, and await that.

        Args:
            timeout: seconds to wait at the most, or None for no limit

        Returns:
            True if the actor has stopped, False if it was dead already.

        Raises:
            pykka.Timeout: if it took longer
            ValueError: if the timeout is below zero; the actor is not stopped
            AskCycleError: as `stop`; the stop is ordered

        """
        check_timeout(timeout)
        return await self._request_stop().get_async(timeout=timeout)

    def kill(self) -> None:
        """End the actor now, for good: OTP's ``exit(Pid, kill)``. Any thread; doing it again changes nothing.

        What is queued is not handled, and whoever asked is told; the message in hand is cancelled. Neither ``on_stop``
        nor ``on_failure`` runs. `wait_stopped` says when that is over.
        """
        if (cell := self._find_cell()) is not None:
            cell.end_now(spare=False)

    def stop_now(self) -> None:
        """Let the actor finish the message in hand, and then end it as `kill` does. Any thread."""
        if (cell := self._find_cell()) is not None:
            cell.end_now(spare=True)

    def cancel_turn(self, reason: str = BY_REQUEST) -> Reply[bool]:
        """Cancel the message in hand, and keep the actor: whoever asked gets a `TurnCancelledError`. Any thread.

        Its handler is cancelled where it waits. That is no failure, and touches nothing that is queued. A supervised
        actor leaves a handler alone that ignores its cancellation for ``shutdown`` seconds.

        Args:
            reason: why, for people

        Returns:
            A reply of True, when the handler has ended; of False, if no message was being handled.

        Raises:
            TypeError: if the reason is no string
            SafeExecutionError: if the handler would cancel itself

        """
        return cancel(self._find_cell(), checked("reason", reason, str))

    def steer(self, message: object) -> Reply[None]:
        """Hand a note to the handler of the message in hand, which reads it from `pygents.steering`. Any thread.

        Returns:
            A reply that is set when the handler can read it, or fails with `NoTurnError` if none is at work.

        """
        return steer(self, self._find_cell(), message)

    def pause(self) -> None:
        """Handle no other message until `resume`; the one in hand is finished. Any thread; again changes nothing."""
        if (cell := self._find_cell()) is not None:
            cell.pause()

    def resume(self) -> None:
        """Handle messages again. Any thread; doing it again changes nothing."""
        if (cell := self._find_cell()) is not None:
            cell.resume()

    @property
    def is_paused(self) -> bool:
        """Whether messages wait until `resume`."""
        return self.actor_inbox.paused

    async def watch(self, other: "ActorRef[Any]") -> None:
        """Have this actor told, once, by a `Terminated` message, when `other` has ended for good; Akka's ``watch``.

        If it has ended already, it is told at once. Watching twice while it lives is watching once; a restart is no
        end. The watch ends with this actor.

        Raises:
            TypeError: if `other` is no ref of an actor of ours: pykka's own tell nobody of their end
            ActorDeadError: if this actor takes no more messages

        """
        if not isinstance(cast("object", other), ActorRef):
            msg = f"only actors of pygents can be watched, not {other!r}"
            raise TypeError(msg)
        self._notice_a_closed_loop()
        if self.actor_inbox.closed:
            raise self._dead()
        watched, watcher = other._watches, self._watches

        def tell(how: Ended) -> None:
            if watcher is not None:
                watcher.discard(key)
            with suppress(ActorDeadError):
                send_exempt(self, Sent(Terminated(other, how)))

        key = (self, other)
        if watched is None:
            tell(Ended.STOPPED)
        elif watched.add(key, tell) and watcher is not None:
            watcher.add(key, lambda _: watched.discard(key))

    async def wait_stopped(self) -> Ended:
        """Wait until the actor has ended for good, its ``on_stop`` included, and return how it has."""
        if self._watches is None:
            return Ended.STOPPED
        over: Reply[Ended] = Reply()
        key = object()
        try:
            self._watches.add(key, over.set)
            return await over
        finally:
            self._watches.discard(key)

    def statistics(self) -> Statistics:
        """Return what has become of the messages that the actor has accepted, of a supervised one.

        Raises:
            RuntimeError: if it has no supervisor

        """
        cell = self._find_cell()
        counts = self._past or (None if cell is None else cell.statistics())
        if counts is None:
            msg = f"the messages of {self} are not counted: spawn it in an ActorSystem"
            raise RuntimeError(msg)
        return counts

    def _refuse_to_block(self) -> None:
        """Check that this thread may wait for the actor.

        Raises:
            WouldDeadlockError: if it is the one that has to run the actor

        """
        loop = self.serving_loop
        if loop is not None and loop is asyncio._get_running_loop():
            raise WouldDeadlockError(who_runs(), str(self))
        if self._dispatcher is not None and self._dispatcher.stranded:
            raise WouldDeadlockError(who_runs(), str(self), loop_runs=False)

    def _request_stop(self, *, own: bool = False) -> Reply[bool]:
        reply: Reply[bool] = Reply(self)
        stop = _ActorStop()
        if own or runs_here(self):
            stop = OwnStop()
            stop.life = getattr(self._find_cell(), "restarts", 0)
        self._notice_a_closed_loop()
        try:
            self.actor_inbox.put_stop(Envelope(stop, reply_to=reply))
            loop = self.serving_loop  # also the loop of who drained the actor
            if loop is not None and loop.is_closed():
                self._lose_loop()
        except ActorDeadError:
            reply.set(False)
        except LoopEndedError:
            self._lose_loop()
        return reply

    def _dead(self) -> ActorDeadError:
        return ActorDeadError(f"{self} not found: it has stopped and takes no more messages")

    def _notice_a_closed_loop(self) -> None:
        """End the actor, and so answer whoever has asked it, if its loop is closed."""
        if self._dispatcher is not None and self._dispatcher.ended:
            self._lose_loop()

    def _find_cell(self) -> "Cell[Any] | None":
        """Return what runs the actor; None if it has ended long ago, or was never started."""
        return self._cell() if self._cell is not None else None

    def _lose_loop(self) -> None:
        if (cell := self._find_cell()) is not None:
            cell.lose_loop()
