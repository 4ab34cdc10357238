"""Child: what runs an actor that has a supervisor. It outlives the actor's failures, with the same ref and mailbox.

The life of a child is one sequence of steps, taken by its activations on its own loop:

    starting -> running -> (restarting | suspended -> restarting)* -> stopping -> stopped

An activation handles messages until ``halt`` says that there is something else to do; then `_attend` does it. A child
that has to wait (for the end of a backoff, or for its supervisor to revive it) is *parked*: it has no task, and keeps
the mailbox's claim, so that messages wait. Whoever has something for a parked child schedules its activation.

Invariants:

* What others see and change is in the `Course`, which says how nothing that is said to a child is missed.
* Everything else is touched only by the holder of the mailbox's claim, on the child's loop.
* The one exception is a handler that ignores its cancellation. `abandon_handler` puts its task behind a *fence*:
  whatever that task still does for the cell raises before it changes anything, and its result is dropped.
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import time
import weakref
from asyncio import CancelledError, Task
from collections.abc import Callable, Sequence
from contextvars import copy_context
from random import random
from typing import TYPE_CHECKING, Any, cast, override

from pykka import Actor
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.actors.answers import answer, log, show
from pygents.actors.bounded import Bounds, call_bounded
from pygents.actors.cell import Cell
from pygents.actors.child_spec import ChildSpec, Order, Phase
from pygents.actors.course import Course
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.ledger import Ledger
from pygents.actors.lifecycle import ActorFailed, ActorRestarted, ActorStarted, ActorStopped
from pygents.actors.loops import LoopEndedError
from pygents.actors.ref import OwnStop
from pygents.actors.reply import Reply
from pygents.actors.running import running
from pygents.actors.supervision import BackoffClock, Directive, Restart, RestartWindow, Supervision
from pygents.actors.watch import Ended, Terminated
from pygents.errors import StartTimeoutError

if TYPE_CHECKING:
    from pygents.actors.actor import AsyncActor
    from pygents.actors.ref import ActorRef
    from pygents.actors.supervisor import Supervisor

__all__ = ["Child"]


class Child[A: AsyncActor](Cell[A]):
    """Runs one actor after another behind one ref and mailbox, as its supervisor says."""

    __slots__ = (
        *("_backoff", "_child_failure", "_cuts", "_due", "_failure", "_fences", "_incarnate", "_resting", "_timer"),
        *("_tried", "_window", "children", "course", "ledger", "parent", "restarts", "spec", "system"),
    )

    def __init__(self, actor: A, spec: ChildSpec, parent: "Supervisor") -> None:
        super().__init__(actor, spec.path)
        self.spec = spec
        self.parent = parent
        self.system = parent.system
        self.course = Course(self.system.lock)
        self.ledger = Ledger(spec.path, self.inbox, self.system.bury)
        self.children: Supervisor | None = None
        self.restarts = 0
        self._incarnate = True  # whether an actor runs that has to be told of its end
        self._failure: BaseException | None = None  # what the next actor is told
        self._child_failure: BaseException | None = None
        self._due = False  # whether the next actor may start
        self._resting = False  # whether a backoff is on
        self._timer: asyncio.TimerHandle | None = None
        self._tried: Reply[None] | None = None
        self._cuts = 0  # requests of our own to cancel the activation
        self._fences: set[Task[None]] = set()
        own = spec.supervision
        self._window = None if own is None else RestartWindow(own.max_restarts, own.within)
        self._backoff: BackoffClock | None = None

    # What others may do with it, on any thread.

    @override
    def start(self) -> None:
        self.dispatcher = self.spec.dispatcher.open(self.spec.name, self.system.loop)
        self.ref._dispatcher, self.ref._cell = self.dispatcher, weakref.ref(self)
        self._context = copy_context()
        self._context.run(running.set, self.ref)
        self.started = True
        self.dispatcher.add(self.end_with_loop, self.lose_loop)
        self.inbox.open(self.wake, wake_for_items=True)
        if getattr(self.actor.on_start, "__func__", None) is Actor.on_start:
            self.course.halt = False
            self.course.enter(Phase.RUNNING)
            self._publish_started()
            if self.inbox.release():
                return
        self.wake()

    @property
    def policy(self) -> Supervision:
        """What rules the child's failures."""
        return self.spec.supervision or self.parent.supervision

    @property
    def children_policy(self) -> Supervision:
        """What rules the failures of the child's own children."""
        return cast("AsyncActor", self.actor).supervision

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do and nothing that waits."""
        return self.course.phase is Phase.STOPPED or (self.course.phase is Phase.RUNNING and not self.inbox.claimed)

    def give(self, order: Order) -> None:
        """Order something, unless a higher order is there already."""
        if self.course.give(order):
            self._call()

    def revive(self, failure: BaseException | None) -> Reply[None]:
        """Let a suspended child, or one that has failed, start afresh; what is returned is set when it has tried."""
        tried: Reply[None] = Reply()
        with self.system.lock:
            if self.course.phase is Phase.STOPPED or self.course.order is Order.STOP or self.killed:
                tried.set(None)
                return tried
            self._settle()
            self.course.order = None
            self.course.halt = True
            if self.course.phase in {Phase.STARTING, Phase.RUNNING}:  # it was spawned when the others were suspended
                tried.set(None)
            else:
                self._tried = tried
                self._failure = failure
                self._due = True
                self._resting = False
                self.course.enter(Phase.RESTARTING)
        self._call()
        return tried

    def fail_with(self, failure: BaseException) -> None:
        """Fail because the supervisor of the child's own children has."""
        with self.system.lock:
            self._child_failure = failure
            self.course.halt = True
        self._call()

    def cut(self) -> None:
        """Cancel the message in hand; it goes back to the head of the mailbox."""
        self._on_loop(self._cut_here)

    @override
    def kill(self) -> None:
        with self.system.lock:
            if self.killed or self.course.phase is Phase.STOPPED:
                return
            self.inbox.close()
            announce = self.ledger.clear_queued()  # counted before anybody can see that the child is killed, and end it
            self.killed = self.course.halt = True
        self.leave_pykka()
        announce()
        if self.children is not None:
            self.children.kill_all()
        self._on_loop(self._cancel_for_kill)
        self.parent.see_to_the_end_of(self)

    def abandon_handler(self) -> None:
        """Go on without a handler that ignores its cancellation; what it still does counts for nothing."""
        with self.system.lock:
            task = self.activation
            if task is None or task.done():
                return
            self._fences.add(task)
            self.activation = None
            self._cuts = 0
            self._incarnate = False
        self.system.note_abandoned(self.spec.path)
        if (envelope := self.inbox.in_hand) is not None:
            if self.killed:
                self.ledger.bury(envelope, DeadLetterReason.CUT)
            else:
                self.ledger.go_back(envelope, self.policy.max_attempts)
        self.course.halt = True
        self._on_loop(self.activate)

    def idle(self) -> Reply[None]:
        """Return what is set when the child has nothing to do."""
        reply = self.course.when_idle()
        if self.is_idle:
            self.course.note_idle()
        return reply

    def spawn(self, kind: Any, *args: Any, **options: Any) -> "ActorRef[Any]":
        """Start a child of the actor."""
        with self.system.lock:
            if self.children is None:
                self.children = self.parent.below(self)
        return self.children.spawn(kind, *args, **options)

    def _call(self) -> None:
        """Have somebody attend to what has just been said."""
        if self.course.parked or self.inbox.claim():
            self._on_loop(self.activate)

    def _on_loop(self, function: Callable[[], None]) -> None:
        try:
            self.dispatcher.schedule(function)
        except LoopEndedError:
            self.lose_loop()

    # The activation, on the child's loop.

    @override
    async def work(self) -> None:  # noqa: C901, PLR0912 (one loop: a call more for each message would cost it a tenth)
        inbox = self.inbox
        envelope: Envelope[Any] | None = None
        self.activation = task = asyncio.current_task()
        parked = False
        try:
            if self.course.halt and not await self._attend():
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
                        if not await self._attend():
                            parked = True
                            break
        except BaseException as error:
            if task in self._fences:
                self._fences.discard(task)
                if not isinstance(error, (_FencedError, CancelledError)):
                    log(logging.WARNING, "%s: a handler that was abandoned ended at last, in:", self.label, error=error)
                return
            self.activation = None
            self.break_down(error)
            raise
        self.activation = None
        if parked or inbox.closed:
            return
        if envelope is not None:
            inbox.done(envelope)
        if not inbox.release() or (self.course.halt and inbox.claim()):
            self.wake()
        elif self.course.is_awaited:
            self.course.note_idle()

    async def _attend(self) -> bool:  # noqa: C901 (one branch for each thing that there may be to do)
        """Do what there is to do beside messages; return whether the activation may go on with these."""
        while True:
            self.course.halt = False
            if self.killed:
                await self._die()
                return False
            if self.ending or self.course.order is Order.STOP:
                await self.end()
                return False
            if self.course.order is Order.SUSPEND and self.course.phase is not Phase.SUSPENDED:
                await self._retire(None)
                self._due = False
                self._settle()
                self.course.enter(Phase.SUSPENDED)
            elif self._child_failure is not None:
                failure, self._child_failure = self._child_failure, None
                if self._incarnate:
                    await self.fail(failure)
            elif self.course.phase is Phase.STARTING:
                await self._start_first()
            elif self.course.phase is Phase.RESTARTING and self._due and not self._resting:
                await self._start_again()
            elif self._resting or self.course.phase is not Phase.RUNNING or self.course.order is Order.HOLD:
                if self.course.park():
                    return False
            else:
                return True
            if self.course.phase is Phase.STOPPED:
                return False

    @override
    def activate(self) -> None:
        if self.course.unpark():
            super().activate()

    @override
    def note_cancellation(self) -> None:
        if self._fences and asyncio.current_task() in self._fences:
            raise _FencedError
        if self.activation is not None and self.activation.cancelling():
            self._uncancel()

    @override
    def is_thrown_away(self, error: BaseException) -> bool:
        return (bool(self._fences) and asyncio.current_task() in self._fences) or super().is_thrown_away(error)

    @override
    async def message_failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        cut = self._uncancel()
        if isinstance(error, CancelledError) and (cut or self.ending):
            if self.killed or self.ending:
                self.ledger.bury(envelope, DeadLetterReason.CUT)
            else:
                self.ledger.go_back(envelope, self.policy.max_attempts)
            return
        self._report(error, envelope.message)
        directive = self.policy.directive_for(error)
        if directive is Directive.RETRY:
            if self.ledger.go_back(envelope, self.policy.max_attempts, error):
                self._rest()
            return
        self.ledger.spend_failed(envelope, error)
        if directive is not Directive.RESUME:
            await self._apply(directive, error)

    @override
    async def fail(self, error: BaseException) -> None:
        """Fail with no message to blame."""
        self._report(error, None)
        directive = self.policy.directive_for(error)
        if directive in {Directive.RESUME, Directive.RETRY}:
            directive = Directive.RESTART  # there is nothing to go on with
        await self._apply(directive, error)

    async def _apply(self, directive: Directive, error: BaseException) -> None:
        self.course.halt = True
        if directive is Directive.RESTART and self.spec.restart is not Restart.TEMPORARY:
            delay = self.parent.ask_restart(self, error)
        elif directive is Directive.ESCALATE:
            delay = None
            self.parent.fail(error)
        else:
            self.course.enter(Phase.STOPPING)
            rest = self.inbox.close()
            self.leave_pykka()
            await self._retire(error)
            self.let_go(rest, Ended.FAILED)
            return
        self._settle()  # what has to follow has been asked for
        await self._retire(error)
        await self._wait_for_restart(error, delay)

    async def _wait_for_restart(self, error: BaseException | None, delay: float | None) -> None:
        with self.system.lock:
            self._failure = error
            self.course.enter(Phase.RESTARTING)
            if delay is not None and self.course.order is None:
                self._due = True
                self._rest_for(delay)

    @override
    async def stop_ordered(self, envelope: Envelope[Any]) -> None:
        if self.spec.restart is not Restart.PERMANENT or not isinstance(envelope.message, OwnStop):
            await super().stop_ordered(envelope)
            return
        self.inbox.done(envelope)
        answer(envelope.reply_to, True)  # noqa: FBT003
        self.course.halt = True
        delay = self.parent.ask_restart(self, None)
        await self._retire(None)
        await self._wait_for_restart(None, delay)

    @override
    async def end(self) -> None:
        self.course.enter(Phase.STOPPING)
        rest = self.inbox.close()
        self.leave_pykka()
        await self._retire(None)
        self.let_go(rest, Ended.KILLED if self.killed else Ended.STOPPED)

    async def _die(self) -> None:
        self.course.enter(Phase.STOPPING)
        self._incarnate = False
        if self.children is not None:
            await self._wait_for(self.children.all_gone())
        self.let_go([], Ended.KILLED)

    async def _retire(self, failure: BaseException | None) -> None:
        """End the actor that is running, if one is: children first, then ``on_failure`` or ``on_stop``."""
        if self.children is not None:
            await self._wait_for(self.children.stop_all())
        if not self._incarnate:
            return
        self._incarnate = False
        if failure is None:
            error = await self._run_own(self.spec.shutdown, self.actor.on_stop)
        else:
            details = type(failure), failure, failure.__traceback__
            error = await self._run_own(self.spec.shutdown, self.actor.on_failure, *details)
        if error is not None and not self.killed:
            name = "on_stop" if failure is None else "on_failure"
            log(logging.ERROR, "Exception in %s of %s:", name, self.label, error=error)

    async def _start_first(self) -> None:
        error = await self._run_own(self.spec.start_timeout, self.actor.on_start)
        if self.killed:
            return
        if error is not None:
            await self.fail(error)
            return
        self.course.enter(Phase.RUNNING)
        self._publish_started()

    def _settle(self) -> None:
        """Tell whoever has revived the child that it has started, or will not now."""
        with self.system.lock:
            tried, self._tried = self._tried, None
        if tried is not None:
            tried.set(None)

    async def _start_again(self) -> None:
        self._due = False
        failure = self._failure
        error: BaseException | None
        try:
            self.actor = actor = cast("A", self.spec.make_again(self))
        except BaseException as raised:  # noqa: BLE001 (it is the actor's failure)
            error = raised
        else:
            self.ref._actor_weakref = weakref.ref(actor)
            self._incarnate = True
            error = await self._run_own(self.spec.start_timeout, actor.on_restart, failure)
            if error is None and not self.killed:
                error = await self._run_own(self.spec.start_timeout, actor.on_start)
        if self.killed:
            return
        self.restarts += 1
        if error is not None:
            await self.fail(error)
            return
        self._failure = None
        self.course.enter(Phase.RUNNING)
        self._settle()
        if self.system.publishes:
            self.system.publish(
                ActorRestarted(path=self.spec.path, at=time.time(), failure=failure, restarts=self.restarts)
            )

    async def _run_own(self, seconds: float, method: Callable[..., object], *args: object) -> BaseException | None:
        """Run one of the ``on_*`` methods, and return what it raised, also for taking too long."""
        name = getattr(method, "__name__", "a method")
        bounds = Bounds(
            seconds,
            self.spec.shutdown,
            self._uncancel,
            lambda: self.system.note_abandoned(f"{self.spec.path} in {name}"),
        )
        try:
            return await call_bounded(bounds, method, *args)
        except TimeoutError:
            return StartTimeoutError(self.spec.path, name, seconds)

    async def _wait_for(self, children: Reply[None]) -> None:
        """Wait for the child's own children, whoever cancels meanwhile: they are told when the child is."""
        while not children.done:
            try:
                await children
            except CancelledError:
                self._uncancel()

    def _uncancel(self) -> bool:
        """Take our own requests to cancel back, and return whether there were any; any other ends the child."""
        activation, cuts = self.activation, self._cuts
        self._cuts = 0
        if activation is None:
            return False
        for _ in range(cuts):
            activation.uncancel()
        if activation.cancelling():
            self.ending = self.course.halt = True
        return cuts > 0

    def _cut_here(self) -> None:
        if self.activation is not None and self.course.order is Order.SUSPEND and self.inbox.in_hand is not None:
            self._cuts += 1
            self.activation.cancel()

    @override
    def _cancel_for_kill(self) -> None:
        if self.activation is None:
            self.activate()
        else:
            self._cuts += 1
            self.activation.cancel()

    def _rest(self) -> None:
        """Wait for the backoff before the same message is handled again."""
        with self.system.lock:
            self._rest_for(self.next_delay())

    def _rest_for(self, delay: float) -> None:
        if delay <= 0 or self.dispatcher.loop is None:
            return
        self._resting = self.course.halt = True
        self._timer = self.dispatcher.loop.call_later(delay, self._wake_up)

    def _wake_up(self) -> None:
        self._timer = None
        with self.system.lock:
            self._resting = False
            self.course.halt = True
        if self.course.parked:
            self.activate()

    def next_delay(self) -> float:
        """Return the seconds to wait before the next restart or retry."""
        backoff = self.policy.backoff
        if backoff is None:
            return 0.0
        self._backoff = self._backoff or BackoffClock(backoff)
        return self._backoff.next_delay(self.system.now(), random())  # noqa: S311 (jitter is no secret)

    def admits_restart(self, now: float) -> bool | None:
        """Count a restart in the window for this child alone, if it has one."""
        return None if self._window is None else self._window.admits(now)

    # Its end, on any thread.

    @override
    def let_go(self, rest: Sequence[Envelope[Any]], how: Ended = Ended.STOPPED) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (left := self.inbox.in_hand) is not None:
            self.inbox.done(left)
            if not isinstance(left.message, (_ActorStop, Terminated)):
                self.ledger.bury(left, DeadLetterReason.CUT)
        self.answer_unhandled(self.inbox.clear())
        self.dispatcher.discard(self.end_with_loop)
        self._over(how)

    @override
    def lose_loop(self, refused: Envelope[Any] | None = None) -> bool:
        given_back = super().lose_loop(refused)
        if given_back:
            self.ledger.note_refused()
        self._over(Ended.LOOP_CLOSED)
        return given_back

    def _over(self, how: Ended) -> None:
        if not self.course.enter(Phase.STOPPED):
            return
        self._settle()
        self.parent.forget(self)
        self.course.note_idle()
        self.watches.end(how)
        if self.system.publishes:
            self.system.publish(ActorStopped(path=self.spec.path, at=time.time(), how=how))

    @override
    def answer_unhandled(self, envelopes: Sequence[Envelope[Any]]) -> None:
        self.ledger.bury_all(envelopes)

    def _publish_started(self) -> None:
        if self.system.publishes:
            self.system.publish(ActorStarted(path=self.spec.path, at=time.time()))

    def _report(self, error: BaseException, message: object) -> None:
        """Say once, in the log and as an event, that something of the actor's has failed."""
        if message is None:
            log(logging.ERROR, "%s failed:", self.label, error=error)
        else:
            log(logging.ERROR, "%s failed on %s:", self.label, show(message), error=error)
        if self.system.publishes:
            self.system.publish(ActorFailed(path=self.spec.path, at=time.time(), failure=error, message=message))


class _FencedError(BaseException):
    """Raised in a handler's task that has been abandoned, so that it does nothing more for its cell."""
