"""Child: what runs an actor that has a supervisor. It outlives the actor's failures, with the same ref and mailbox.

The life of a child is one sequence of steps, taken by its activations on its own loop:

    starting -> running -> (restarting | suspended -> restarting)* -> stopping -> stopped

An activation handles messages until ``halt`` says that there is something else to do; then `attend` does it. A child
that has to wait (for the end of a backoff, or for its supervisor to revive it) is *parked*: it has no task, and keeps
the mailbox's claim, so that messages wait. Whoever has something for a parked child schedules its activation.

Invariants:

* What others see and change is in the `Course`, which says how nothing that is said to a child is missed.
* Everything else is touched only by the holder of the mailbox's claim, on the child's loop.
* The one exception is a handler that ignores its cancellation. Its task is put behind a fence (`Cuts`): whatever that
  still does for the cell raises before it changes anything, and its result is dropped.
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import weakref
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, cast, override

from pykka import Actor
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.actors.answers import log
from pygents.actors.attending import attend
from pygents.actors.cell import Cell
from pygents.actors.child_spec import ChildSpec, Order, Phase
from pygents.actors.comeback import Comeback
from pygents.actors.course import Course
from pygents.actors.cuts import Cuts, FencedError
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.ending import end, kill, tell_of_end
from pygents.actors.envelope import Sent
from pygents.actors.failing import cut_short, fail, fail_on, start_over
from pygents.actors.lane import end_control
from pygents.actors.ledger import Ledger
from pygents.actors.loops import LoopEndedError
from pygents.actors.own_task import handling, own_task_here
from pygents.actors.ref import OwnStop
from pygents.actors.reply import Reply
from pygents.actors.running import home
from pygents.actors.statistics import Statistics
from pygents.actors.supervision import Directive, Restart, Supervision
from pygents.actors.watch import Ended, Terminated

if TYPE_CHECKING:
    from pygents.actors.actor import AsyncActor
    from pygents.actors.dead_letters import DeadLetter
    from pygents.actors.supervisor import Supervisor
    from pygents.actors.wait_graph import Wait

__all__ = ["Child"]


class Child[A: AsyncActor](Cell[A]):
    """Runs one actor after another behind one ref and mailbox, as its supervisor says."""

    __slots__ = (
        *("at_gate", "child_failure", "children", "comeback", "course", "cuts", "incarnate"),
        *("inner", "ledger", "parent", "restarts", "spec", "system", "waits_for"),
    )

    def __init__(self, actor: A, spec: ChildSpec, parent: "Supervisor") -> None:
        super().__init__(actor, spec.path)
        self.spec = spec
        self.ref._path = spec.path
        self.parent = parent
        self.system = parent.system
        self.course = Course(self.system.lock)
        self.ledger = Ledger(spec.path, self.inbox, self.system.bury)
        self.children: Supervisor | None = None
        self.restarts = 0
        self.incarnate = True
        """Whether an actor runs that has to be told of its end."""
        self.child_failure: BaseException | None = None
        """What the supervisor of its own children has failed with, until it comes to that."""
        self.comeback = Comeback(spec.supervision)
        self.cuts = Cuts(self.system.lock)
        self.at_gate = False
        """Whether it has seen that it is paused."""
        self.inner: Context | None = None
        """The context that was made for the task which the activation waits for, or waited for last."""
        self.waits_for: Wait | None = None
        """Whose answer its own code waits for, if it does; it may be out of date."""

    # What others may do with it, on any thread.

    def attach(self) -> None:
        """Be where others can give orders and kill; nothing runs until `start`, or until it is killed."""
        self._context = copy_context()
        self._context.run(self.enter_context)
        self._context.run(home.set, self.system.news)
        self._open_dispatcher()
        self.ref._cell = weakref.ref(self)
        self._context.run(handling.set, weakref.ref(self))
        self.inbox.open(self.wake, wake_for_items=True)

    @override
    def abandon(self) -> None:
        super().abandon()
        if self.ref._dispatcher is not None:
            self.dispatcher.discard(self.end_with_loop)

    @override
    def start(self) -> None:
        self.started = True
        with self.system.lock:
            plain = getattr(self.actor.on_start, "__func__", None) is Actor.on_start and not self.killed
            plain = plain and self.course.begin_running()
        if plain:
            self.system.news.started(self.spec.path)
            if self.inbox.release() and not (self.course.halt and self.inbox.claim()):
                return
        self.wake()

    def _open_dispatcher(self) -> None:
        self.dispatcher = self.ref._dispatcher = self.spec.dispatcher.open(self.spec.name, self.system.loop)
        self.dispatcher.add(self.end_with_loop, self.lose_loop)

    @property
    def policy(self) -> Supervision:
        """What rules the child's failures."""
        return self.spec.supervision or self.parent.supervision

    @property
    def name(self) -> str:
        """Its name, unique among its siblings."""
        return self.spec.name

    @property
    def restart(self) -> Restart:
        """When it is started again."""
        return self.spec.restart

    def directive_for(self, failure: BaseException) -> Directive:
        """Return what to do about a failure."""
        return self.policy.directive_for(failure)

    @property
    def children_policy(self) -> Supervision:
        """What rules the failures of the child's own children."""
        return type(cast("AsyncActor", self.actor)).supervision  # of the class, which has been checked

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do and nothing that waits."""
        if self.course.phase is not Phase.RUNNING or self.inbox.claimed:
            return self.course.phase is Phase.STOPPED
        return not (self.inbox.paused and len(self.inbox)) or self.system.closed  # an end waits for no pause's

    def give(self, order: Order) -> None:
        """Order something, unless a higher order is there already."""
        if self.course.give(order):
            self.attend_soon()

    def fail_with(self, failure: BaseException) -> None:
        """Fail because the supervisor of the child's own children has."""
        with self.system.lock:
            self.child_failure = failure
            self.course.halt = True
        self.attend_soon()

    @override
    def end_now(self, *, spare: bool) -> None:
        kill(self, spare=spare)

    def move_to_new_loop(self) -> None:
        """Go on with another loop, because the one that it has is blocked."""
        self.dispatcher.abandon(self.end_with_loop)
        self._open_dispatcher()

    @override
    def statistics(self) -> Statistics:
        return self.ledger.balance()

    def idle(self) -> Reply[None]:
        """Return what is set when the child has nothing to do."""
        reply = self.course.when_idle()
        if self.is_idle:
            self.course.note_idle()
        return reply

    def redeliver(self, letter: "DeadLetter") -> None:
        """Send the actor a message that was a dead letter, its own or another's."""
        self.ref.tell(letter.message)

    def supervisor_below(self) -> "Supervisor":
        """Return the supervisor of the actor's own children."""
        with self.system.lock:
            if self.children is None:
                self.children = self.parent.below(self)
        return self.children

    def attend_soon(self) -> None:
        """Have what has just been said attended to."""
        if self.course.parked or self.inbox.claim():
            self.on_loop(self.activate)

    def on_loop(self, function: Callable[[], None]) -> None:
        """Have a function called soon on the child's loop, unless it has another by then; with its loop, it ends."""
        dispatcher = self.dispatcher

        def call() -> None:
            if self.dispatcher is dispatcher:  # else this one was blocked, and comes too late
                function()

        try:
            dispatcher.schedule(call)
        except LoopEndedError:
            self.lose_loop()

    # The activation, on the child's loop.

    @override
    async def work(self) -> None:  # noqa: C901, PLR0912 (one loop: a call more for each message would cost it a tenth)
        inbox = self.inbox
        envelope: Envelope[Any] | None = None
        self.activation = asyncio.current_task()
        parked = False
        try:
            if self.course.halt and not await attend(self):
                parked = True
            else:
                for _ in range(self.dispatcher.throughput):
                    if inbox.closed or (envelope := inbox.take()) is None:
                        break
                    if isinstance(envelope.message, (Terminated, _ActorStop)):
                        self.ledger.note_internal(envelope)
                    await self.handle(envelope)
                    if self.course.halt:
                        inbox.done(envelope)  # it has ended, whatever comes now
                        if not await attend(self):
                            parked = True
                            break
        except BaseException as error:
            if self.cuts.is_fenced():
                self.cuts.leave()
                if not isinstance(error, (FencedError, CancelledError)):
                    log(logging.WARNING, "%s: a handler that was abandoned ended at last, in:", self.label, error=error)
                return
            self.activation = None
            self.break_down(error)
            raise
        self.activation = self.inner = None
        if parked or inbox.closed:
            return
        if envelope is not None:
            inbox.done(envelope)
        self.ledger.forget_ended()
        if not inbox.release() or (self.course.halt and inbox.claim()):
            self.wake()
        elif self.course.is_awaited:
            self.course.note_idle()

    @override
    def activate(self) -> None:
        is_here = asyncio._get_running_loop() is self.dispatcher.loop  # as above, for messages
        if is_here and self.course.unpark():
            super().activate()

    @override
    def note_cancellation(self) -> None:
        self.cuts.pass_fence()
        if self.activation is not None and self.activation.cancelling():
            self.take_cuts_back()

    @override
    async def go_on(self) -> None:
        self.cuts.forget()  # they are taken back with all others
        await super().go_on()

    @override
    async def end_with_loop(self) -> None:
        self.course.halt = True  # or its activation would find nothing to do
        await super().end_with_loop()

    @override
    def has_outlived_cancellation(self) -> bool:
        self.cuts.pass_fence()
        task: Any = self.activation  # as the cell does: a call more for each message would cost it a twentieth
        return task is not None and (task.cancelling() or task._must_cancel)

    @override
    def is_thrown_away(self, error: BaseException) -> bool:
        return self.cuts.is_fenced() or super().is_thrown_away(error)

    def give_up(self, envelope: Envelope[Any]) -> None:
        """See that the handler of a message is abandoned."""

    @override
    async def message_failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        await fail_on(self, envelope, error)

    @override
    def expire(self, envelope: Envelope[Any]) -> None:
        self.ledger.bury(envelope, DeadLetterReason.EXPIRED)

    @override
    async def cut_short(self, envelope: Envelope[Any], error: BaseException) -> None:
        await cut_short(self, envelope, error)

    @override
    def is_own_code(self) -> bool:
        here = own_task_here()
        return here is not None and here[0] is self

    @override
    def see_to_the_end_in_hand(self, reason: str, over: Reply[bool]) -> None:
        self.parent.see_to_the_end_in_hand(self, reason, over)

    async def pass_gate(self) -> None:
        """See that it is paused, or not any more."""

    def refuse(self, envelope: Envelope[Any], error: BaseException) -> None:
        """Let a message go that has not failed, though nothing came of it: it was denied, or cancelled."""
        if envelope.reply_to is None:
            self.inbox.done(envelope)
        else:
            self.ledger.spend_failed(envelope, error)

    @override
    def lose_note(self, note: Sent[object]) -> None:
        self.ledger.record(note, DeadLetterReason.UNHANDLED)  # a note is no message, and not counted

    @override
    async def fail(self, error: BaseException) -> None:
        await fail(self, error)

    @override
    async def stop_ordered(self, envelope: Envelope[Any]) -> None:
        message: object = envelope.message
        if self.spec.restart is Restart.PERMANENT and isinstance(message, OwnStop):
            await start_over(self, envelope, message.life)
        else:
            await super().stop_ordered(envelope)

    @override
    async def end(self) -> None:
        await end(self, None, Ended.KILLED if self.killed else Ended.STOPPED)

    def settle(self) -> None:
        """Tell whoever has revived the child that it has started, or will not now."""
        with self.system.lock:
            tried = self.comeback.take_waiting()
        if tried is not None:
            tried.set(None)

    def take_cuts_back(self) -> bool:
        """Take our own requests to cancel back, and return whether there were any; any other ends the child."""
        cut = self.cuts.take_back(self.activation)
        if self.activation is not None and self.activation.cancelling():
            self.ending = self.course.halt = True
        return cut

    @override
    def _cancel_for_kill(self) -> None:
        if self.activation is None:
            self.activate()
        elif not self.spares or self.inbox.in_hand is None:
            self.cuts.cancel(self.activation)

    @override
    def let_go(self, rest: Sequence[Envelope[Any]], how: Ended = Ended.STOPPED) -> None:
        self.comeback.stop_resting()
        self.ledger.cut_short()
        end_control(self)
        self.answer_unhandled(self.inbox.clear())
        self.dispatcher.discard(self.end_with_loop)
        tell_of_end(self, how)

    @override
    def lose_loop(self) -> None:
        super().lose_loop()
        tell_of_end(self, Ended.LOOP_CLOSED)

    @override
    def answer_unhandled(self, envelopes: Sequence[Envelope[Any]]) -> None:
        self.ledger.bury_all(envelopes)
