"""Cell: what runs one actor, beside the actor itself.

How it runs: an idle actor is memory only. A message that arrives at an idle mailbox claims it and schedules an
*activation* on the actor's loop; the activation is one task that handles messages one at a time, up to the dispatcher's
``throughput``, and then lets the loop's other actors go first. The task is started eagerly, so handlers that never
suspend cost no further loop iteration.

Invariants:

* Handlers and the ``on_*`` methods run on the actor's loop, by the holder of the mailbox's claim; so never two at once,
  and ``started`` and ``activation`` need no lock.
* Everything that ends an actor closes the mailbox first and answers or logs what was in it last. ``close`` hands each
  envelope to exactly one caller, so it does not matter who ends the actor, or whether two do at once.
* No ``BaseException`` leaves an activation: asyncio would re-raise it out of the loop, pykka would stop every actor.
  Two come from outside and are no message's outcome: the cancellation of the activation's task (its loop is ending) and
  the ``GeneratorExit`` of a coroutine that is thrown away (its loop has gone). Both end the actor.
* One task serves many messages, and none of them meets a cancellation that an earlier one has left in it.
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import weakref
from asyncio import CancelledError, Task
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from pykka import Actor, ActorDeadError, ActorRegistry
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.actors.answers import answer, answer_dead, answer_late, fail_reply, log, show
from pygents.actors.control import Control
from pygents.actors.deadline import is_late
from pygents.actors.envelope import Sent, sender
from pygents.actors.lane import end_control, outlived
from pygents.actors.loop_end import end_with_loop, lose_loop
from pygents.actors.loops import LoopEndedError
from pygents.actors.reply import Reply
from pygents.actors.running import running, running_task
from pygents.actors.statistics import Statistics
from pygents.actors.uncancelling import take_back
from pygents.actors.undrained import end_undrained
from pygents.actors.watch import Ended, Watches
from pygents.errors import TurnCancelledError

if TYPE_CHECKING:
    from pygents.actors.actor import AsyncActor
    from pygents.actors.dispatcher import Dispatcher
    from pygents.actors.ref import ActorRef

__all__ = ["Cell"]


class Cell[A: AsyncActor]:
    """What runs one actor.

    A layer above may override `note_cancellation`, `message_failed`, `fail`, `leave_pykka`, `let_go` and `lose_loop`.
    The label names the actor in errors and logs, if not its ref's text.
    """

    __slots__ = (
        *("__weakref__", "_context", "_label"),
        *("activation", "actor", "control", "dispatcher", "ending"),
        *("inbox", "killed", "ref", "spares", "started", "watches"),
    )

    def __init__(self, actor: A, label: str | None = None) -> None:
        self.actor = actor
        self.ref: ActorRef[Any] = actor.actor_ref
        self.inbox = actor.actor_inbox
        self.dispatcher: Dispatcher
        self.activation: Task[None] | None = None
        self.control: Control | None = None
        """What is said to the message in hand, if anything is."""
        self.started = False
        self.ending = False
        self.killed = False
        self.spares = False
        """Whether a killed actor may finish the message in hand."""
        self.watches = self.ref._watches = self.ref._watches or Watches()
        self._context: Context
        self._label = label

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.label}>"

    @property
    def label(self) -> str:
        """What names the actor in errors and logs: never its own ``__str__``, which may fail."""
        return self._label or str(self.ref)

    def start(self) -> None:
        """Begin to handle messages where the actor's class says."""
        self.dispatcher = dispatcher = type(self.actor).dispatcher.open(type(self.actor).__name__)
        self.ref._dispatcher, self.ref._cell = dispatcher, weakref.ref(self)
        self._context = copy_context()
        self._context.run(self.enter_context)
        on_start = getattr(self.actor.on_start, "__func__", None)
        self.started = not dispatcher.wakes_for_messages or on_start is Actor.on_start
        dispatcher.add(self.end_with_loop, self.lose_loop)
        self.inbox.open(self.wake, wake_for_items=dispatcher.wakes_for_messages)
        if not self.started or not self.inbox.release():
            try:
                self.wake()
            except LoopEndedError:
                self.lose_loop()
                msg = f"{self.label} not found: its event loop is closed"
                raise ActorDeadError(msg) from None

    def enter_context(self) -> None:
        """Set what the actor's code finds in its context."""
        running.set(self.ref)
        sender.set(self.ref._path)

    def statistics(self) -> Statistics | None:
        """Return what has become of the actor's messages, if they are counted."""
        return None

    def abandon(self) -> None:
        """Be dead because the start has failed: a constructor may have given its ref away."""
        rest = self.inbox.close()
        self.leave_pykka()
        self.answer_unhandled(rest)
        self.inbox.forget()
        self.watches.end(Ended.FAILED)

    def wake(self) -> None:
        """Have somebody act on the mailbox, whose claim is held; called on any thread. The loop may have ended."""
        self.dispatcher.schedule(self.activate if self.dispatcher.wakes_for_messages else lambda: end_undrained(self))

    def activate(self) -> None:
        """Begin an activation, unless one is on already; called on the loop."""
        if self.activation is not None or not self.inbox.claimed:
            return
        work = self.work()
        try:
            Task(work, loop=self.dispatcher.loop, context=self._context, eager_start=True)
        except BaseException as error:
            work.close()
            if not self.inbox.closed:
                self.break_down(error)
            if not isinstance(error, Exception):
                raise

    async def work(self) -> None:
        """Handle messages, up to the dispatcher's throughput."""
        inbox = self.inbox
        envelope: Envelope[Any] | None = None
        self.activation = asyncio.current_task()
        try:
            if not self.started:
                self.started = True
                await self.begin()
            for _ in range(self.dispatcher.throughput):
                if self.ending or inbox.closed or (envelope := inbox.take()) is None:
                    break
                await self.handle(envelope)
            if self.ending and not inbox.closed:
                await self.end()
        except BaseException as error:
            self.activation = None
            self.break_down(error)
            raise
        self.activation = None
        if self.killed:
            self.let_go([], Ended.KILLED)
        if not inbox.closed:
            if envelope is not None:
                inbox.done(envelope)
            if not inbox.release():
                self.wake()

    async def begin(self) -> None:
        """Run ``on_start``."""
        error = await self.run_hook(self.actor.on_start)
        if error is not None and self.ending:
            log(logging.ERROR, "Exception in on_start of %s:", self.label, error=error)
        elif error is not None:
            await self.fail(error)

    async def handle(self, envelope: Envelope[Any]) -> None:
        """Handle one message, and answer whoever asked."""
        message, reply = envelope.message, envelope.reply_to
        if isinstance(message, _ActorStop):
            await self.stop_ordered(envelope)
            return
        if reply is not None and is_late(reply):
            self.expire(envelope)
            return
        try:
            result = self.actor._handle_receive(message)
            if iscoroutine(result):
                result = await result
        except BaseException as error:
            if self.is_thrown_away(error):
                raise
            if self.control is not None and self.control.reason is not None:
                await self.cut_short(envelope, self.control.verdict(self.label, error))
            else:
                await self.message_failed(envelope, error)
        else:
            if self.has_outlived_cancellation():  # asked first: the layer above may have nothing more to do with it
                await self.go_on()
                await outlived(self, envelope, result)
            else:
                answer(reply, result)
        if self.control is not None:
            end_control(self)

    def expire(self, envelope: Envelope[Any]) -> None:
        """Let a message go whose asker has given up."""
        answer_late(envelope, self.label)
        log(logging.WARNING, "%s does not handle what nobody waits for now: %s", self.label, show(envelope.message))

    async def cut_short(self, envelope: Envelope[Any], error: BaseException) -> None:
        """Let a message go that was to end; nobody is asked what is to be done about that."""
        if not isinstance(error, TurnCancelledError):  # it was cancelled from outside, too
            await self.message_failed(envelope, error)
            return
        if self.has_outlived_cancellation():
            await self.go_on()
        if envelope.reply_to is not None:
            fail_reply(envelope.reply_to, error, self.label)
        log(logging.INFO, "%s was told to end %s: %s", self.label, show(envelope.message), error)

    def interrupt(self, control: Control) -> bool:
        """End what the handler waits for, and return whether one is at work."""
        if self.activation is not None:
            control.cancel(self.activation)
        return self.activation is not None

    def is_at_work(self) -> bool:
        """Return whether a handler is at work on what is in hand; on the loop."""
        return self.activation is not None

    def is_own_code(self) -> bool:
        """Return whether the handler of the message in hand is what runs here."""
        return self.activation is not None and running_task() is self.activation

    def is_reader(self) -> bool:
        """Return whether what runs here keeps messages from being taken, as long as it waits."""
        return self.is_own_code()

    def see_to_the_end_in_hand(self, reason: str, over: Reply[bool]) -> None:
        """Have a handler left alone that ignores its cancellation; `over` is set when it has ended."""

    def lose_note(self, note: Sent[object]) -> None:
        """See to a note that nobody has read."""
        log(logging.WARNING, "%s did not read a note that came while it handled a message: %s", self.label, show(note))

    async def stop_ordered(self, envelope: Envelope[Any]) -> None:
        """Carry out a stop that has been waiting its turn."""
        await self.end()
        answer(envelope.reply_to, True)  # noqa: FBT003

    def note_cancellation(self) -> None:
        """See the cancellation from outside that has just come out of a handler."""
        if self.activation is not None and self.activation.cancelling():
            self.ending = True

    def has_outlived_cancellation(self) -> bool:
        """Tell whether the activation's task bears the mark of a cancellation although its handler has gone on."""
        task: Any = self.activation  # Any: a mark may be left in the private flag alone, which no type checker knows
        return task is not None and (task.cancelling() or task._must_cancel)

    async def go_on(self) -> None:
        """Take back a cancellation that a handler has outlived, so that it reaches nothing that runs after it."""
        await take_back(self)

    async def message_failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        """Do what follows from a handler that has raised `error`."""
        if isinstance(error, CancelledError) or (self.killed and self.has_outlived_cancellation()):
            self.note_cancellation()
            if self.ending:
                if not isinstance(error, CancelledError):
                    log(logging.ERROR, "%s was cut and raised, which is dropped:", self.label, error=error)
                self.answer_unhandled([envelope])
                self.inbox.done(envelope)
                return
        if self.has_outlived_cancellation():
            await self.go_on()
        if envelope.reply_to is None:
            await self.fail(error)
            return
        fail_reply(envelope.reply_to, error, self.label)
        log(logging.INFO, "Exception returned from %s to caller:", self.label, error=error)

    async def fail(self, error: BaseException) -> None:
        """End the actor because of a failure nobody is told about; ``on_failure`` runs, ``on_stop`` does not."""
        rest = self.inbox.close()
        if (failed := self.inbox.in_hand) is not None:
            self.inbox.done(failed)  # this is its end
        self.leave_pykka()
        log(logging.ERROR, "Unhandled exception in %s, which stops:", self.label, error=error)
        if not self.killed:
            await self.call_hook(self.actor.on_failure, type(error), error, error.__traceback__)
        self.let_go(rest, Ended.FAILED)

    async def end(self) -> None:
        """End the actor in order; ``on_stop`` runs."""
        rest = self.inbox.close()
        self.leave_pykka()
        await self.call_hook(self.actor.on_stop)
        self.let_go(rest)

    async def call_hook(self, hook: Callable[..., object], *args: object) -> None:
        """Run one of the ``on_*`` methods; what it raises is logged."""
        if (error := await self.run_hook(hook, *args)) is not None:
            log(logging.ERROR, "Exception in %s of %s:", getattr(hook, "__name__", "a hook"), self.label, error=error)

    async def run_hook(self, hook: Callable[..., object], *args: object) -> BaseException | None:
        """Run one of the ``on_*`` methods; what it raises is returned."""
        outcome: BaseException | None = None
        try:
            result = hook(*args)
            if iscoroutine(result):
                await result
        except BaseException as error:
            if self.is_thrown_away(error):
                raise
            outcome = error
            if isinstance(error, CancelledError):
                self.note_cancellation()
        if self.has_outlived_cancellation():
            await self.go_on()
        return outcome

    def is_thrown_away(self, error: BaseException) -> bool:
        """Tell the ``GeneratorExit`` of a coroutine whose loop has gone from one that a handler lets out."""
        loop = asyncio._get_running_loop()
        return isinstance(error, GeneratorExit) and (loop is None or loop is not self.dispatcher.loop)

    async def end_with_loop(self) -> None:
        """End because the loop is about to close; called on the loop."""
        await end_with_loop(self)

    def lose_loop(self) -> None:
        """End because the loop has gone; see `loop_end.lose_loop`. Called on any thread, maybe by several."""
        lose_loop(self)

    def leave_pykka(self) -> None:
        """Be dead to pykka, which logs it; a handler of the log that raises must not keep the rest from its end."""
        self.ref.actor_stopped.set()
        with suppress(BaseException):
            ActorRegistry.unregister(self.ref)

    def let_go(self, rest: Sequence[Envelope[Any]], how: Ended = Ended.STOPPED) -> None:
        """Answer for what was left, and be forgotten."""
        end_control(self)
        self.answer_unhandled(rest)
        self.inbox.forget()
        self.dispatcher.discard(self.end_with_loop)
        self.watches.end(how)

    def pause(self) -> None:
        """Take no message until `resume`; any thread."""
        self.inbox.pause()

    def resume(self) -> None:
        """Take messages again; any thread. The loop may have ended."""
        with suppress(LoopEndedError):
            self.inbox.resume()

    def end_now(self, *, spare: bool) -> None:
        """End without ``on_stop``, and without what is queued; what is in hand is spared, or cancelled; any thread."""
        if self.watches.ended is not None or (self.killed and (spare or not self.spares)):
            return
        self.killed, self.spares = True, spare
        rest = self.inbox.close()
        self.leave_pykka()
        self.answer_unhandled(rest)
        try:
            self.dispatcher.schedule(self._cancel_for_kill)
        except LoopEndedError:
            self.lose_loop()

    def _cancel_for_kill(self) -> None:
        if self.activation is None:
            self.let_go([], Ended.KILLED)
        elif not self.spares or self.inbox.in_hand is None:
            self.activation.cancel()

    def answer_unhandled(self, envelopes: Sequence[Envelope[Any]]) -> None:
        """Answer the askers of messages that nobody will handle, and log the others: nothing vanishes."""
        told = [envelope.message for envelope in envelopes if not answer_dead(envelope, self.label)]
        if told:
            text = "%s ended without handling %d of its messages, the oldest: %s"
            log(logging.WARNING, text, self.label, len(told), show(told[0]))

    def break_down(self, error: BaseException) -> None:
        """End because the runtime itself has failed, or was thrown away with its loop."""
        self.lose_loop()
        if not isinstance(error, GeneratorExit):
            log(logging.CRITICAL, "%s ends: its own machinery failed", self.label, error=error)
