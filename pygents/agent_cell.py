"""AgentCell: what runs an agent's actor beside its turns: refusals, stopping, and the end."""

# pyright: reportPrivateUsage=false

import _thread
import asyncio
import logging
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.acceptance import turn_in_hand
from pygents.actors.actor import AsyncActor
from pygents.actors.answers import log
from pygents.actors.cell import Cell
from pygents.actors.control import Control
from pygents.actors.lane import end_control
from pygents.actors.watch import Ended
from pygents.context import current_agent, current_turn, is_code_of
from pygents.intercept import cancel_requests
from pygents.interrupting import interrupt
from pygents.registry import AgentRegistry
from pygents.run import drain_of
from pygents.turn import Turn

if TYPE_CHECKING:
    from pygents.agent import Agent

__all__ = ["AgentCell"]

logger = logging.getLogger("pygents.agent")


class AgentCell(Cell[AsyncActor]):
    """Runs an agent's actor: its turns outlive it, and its consumer's failures and cancellations do not end it.

    Args:
        actor: the actor, not started yet
        agent: its agent, which is not kept alive

    """

    __slots__ = ("_agent",)

    def __init__(self, actor: AsyncActor, agent: "Agent") -> None:
        super().__init__(actor, f"Agent {agent.name!r}")
        self._agent = weakref.ref(agent)

    @property
    def label(self) -> str:
        """The agent's name, which may change, or the last one it had."""
        agent = self._agent()
        if agent is not None:
            self._label = f"Agent {agent.name!r}"
        return super().label

    def note_cancellation(self) -> None:
        """Do nothing: a cancellation is the consumer's own, and does not end the agent."""

    async def message_failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        """Let a cancellation of the consumer's through: the message stays in hand."""
        if isinstance(error, asyncio.CancelledError) and cancel_requests():
            raise error
        await super().message_failed(envelope, error)

    async def fail(self, error: BaseException) -> None:
        """Log a message that is none of the agent's; an agent does not die of it."""
        log(logging.WARNING, "Unhandled message: %s", error, to=logger)

    @property
    def turn_in_hand(self) -> Turn[Any] | None:
        """The turn in hand, if it is one."""
        return turn_in_hand(self.inbox)

    def is_at_work(self) -> bool:
        """Return whether the turn in hand runs."""
        turn = self.turn_in_hand
        return turn is not None and turn.running

    def interrupt(self, control: Control) -> bool:
        """End what the turn in hand waits for; between two values that is for the consumer to see."""
        turn = self.turn_in_hand
        return turn is not None and interrupt(turn, control)

    def is_own_code(self) -> bool:
        """Return whether the tool or a hook of the turn in hand is what runs here; the consumer runs some of them."""
        agent, turn = self._agent(), self.turn_in_hand
        if agent is None or turn is None:
            return False
        drain = drain_of(agent)
        mine = drain is not None and drain.is_mine and current_turn() is turn
        return mine or is_code_of(agent, turn)

    def is_reader(self) -> bool:
        """Return whether turns wait for what runs here: the consumer, also while it holds a value, or the turn in hand.

        What a tool has begun cannot be told from a hook that runs while somebody else closes the run.
        """
        agent, turn = self._agent(), self.turn_in_hand
        drain = None if agent is None else drain_of(agent)
        consumes = drain is not None and drain.active and drain.is_mine
        return consumes or (turn is not None and current_turn() is turn and current_agent() is agent)

    def leave_pykka(self) -> None:
        """Be dead to pykka, and give the name up."""
        super().leave_pykka()
        agent = self._agent()
        if agent is not None:
            AgentRegistry.discard(agent)

    def let_go(self, rest: Sequence[Envelope[Any]], how: Ended = Ended.STOPPED) -> None:
        """Answer the askers; the turns stay in the mailbox, for a snapshot."""
        in_hand = self.inbox.in_hand
        cut = [] if in_hand is None or isinstance(in_hand.message, _ActorStop) else [in_hand]
        end_control(self)
        self.answer_unhandled([*cut, *rest])
        self.watches.end(how)

    def _finish(self, rest: Sequence[Envelope[Any]]) -> None:
        """End at once, without any of the actor's own code; the mailbox has been closed."""
        self.leave_pykka()
        self.let_go(rest)

    def collect(self) -> None:
        """End because nobody can want the actor; called by the garbage collector, on any thread, inside any code."""
        if self.inbox.closed:
            return
        rest = self.inbox.try_close()
        if rest is None:  # this thread may hold the lock: another one waits for it
            _thread.start_new_thread(lambda: self._finish(self.inbox.close()), ())
        else:
            self._finish(rest)

    def lose_loop(self) -> None:
        """End because the loop was closed on which somebody drained the agent."""
        if self.inbox.closed:
            return
        left = self.inbox.close()
        self.leave_pykka()
        self.let_go(left, Ended.LOOP_CLOSED)
