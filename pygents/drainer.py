"""Drainer: handles an agent's mailbox in the consumer's own task, and streams the results.

So backpressure, context variables, cancellation and exceptions are the consumer's by construction, and nothing is paid
for hand-offs. What a turn is due when it has ended is the hand's affair; who may drain, and what puts turns into the
mailbox, is the actor's. It must not know how an agent lives in a system.

Invariant: the mailbox's claim is the right to drain. It is taken when the consumer asks for the first result, on
whatever thread and loop that is, so at most one drain is between its beginning and its end; what follows needs no lock.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pykka import ActorDeadError

from pygents.actors.undrained import end_undrained
from pygents.agent_hooks import FollowUp, show
from pygents.context import leave, running
from pygents.errors import SafeExecutionError
from pygents.generators import begin
from pygents.hand import Hand
from pygents.outcome import Due, fail
from pygents.run import Drain, Run, drain_of
from pygents.tool_functions import is_streaming
from pygents.turn import Turn

if TYPE_CHECKING:
    from pygents.actors.cell import Cell
    from pygents.actors.dispatcher import CallerDispatcher
    from pygents.agent import Agent
    from pygents.agent_cell import AgentCell

__all__ = ["Drainer", "Result", "lives_error", "running_error"]

type Result = tuple[Turn[Any], Any]
"""A turn, and its value or one of its values."""


class Drainer:
    """Drains an agent's mailbox, for one consumer after the other.

    Args:
        cell: what runs the agent's actor, with the mailbox
        follow_up: what is done after the last value of a turn

    """

    __slots__ = ("_cell", "_hand", "_successor")

    def __init__(self, cell: "AgentCell", follow_up: FollowUp) -> None:
        self._cell = cell
        self._hand = Hand(cell, follow_up)
        self._successor: Cell[Any] | None = None

    def give_way(self, successor: "Cell[Any]") -> None:
        """Drain no more, because the agent lives in a system from now on; for the holder of the claim."""
        self._successor = successor

    def run(self, agent: "Agent") -> Run[Result]:
        """Return the results of draining the mailbox until it is empty."""
        drain = Drain()
        return Run(self._results(agent, drain), drain)

    # One function, though a long one: only a generator itself can yield, and a second one would cost every value.
    async def _results(  # noqa: C901, PLR0912, PLR0915
        self, agent: "Agent", drain: Drain
    ) -> AsyncGenerator[Result]:
        await self._begin(agent, drain)
        hand, cell, inbox = self._hand, self._cell, self._cell.inbox
        me = weakref.ref(agent)
        try:
            while True:
                envelope, decision = hand.take_plain(agent), None
                if envelope is None:
                    envelope, decision = await hand.take(agent)
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
                        if envelope is not hand.owed:
                            value = await turn.returning_in(frame, decision)
                        else:
                            value = hand.stored()
                        if agent.hooks:  # else nobody can look between the end of its run and the consumer
                            turn.__dict__["_due"] = Due.VALUE
                            await show(agent, turn, value, partial(fail, turn))
                            turn.__dict__["_due"] = None
                        inside = False
                        yield turn, value
                except BaseException as error:
                    if inside:
                        await hand.turn_failed(agent, envelope, error)
                    else:
                        await hand.consumer_left(agent, envelope)
                    raise
                else:
                    if agent.hooks or isinstance(turn.output, Turn):  # else there is nothing to wait for
                        await hand.complete(agent, envelope)
                    elif envelope.reply_to is None and cell.control is None:
                        inbox.done(envelope)  # what spend() does then, without a call more
                    else:
                        hand.spend(envelope, None)
                finally:
                    if inside and token is not None:
                        leave(token)
        finally:
            self._end(drain)

    async def _begin(self, agent: "Agent", drain: Drain) -> None:
        inbox = self._cell.inbox
        while not inbox.claim():
            if inbox.closed:
                msg = f"{self._cell.label} has stopped and runs no more turns"
                raise ActorDeadError(msg)
            other = drain_of(agent)
            if other is None or not other.dropped:
                raise running_error(agent)
            if other.lost:
                self._hand.spend_lost()
                self._end(other)
            else:
                await other.close()
        try:
            if self._successor is not None:  # spawned since the run was made
                raise lives_error(self._cell.label)  # noqa: TRY301 (below, the claim is given back)
            drain.begin()
        except BaseException:
            self._release()
            raise
        agent.__dict__["_drain"] = drain
        cast("CallerDispatcher", self._cell.dispatcher).loop = asyncio.get_running_loop()

    def _end(self, drain: Drain) -> None:
        if not drain.active:  # it was lost, and its generator is only collected now
            return
        cast("CallerDispatcher", self._cell.dispatcher).loop = None
        drain.end()
        self._release()

    def _release(self) -> None:
        """Give the mailbox back; if a stop is queued behind turns that stay, carry it out."""
        if self._cell.inbox.release():
            return
        if self._successor is None:
            end_undrained(self._cell)
        else:
            self._successor.wake()


def lives_error(label: object) -> SafeExecutionError:
    """Return what is raised if somebody wants to run an agent that a system runs."""
    return SafeExecutionError(f"{label} lives in a system, which runs its turns: use tell(), ask() or put()")


def running_error(agent: "Agent") -> SafeExecutionError:
    """Return what is raised if somebody wants to run an agent that is running."""
    return SafeExecutionError(f"{agent!r} is running: leave or finish its run() before the next one")
