"""AgentActor: the actor that an agent is, with what all who use it share: the mailbox, and putting turns into it.

Either a consumer handles the mailbox, through the drainer, or, from `live` on, the system that the agent lives in. The
actor must not know how either of them runs a turn; what both do after one, it does for them.

Invariants:

* An agent that no system has started is on the caller's dispatcher: it is handled on whatever loop a consumer has.
* ``put``, ``tell``, ``ask``, ``stop`` and snapshots are safe on any thread: they touch only the mailbox.
* Whoever has the mailbox's claim handles it. `live` changes the cell, and only while it has the claim.
"""

# pyright: reportPrivateUsage=false

import logging
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pykka import ActorDeadError

from pygents.acceptance import check_turn, due, has_failed, is_turn, set_due, work_in
from pygents.actors.actor import AsyncActor
from pygents.actors.answers import log, show
from pygents.actors.deadline import Deadline
from pygents.actors.dispatcher import CallerDispatcher, Dispatcher
from pygents.actors.dropping import bind
from pygents.actors.reply import Reply
from pygents.actors.sending import insist, insist_async, offer, send_async
from pygents.actors.wait_graph import Wait, begin_wait
from pygents.agent_cell import AgentCell
from pygents.agent_child import AgentChild
from pygents.agent_hooks import outside_turns, run_agent_hooks
from pygents.context import current_agent, current_turn, frame_for, running, within
from pygents.deciding import denial
from pygents.decisions import Deny, Replace, Skip
from pygents.drainer import Drainer, Result, lives_error, running_error
from pygents.errors import MailboxFullError, SafeExecutionError, TurnDeniedError
from pygents.hook_time import hook_limit
from pygents.hooks import AgentHook
from pygents.interrupting import close_held
from pygents.live_turn import call_own, receive
from pygents.outcome import Due, StopReason
from pygents.run import Run, drain_of
from pygents.turn import Turn
from pygents.turn_hooks import decide_put
from pygents.work import Accepted, Work, make_work

if TYPE_CHECKING:
    from pygents.actors.child_spec import ChildSpec
    from pygents.actors.mailbox_policy import MailboxPolicy
    from pygents.actors.supervisor import Supervisor
    from pygents.agent import Agent

__all__ = ["AgentActor"]

logger = logging.getLogger("pygents.agent")

type _Enqueue = Callable[[Turn[Any], Skip | Replace | None], Awaitable[None]]


class AgentActor(AsyncActor):
    """Runs an agent's turns, for whoever drains it.

    Args:
        agent: the agent, which is not kept alive

    """

    dispatcher: ClassVar[type[Dispatcher]] = CallerDispatcher

    def __init__(self, agent: "Agent") -> None:
        super().__init__()
        self._agent = weakref.ref(agent)
        cell = AgentCell(self, agent)
        self.cell: AgentCell | AgentChild = cell
        self.collected: weakref.finalize[..., Agent]
        self._drainer = Drainer(cell, self._follow_up)
        self.policy: MailboxPolicy | None = None
        """What bounds the mailbox, unless a supervisor says otherwise."""

    def __str__(self) -> str:
        return self.cell.label

    def _start_actor_loop(self) -> None:
        self.cell.start()

    @classmethod
    def launch(cls, agent: "Agent") -> "AgentActor":
        """Start the actor of an agent; it stops when the agent is collected."""
        actor = cast("AgentActor", cls.start(agent)._actor_weakref())  # noqa: SLF001 (the mailbox keeps it alive)
        actor.collected = collected = weakref.finalize(agent, cast("AgentCell", actor.cell).collect)
        collected.atexit = False
        return actor

    def give_up(self) -> None:
        """End, because the agent was never whole."""
        cast("AgentCell", self.cell).collect()

    def be_bound(self, policy: "MailboxPolicy | None") -> None:
        """Have a policy bound the mailbox, if there is one."""
        self.policy = policy
        bind(self.cell, policy)

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
            how = "finish its run() before it is spawned, or leave it in `async with aclosing(agent.run())`"
            msg = f"{agent!r} is running: {how}, since one that is left by `break` is closed a little later"
            raise SafeExecutionError(msg)
        self.collected.detach()  # the child keeps the agent alive, and this would keep the child
        self.cell = child = AgentChild(self, agent, spec, parent)
        self._drainer.give_way(child)
        if (restored := self.actor_inbox.in_hand) is not None:
            if restored.message.stop_reason is StopReason.COMPLETED:
                child.resumed = restored
                if isinstance(restored.reply_to, Reply):
                    restored.reply_to.deadline = None  # it was handled in time
            self.actor_inbox.put_back(restored)
        return child

    async def on_start(self) -> None:
        """Run the agent's own, in a system."""
        await call_own(self.child, "on_start")

    async def on_stop(self) -> None:
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
        """Return whether a turn is in hand in a system, or somebody is draining the mailbox and has not just gone."""
        if self.child is not None:
            in_hand = self.actor_inbox.in_hand
            return in_hand is not None and is_turn(in_hand.message)
        drain = drain_of(agent)
        return self.is_drained and not (drain is not None and drain.dropped)

    def check_renamable(self) -> None:
        """Refuse another name for the agent while the tree of its system has it under this one.

        Raises:
            SafeExecutionError: if it lives in a system

        """
        if self.child is not None and not self.actor_inbox.closed:
            msg = f"Cannot change property 'name' while the agent lives in a system: it is at {self.child.spec.path!r}"
            raise SafeExecutionError(msg)

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
                text = "%s does not restore %s, which had ended: %s"
                log(logging.WARNING, text, self, show(turn), turn.stop_reason, to=logger)
            else:
                set_due(turn, left)
                self.actor_inbox.hold(current)
        for work in queued:
            self.actor_inbox.put_exempt(work)

    def deliver(self, turn: Turn[Any]) -> None:
        """Enqueue a turn.

        Raises:
            ActorDeadError: if the agent has stopped
            MailboxFullError: if there is no room

        """
        try:
            if type(self.cell) is AgentCell:  # no loop to look at: a call more would cost it a fiftieth
                self.actor_inbox.put(Accepted(turn))
            else:
                offer(self.cell.ref, Accepted(turn))
        except ActorDeadError:
            raise self._stopped() from None

    def deliver_late(self, turn: Turn[Any], full: MailboxFullError) -> None:
        """Enqueue a turn for which there was no room, waiting for it on this thread; as `deliver`."""
        try:
            insist(self.actor_ref, Accepted(turn), full)
        except ActorDeadError:
            raise self._stopped() from None

    async def deliver_late_async(self, turn: Turn[Any], full: MailboxFullError) -> None:
        """Enqueue a turn for which there was no room, waiting for it in this task; as `deliver`."""
        try:
            await insist_async(self.actor_ref, Accepted(turn), full)
        except ActorDeadError:
            raise self._stopped() from None

    async def ask(self, agent: "Agent", turn: Turn[Any], timeout: float | None) -> object:
        """Enqueue a turn, with the put hooks, and wait for its output; the timeout is for its room, too.

        Raises:
            ActorDeadError: if the agent has stopped
            MailboxFullError: if there is no room in time
            AskCycleError: if who asks would wait for ever; nothing is enqueued
            BaseException: as `put`, and what the turn ends in

        """
        reply: Reply[Any] = Reply(self.actor_ref)
        wait: Wait | None = None
        left = timeout

        async def send(turn: Turn[Any], decision: Skip | Replace | None) -> None:
            nonlocal wait, left
            work = make_work(turn, decision)
            work.reply_to = reply
            if work.sender is not None and not self.actor_inbox.closed:
                wait = begin_wait(reply, self.cell)
            left = await self._send(work, timeout)

        try:
            await outside_turns(self.put(agent, turn, send))
            if left is not None:
                reply.deadline = Deadline(left)
            return await reply.get_async(timeout=left)
        finally:
            if wait is not None:
                wait.end()

    async def _deliver_when_there_is_room(self, turn: Turn[Any], decision: Skip | Replace | None) -> None:
        await self._send(make_work(turn, decision))

    async def _send(self, work: Work, timeout: float | None = None) -> float | None:
        try:
            return await send_async(self.actor_ref, work, timeout)
        except ActorDeadError:
            raise self._stopped() from None

    def _stopped(self) -> ActorDeadError:
        return ActorDeadError(f"{self} has stopped and takes no more turns")

    async def put(self, agent: "Agent", turn: Turn[Any], enqueue: "_Enqueue | None" = None) -> None:
        """Enqueue a turn, with the agent's put hooks around it.

        Raises:
            ActorDeadError: if the agent has stopped
            MailboxFullError: if there is no room
            TurnDeniedError: if a hook denied it
            ValueError: if a hook made it a turn that the agent does not accept
            BaseException: what a hook raised

        """
        if self.actor_inbox.closed:
            raise self._stopped()
        limit = None if self.child is None else hook_limit.set(self.child.hook_limit)
        try:
            decision = await within(frame_for(current_turn(), agent), decide_put(agent, turn))
            check_turn(agent, turn)  # again: a hook may have changed it
            await (enqueue or self._deliver_when_there_is_room)(turn, decision)
            await run_agent_hooks(agent, current_turn(), AgentHook.AFTER_PUT, agent, turn)
        finally:
            if limit is not None:
                hook_limit.reset(limit)

    def run(self, agent: "Agent") -> Run[Result]:
        """Return the results of draining the mailbox until it is empty.

        Raises:
            SafeExecutionError: if somebody is draining it, and has not just gone

        """
        if self.child is not None:
            raise lives_error(self)
        if self.is_running(agent):
            raise running_error(agent)
        return self._drainer.run(agent)

    async def leave_run(self, agent: "Agent") -> None:
        """End the drain of the calling task, if it has one and is between two of its results.

        Raises:
            SafeExecutionError: if the caller is a tool, a hook or a method of the agent's own

        """
        drain = drain_of(agent)
        if (current_agent() is agent and self._is_at(current_turn())) or self._is_in_method():
            msg = f"{self} cannot wait in its own tool, hook or method for its own end: use agent.ref.stop(block=False)"
            raise SafeExecutionError(msg)
        if drain is not None and drain.active and drain.is_mine:
            await drain.close()

    async def cancel_turn(self, reason: str) -> bool:
        """Cancel the turn that is running; a consumer that does so while it holds a value ends the tool itself.

        Raises:
            SafeExecutionError: if the caller is a tool or hook of the turn's

        """
        over = self.actor_ref.cancel_turn(reason)
        agent, turn = self._agent(), self.cell.turn_in_hand
        drain = None if agent is None else drain_of(agent)
        if turn is not None and drain is not None and drain.active and drain.is_mine and not over.done:
            await within(frame_for(turn, agent), close_held(turn))
            return True
        return await over

    def _is_at(self, turn: Turn[Any] | None) -> bool:
        """Return whether it is running this turn, or hooks outside any; what an earlier turn spawned is neither."""
        in_hand = self.actor_inbox.in_hand
        return self.is_drained and (turn is None or (in_hand is not None and in_hand.message is turn))

    def _is_in_method(self) -> bool:
        """Return whether a method that the system runs is what runs here, and its end would come only after that."""
        child = self.child
        is_own = child is not None and running.get() is self.actor_ref and child.is_own_code()
        return is_own and self.is_drained

    async def on_receive(self, message: object) -> object:
        """Run a turn for the system, or refuse what is not a turn of the agent's and nobody else has handled."""
        if self.child is not None:
            return await receive(self.child, message, self._follow_up)
        check_turn(cast("Agent", self._agent()), message)  # whoever drains holds the agent
        return None

    async def _follow_up(self, agent: "Agent", turn: Turn[Any]) -> None:
        try:
            if due(turn) is not Due.PUT:
                await run_agent_hooks(agent, turn, AgentHook.AFTER_TURN, agent, turn)
        except BaseException:
            if self.child is None or not self.child.has_cut:  # else it is run again, or is dead
                await self._put_returned(agent, turn)
            raise
        await self._put_returned(agent, turn)

    async def _put_returned(self, agent: "Agent", turn: Turn[Any]) -> None:
        turn.__dict__["_due"] = Due.PUT  # what it is left with, if the consumer is cancelled from here on
        output: object = turn.output
        if is_turn(output):
            try:
                await self.put(agent, check_turn(agent, output), self._deliver_in_place)
            except TurnDeniedError as error:
                raise denial(Deny(error.reason), turn) from error  # of the turn that returned it

    async def _deliver_in_place(self, turn: Turn[Any], decision: Skip | Replace | None) -> None:
        if self.child is not None:
            self.child.cuts.pass_fence()
        self.actor_inbox.put_in_place(make_work(turn, decision))
