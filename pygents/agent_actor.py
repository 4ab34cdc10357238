"""AgentActor: the actor that an agent is. One turn per message, hooks as interceptors.

An agent that no system has started is on the caller's dispatcher: a drain takes the actor's claim and handles its
mailbox in the consumer's own task, so backpressure, context variables, cancellation and exceptions are the consumer's
by construction, and nothing is paid for hand-offs.

Invariants:

* The mailbox's claim is the right to drain: at most one drain is between its beginning and its end.
* A turn is queued, in hand, or spent, and it is in the mailbox's snapshot until it is spent. It leaves the hand in the
  same step in which a turn that it returned is enqueued. It stays in hand for the next drain only if its consumer's
  task was cancelled.
* ``put``, ``tell``, ``ask``, ``stop`` and snapshots are safe on any thread: they touch only the mailbox.
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pykka import ActorDeadError

from pygents.acceptance import check_turn, due, has_failed, is_turn, is_work, refusal, set_due, work_in
from pygents.actors.actor import AsyncActor
from pygents.actors.answers import answer, fail_reply
from pygents.actors.dispatcher import CallerDispatcher, Dispatcher
from pygents.actors.reply import Reply
from pygents.agent_cell import AgentCell
from pygents.agent_child import AgentChild
from pygents.agent_hooks import outside_turns, run_agent_hooks, run_hooks_for_failure, show
from pygents.context import current_agent, current_turn, frame_for, leave, running, within
from pygents.deciding import combined
from pygents.decisions import Replace, Skip
from pygents.errors import SafeExecutionError, TurnCancelledError
from pygents.generators import begin
from pygents.hooks import AgentHook
from pygents.live_turn import call_own, receive
from pygents.outcome import Due, StopReason, fail, failure_behind
from pygents.run import Drain, Run, drain_of
from pygents.tool_functions import is_streaming
from pygents.turn import Turn
from pygents.turn_hooks import decide_put
from pygents.work import Accepted, DecidedWork, Work, decision_on, make_work

if TYPE_CHECKING:
    from pygents.actors.child_spec import ChildSpec
    from pygents.actors.supervisor import Supervisor
    from pygents.agent import Agent
    from pygents.deciding import Decision

__all__ = ["AgentActor"]

logger = logging.getLogger("pygents.agent")

type Result = tuple[Turn[Any], Any]
type _Enqueue = Callable[[Turn[Any], Skip | Replace | None], None]


class AgentActor(AsyncActor):
    """Runs an agent's turns, for whoever drains it.

    Args:
        agent: the agent, which is not kept alive

    """

    dispatcher: ClassVar[type[Dispatcher]] = CallerDispatcher

    def __init__(self, agent: "Agent") -> None:
        super().__init__()
        self._agent = weakref.ref(agent)
        self.cell: AgentCell | AgentChild = AgentCell(self, agent)
        self._owed: Work | None = None  # what the drain yields the stored output of, and does not run

    def __str__(self) -> str:
        return self.cell.label

    def _start_actor_loop(self) -> None:
        self.cell.start()

    @classmethod
    def launch(cls, agent: "Agent") -> "AgentActor":
        """Start the actor of an agent; it stops when the agent is collected."""
        actor = cast("AgentActor", cls.start(agent)._actor_weakref())  # noqa: SLF001 (the mailbox keeps it alive)
        weakref.finalize(agent, cast("AgentCell", actor.cell).collect).atexit = False
        return actor

    def give_up(self) -> None:
        """End, because the agent was never whole."""
        cast("AgentCell", self.cell).collect()

    @property
    def child(self) -> AgentChild | None:
        """What runs the actor in a system, if it lives in one."""
        return self.cell if isinstance(self.cell, AgentChild) else None

    def live(self, agent: "Agent", spec: "ChildSpec", parent: "Supervisor") -> AgentChild:
        """Live under a supervisor from now on.

        Raises:
            ActorDeadError: if the agent has stopped
            SafeExecutionError: if it lives in a system already, or somebody runs it

        """
        if self.actor_inbox.closed:
            msg = f"{self} has stopped: make a new agent"
            raise ActorDeadError(msg)
        if self.child is not None:
            msg = f"{self} lives in a system already, at {self.child.spec.path!r}"
            raise SafeExecutionError(msg)
        if not self.actor_inbox.claim():
            raise _running(agent)
        self.cell = child = AgentChild(self, agent, spec, parent)
        if (restored := self.actor_inbox.in_hand) is not None:
            child.resumed = restored if restored.message.stop_reason is StopReason.COMPLETED else None
            self.actor_inbox.put_back(restored)
        return child

    async def on_start(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run the agent's own, in a system."""
        await call_own(self.child, "on_start")

    async def on_stop(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run the agent's own, in a system."""
        await call_own(self.child, "on_stop")

    async def on_restart(self, failure: BaseException | None) -> None:
        """Run the agent's own, in a system."""
        await call_own(self.child, "on_restart", failure)

    @property
    def is_drained(self) -> bool:
        """Whether somebody is draining the mailbox."""
        return self.actor_inbox.claimed and not self.actor_inbox.closed

    def is_running(self, agent: "Agent") -> bool:
        """Return whether somebody is draining the mailbox and has not just gone."""
        if self.child is not None:
            return self.actor_inbox.in_hand is not None
        drain = drain_of(agent)
        return self.is_drained and not (drain is not None and drain.dropped)

    def snapshot(self) -> tuple[Work | None, list[Work]]:
        """Return the turn in hand and the queued ones, as they are at one moment."""
        return work_in(self.actor_inbox, cast("Agent", self._agent()))  # who else would ask?

    def restore(self, current: Work | None, queued: Sequence[Work], left: Due = Due.AFTER_TURN) -> None:
        """Take what a snapshot had. A turn that had failed by then is spent, and not taken.

        Args:
            current: the turn in hand
            queued: the queued turns
            left: what is due for the turn in hand, if it had completed

        """
        if current is not None:
            turn = current.message
            if has_failed(turn):
                logger.warning("%s does not restore %r, which had ended: %s", self, turn, turn.stop_reason)
            else:
                set_due(turn, left)
                self.actor_inbox.hold(current)
        for work in queued:
            self.actor_inbox.put(work)

    def deliver(self, turn: Turn[Any], decision: Skip | Replace | None = None) -> None:
        """Enqueue a turn, with what was decided of it.

        Raises:
            ActorDeadError: if the agent has stopped

        """
        try:
            # What make_work() does, without the cost of a call for every turn.
            self.actor_inbox.put(Accepted(turn) if decision is None else DecidedWork(turn, decision))
        except ActorDeadError:
            raise self._stopped() from None

    def ask(self, turn: Turn[Any], decision: Skip | Replace | None) -> Reply[Any]:
        """Enqueue a turn, and return its output to come.

        Raises:
            ActorDeadError: if the agent has stopped

        """
        reply: Reply[Any] = Reply(self.actor_ref)
        work = make_work(turn, decision)
        work.reply_to = reply
        try:
            self.actor_inbox.put(work)
        except ActorDeadError:
            raise self._stopped() from None
        return reply

    def _stopped(self) -> ActorDeadError:
        return ActorDeadError(f"{self} has stopped and takes no more turns")

    async def put(self, agent: "Agent", turn: Turn[Any], enqueue: "_Enqueue | None" = None) -> None:
        """Enqueue a turn, with the agent's put hooks around it.

        Raises:
            ActorDeadError: if the agent has stopped
            TurnDeniedError: if a hook denied it
            ValueError: if a hook made it a turn that the agent does not accept
            BaseException: what a hook raised

        """
        if self.actor_inbox.closed:
            raise self._stopped()
        decision = await within(frame_for(current_turn(), agent), decide_put(agent, turn))
        check_turn(agent, turn)  # again: a hook may have changed it
        (enqueue or self.deliver)(turn, decision)
        await run_agent_hooks(agent, current_turn(), AgentHook.AFTER_PUT, agent, turn)

    def run(self, agent: "Agent") -> Run[Result]:
        """Return the results of draining the mailbox until it is empty.

        Raises:
            SafeExecutionError: if somebody is draining it, and has not just gone

        """
        if self.child is not None:
            msg = f"{self} lives in a system, which runs its turns: use tell(), ask() or put()"
            raise SafeExecutionError(msg)
        if self.is_running(agent):
            raise _running(agent)
        drain = Drain()
        return Run(self._results(agent, drain), drain)

    async def leave_run(self, agent: "Agent") -> None:
        """End the drain of the calling task, if it has one and is between two of its results.

        Raises:
            SafeExecutionError: if the caller is a tool or hook of the agent's own

        """
        drain = drain_of(agent)
        if current_agent() is agent and self._is_at(current_turn()):
            msg = f"{self} cannot wait in its own tool or hook for its own end: use agent.ref.stop(block=False)"
            raise SafeExecutionError(msg)
        if drain is not None and drain.active and drain.is_mine:
            await drain.close()

    def _is_at(self, turn: Turn[Any] | None) -> bool:
        """Return whether it is running this turn, or hooks outside any; what an earlier turn spawned is neither."""
        in_hand = self.actor_inbox.in_hand
        return self.is_drained and (turn is None or (in_hand is not None and in_hand.message is turn))

    async def on_receive(self, message: object) -> object:
        """Run a turn for the system, or refuse what is not a turn of the agent's and nobody else has handled."""
        if self.child is not None:
            return await receive(self.child, message, self._follow_up)
        check_turn(cast("Agent", self._agent()), message)  # whoever drains holds the agent
        return None

    # One function, though a long one: only a generator itself can yield, and a second one would cost every value.
    async def _results(  # noqa: C901, PLR0912, PLR0915
        self, agent: "Agent", drain: Drain
    ) -> AsyncGenerator[Result]:
        await self._begin_drain(agent, drain)
        me = weakref.ref(agent)
        try:
            while True:
                envelope, decision = self._next_plain(agent), None
                if envelope is None:
                    envelope, decision = await self._next(agent)
                    if envelope is None:
                        break
                turn = envelope.message
                frame = (me, turn)
                token = running.set(frame) if is_streaming(turn.tool) else None
                inside = True
                try:
                    if token is not None:
                        async with aclosing(turn.yielding_as(decision)) as values:
                            step = begin(values)
                            while True:
                                try:
                                    value = await step
                                except StopAsyncIteration:
                                    break
                                if agent.hooks:
                                    await show(agent, turn, value, values.athrow)
                                running.reset(token)
                                inside = False
                                yield turn, value
                                token = running.set(frame)
                                inside = True
                                step = anext(values)
                    else:
                        if envelope is not self._owed:
                            value = await turn.returning_in(frame, decision)
                        else:
                            value = self._stored()
                        if agent.hooks:  # else nobody can look between the end of its run and the consumer
                            turn.__dict__["_due"] = Due.VALUE
                            await show(agent, turn, value, partial(fail, turn))
                            turn.__dict__["_due"] = None
                        inside = False
                        yield turn, value
                except BaseException as error:
                    if inside:
                        await self._turn_failed(agent, envelope, error)
                    else:
                        await self._left(agent, envelope)
                    raise
                else:
                    if agent.hooks or isinstance(turn.output, Turn):  # else there is nothing to wait for
                        await self._complete(agent, envelope)
                    else:
                        self._spend(envelope, None)
                finally:
                    if inside and token is not None:
                        leave(token)
        finally:
            self._end_drain(drain)

    async def _begin_drain(self, agent: "Agent", drain: Drain) -> None:
        inbox = self.actor_inbox
        while not inbox.claim():
            if inbox.closed:
                msg = f"{self} has stopped and runs no more turns"
                raise ActorDeadError(msg)
            other = drain_of(agent)
            if other is None or not other.dropped:
                raise _running(agent)
            if other.lost:
                self._end_lost_drain(other)
            else:
                await other.close()
        try:
            drain.begin()
        except BaseException:
            self._release()
            raise
        agent.__dict__["_drain"] = drain
        cast("CallerDispatcher", self.cell.dispatcher).loop = asyncio.get_running_loop()

    def _end_lost_drain(self, drain: Drain) -> None:
        envelope = self.actor_inbox.in_hand
        if envelope is not None and envelope.message.stop_reason is StopReason.CANCELLED:
            self._spend(envelope, TurnCancelledError(f"the event loop was closed on which a run of {self} was left"))
        self._end_drain(drain)

    def _end_drain(self, drain: Drain) -> None:
        if not drain.active:  # it was lost, and its generator is only collected now
            return
        cast("CallerDispatcher", self.cell.dispatcher).loop = None
        drain.end()
        self._release()

    def _release(self) -> None:
        """Give the mailbox back; if a stop is queued behind turns that stay, carry it out."""
        if not self.actor_inbox.release():
            cast("AgentCell", self.cell).end_undrained()

    def _next_plain(self, agent: "Agent") -> Work | None:
        """Take the next turn if nothing else is to be done before it; else `_next` does that."""
        inbox = self.actor_inbox
        if agent.hooks or inbox.in_hand is not None or (envelope := inbox.take()) is None:
            return None
        turn = envelope.message
        if type(envelope) is DecidedWork or not isinstance(turn, Turn) or turn.tool not in agent.tools:
            return None
        return envelope

    async def _next(self, agent: "Agent") -> "tuple[Work | None, Decision | None]":
        """Return the next turn, in hand, and what is decided of it; what is no turn of the agent's is answered."""
        inbox = self.actor_inbox
        while not inbox.closed and (envelope := inbox.in_hand or inbox.peek()) is not None:
            if not is_work(agent, envelope.message):
                if inbox.in_hand is None:
                    inbox.take()
                if isinstance(envelope, Accepted):
                    if (error := refusal(agent, envelope.message)) is not None:
                        await self._fail_late(agent, envelope, error)
                else:
                    await self.cell.handle(envelope)
                    inbox.done(envelope)
            elif inbox.in_hand is not None and envelope.message.stop_reason is StopReason.COMPLETED:
                if due(envelope.message) is Due.VALUE:  # a snapshot was taken before the consumer got it
                    self._owed = envelope
                    return envelope, None
                await self._complete(agent, envelope)  # or after its value and before its end
            else:
                decision = None
                if agent.hooks:
                    decision = await outside_turns(run_agent_hooks(agent, None, AgentHook.BEFORE_TURN, agent))
                    if not is_work(agent, envelope.message):  # a hook made it so
                        continue
                work = inbox.in_hand or inbox.take()
                return work, None if work is None else combined(decision_on(work), decision)
        return None, None

    def _stored(self) -> object:
        """Return the output that is owed to the consumer; if it is cut while it gets it, the turn is run again."""
        owed, self._owed = cast("Work", self._owed), None
        owed.message.__dict__["_due"] = None
        return owed.message.output

    async def _complete(self, agent: "Agent", envelope: Work) -> None:
        """Do what follows the last value of a turn; the turn is spent by it, whatever happens."""
        try:
            await self._follow_up(agent, envelope.message)
        except asyncio.CancelledError:
            self._complete_later(envelope)
            raise
        except BaseException as error:
            await self._fail_late(agent, envelope, error)
            raise
        self._spend(envelope, None)

    def _complete_later(self, envelope: Work) -> None:
        """Leave a turn whose returned turn has not been put to the next drain; spend any other."""
        if self.actor_inbox.in_hand is not envelope or not isinstance(envelope.message.output, Turn):
            self._spend(envelope, None)

    async def _follow_up(self, agent: "Agent", turn: Turn[Any]) -> None:
        try:
            if due(turn) is not Due.PUT:
                await run_agent_hooks(agent, turn, AgentHook.AFTER_TURN, agent, turn)
        finally:
            turn.__dict__["_due"] = Due.PUT  # what it is left with, if the consumer is cancelled from here on
            output: object = turn.output
            if is_turn(output):
                await self.put(agent, check_turn(agent, output), self._deliver_in_place)

    def _deliver_in_place(self, turn: Turn[Any], decision: Skip | Replace | None) -> None:
        self.actor_inbox.put_in_place(make_work(turn, decision))

    async def _fail_late(self, agent: "Agent", envelope: Work, error: BaseException) -> None:
        turn = envelope.message
        try:
            await within(frame_for(turn, agent), fail(turn, error))
        except BaseException as failure:
            await self._turn_failed(agent, envelope, failure)
            raise

    async def _left(self, agent: "Agent", envelope: Work) -> None:
        """Go on from a consumer that has left at a value."""
        if envelope.message.stop_reason is StopReason.COMPLETED:
            await self._complete(agent, envelope)
        else:
            self._spend(envelope, TurnCancelledError(f"the consumer of {self} left between two values"))

    async def _turn_failed(self, agent: "Agent", envelope: Work, error: BaseException) -> None:
        turn = envelope.message
        failure = failure_behind(turn, error)
        if isinstance(failure, asyncio.CancelledError):
            return  # the consumer was cancelled: the turn stays in hand
        self.actor_inbox.done(envelope)
        try:
            await run_hooks_for_failure(agent, turn, failure)
        finally:
            self._spend(envelope, failure)

    def _spend(self, envelope: Work, error: BaseException | None) -> None:
        """Let go of a turn that has ended, and answer whoever asked for it."""
        self.actor_inbox.done(envelope)
        reply = envelope.reply_to
        if reply is None:
            return
        if error is None:
            answer(reply, envelope.message.output)
        else:
            fail_reply(reply, error, self.cell.label)


def _running(agent: "Agent") -> SafeExecutionError:
    return SafeExecutionError(f"{agent!r} is running: leave or finish its run() before the next one")
