"""Hand: the turn that a drain has in hand, from when it is taken until it is spent.

It takes the next turn out of the mailbox; it does what follows a turn's last value, its failure, or its consumer's
leaving; and it answers whoever asked. It must not know who drains, nor how values reach the consumer.

Invariants:

* The holder of the mailbox's claim calls it, and nobody else, but for `spend_lost`, whose holder has gone with its
  loop. Snapshots read the mailbox, on any thread.
* A turn is queued, in hand, or spent, and it is in the mailbox's snapshot until it is spent, or until the step in which
  a turn that it returned is enqueued. It stays in hand for the next drain only if its consumer's task was cancelled
  before that.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from pygents.acceptance import due, is_turn, is_work, refusal
from pygents.actors.answers import answer, fail_reply
from pygents.actors.deadline import is_late
from pygents.actors.lane import end_control
from pygents.actors.reply import Reply
from pygents.agent_hooks import FollowUp, outside_turns, run_agent_hooks, run_hooks_for_failure
from pygents.context import frame_for, within
from pygents.deciding import combined
from pygents.errors import TurnCancelledError
from pygents.hooks import AgentHook
from pygents.outcome import Due, StopReason, fail, failure_behind
from pygents.turn import Turn
from pygents.work import Accepted, DecidedWork, Work, decision_on

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.agent_cell import AgentCell
    from pygents.deciding import Decision

__all__ = ["Hand"]


class Hand:
    """Holds one turn of an agent's at a time, for whoever drains it.

    Args:
        cell: what runs the agent's actor, with the mailbox
        follow_up: what is done after the last value of a turn

    """

    __slots__ = ("_cell", "_follow_up", "_inbox", "owed")

    def __init__(self, cell: "AgentCell", follow_up: FollowUp) -> None:
        self._cell = cell
        self._inbox = cell.inbox
        self._follow_up = follow_up
        self.owed: Work | None = None
        """What the drain yields the stored output of, and does not run."""

    def take_plain(self, agent: "Agent") -> Work | None:
        """Take the next turn if nothing else is to be done before it; else `take` does that."""
        inbox = self._inbox
        if agent.hooks or inbox.in_hand is not None or (envelope := inbox.take()) is None:
            return None
        if envelope.reply_to is not None and is_late(envelope.reply_to):
            self._expire(envelope)
            return None
        turn = envelope.message
        if type(envelope) is DecidedWork or not isinstance(turn, Turn) or turn.tool not in agent.tools:
            return None
        return envelope

    async def take(  # noqa: C901 (one branch for each thing that may come first)
        self, agent: "Agent"
    ) -> "tuple[Work | None, Decision | None]":
        """Return the next turn, in hand, and what is decided of it; what is no turn of the agent's is answered."""
        inbox = self._inbox
        while (envelope := self._look()) is not None:
            if inbox.blocked:
                await self._wait_at_gate(agent)
            elif not is_work(agent, envelope.message):
                if inbox.in_hand is None:
                    inbox.take()
                if isinstance(envelope, Accepted):
                    if (error := refusal(agent, envelope.message)) is not None:
                        await self._fail_late(agent, envelope, error)
                else:
                    await self._cell.handle(envelope)
                    inbox.done(envelope)
            elif inbox.in_hand is not None and envelope.message.stop_reason is StopReason.COMPLETED:
                if due(envelope.message) is Due.VALUE:  # a snapshot was taken before the consumer got it
                    self.owed = envelope
                    return envelope, None
                await self.complete(agent, envelope)  # or after its value and before its end
            else:
                decision = None
                if agent.hooks:
                    decision = await outside_turns(run_agent_hooks(agent, None, AgentHook.BEFORE_TURN, agent))
                    if not is_work(agent, envelope.message):  # a hook made it so
                        continue
                work = inbox.in_hand or inbox.take()
                return work, None if work is None else combined(decision_on(work), decision)
        return None, None

    def _look(self) -> Work | None:
        """Return the turn in hand, or the next one, which stays queued; those are let go whose askers have given up."""
        inbox = self._inbox
        while not inbox.closed and (envelope := inbox.in_hand or inbox.peek()) is not None:
            if inbox.blocked or envelope.reply_to is None or not is_late(envelope.reply_to):
                return envelope
            if inbox.in_hand is None:
                inbox.take()
            elif is_turn(envelope.message) and envelope.message.stop_reason is StopReason.COMPLETED:
                return envelope  # its tool was called in time
            self._expire(envelope)
        return None

    def _expire(self, envelope: Work) -> None:
        self._let_go(envelope)
        self._cell.expire(envelope)

    async def _wait_at_gate(self, agent: "Agent") -> None:
        """Wait until a paused agent is resumed, or stopped; its hooks are told."""
        opened: Reply[None] = Reply()
        await outside_turns(run_agent_hooks(agent, None, AgentHook.ON_PAUSE, agent))
        if self._inbox.at_gate(lambda: opened.set(None)):
            await opened
        await outside_turns(run_agent_hooks(agent, None, AgentHook.ON_RESUME, agent))

    def stored(self) -> object:
        """Return the output that is owed to the consumer; if it is cut while it gets it, the turn is run again."""
        owed, self.owed = cast("Work", self.owed), None
        owed.message.__dict__["_due"] = None
        return owed.message.output

    async def complete(self, agent: "Agent", envelope: Work) -> None:
        """Do what follows the last value of a turn; the turn is spent by it, whatever happens."""
        try:
            await self._follow_up(agent, envelope.message)
        except asyncio.CancelledError:
            self._complete_later(envelope)
            raise
        except BaseException as error:
            await self._fail_late(agent, envelope, error)
            raise
        self.spend(envelope, None)

    def _complete_later(self, envelope: Work) -> None:
        """Leave a turn whose returned turn has not been put to the next drain; spend any other."""
        if self._inbox.contents()[0] is not envelope or not isinstance(envelope.message.output, Turn):
            self.spend(envelope, None)

    async def _fail_late(self, agent: "Agent", envelope: Work, error: BaseException) -> None:
        turn = envelope.message
        try:
            await within(frame_for(turn, agent), fail(turn, error))
        except BaseException as failure:
            await self.turn_failed(agent, envelope, failure)
            raise

    async def consumer_left(self, agent: "Agent", envelope: Work) -> None:
        """Go on from a consumer that has left at a value."""
        if envelope.message.stop_reason is StopReason.COMPLETED:
            await self.complete(agent, envelope)
        else:
            self.spend(envelope, TurnCancelledError(f"the consumer of {self._cell.label} left between two values"))

    async def turn_failed(self, agent: "Agent", envelope: Work, error: BaseException) -> None:
        """Run the hooks for a turn's failure and spend it; one that its consumer's cancellation cut stays."""
        turn = envelope.message
        failure = failure_behind(turn, error)
        if isinstance(failure, asyncio.CancelledError):
            return  # the consumer was cancelled: the turn stays in hand
        self._inbox.done(envelope)
        try:
            await run_hooks_for_failure(agent, turn, failure)
        finally:
            self.spend(envelope, failure)

    def spend(self, envelope: Work, error: BaseException | None) -> None:
        """Let go of a turn that has ended, and answer whoever asked for it."""
        self._let_go(envelope)
        reply = envelope.reply_to
        if reply is None:
            return
        if error is None:
            answer(reply, envelope.message.output)
        else:
            fail_reply(reply, error, self._cell.label)

    def _let_go(self, envelope: Work) -> None:
        self._inbox.done(envelope)
        if self._cell.control is not None:
            end_control(self._cell)

    def spend_lost(self) -> None:
        """Let go of a turn that was cut on a loop which has been closed since."""
        envelope = self._inbox.in_hand
        if envelope is not None and envelope.message.stop_reason is StopReason.CANCELLED:
            text = f"the event loop was closed on which a run of {self._cell.label} was left"
            self.spend(envelope, TurnCancelledError(text))
