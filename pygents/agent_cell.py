"""AgentCell: what runs an agent's actor beside its turns: refusals, stopping, and the end."""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.actors.actor import AsyncActor
from pygents.actors.answers import log
from pygents.actors.cell import Cell
from pygents.actors.watch import Ended
from pygents.intercept import cancel_requests
from pygents.registry import AgentRegistry

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
        self.answer_unhandled([*cut, *rest])
        self.watches.end(how)

    def lose_loop(self, refused: Envelope[Any] | None = None) -> bool:
        """End because the loop was closed on which somebody drained the agent."""
        if self.inbox.closed:
            return False
        left = self.inbox.close()
        self.leave_pykka()
        self.let_go([envelope for envelope in left if envelope is not refused], Ended.LOOP_CLOSED)
        return any(envelope is refused for envelope in left)
