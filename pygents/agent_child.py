"""AgentChild: what runs an agent that lives in an actor system; the agent survives restarts."""

# pyright: reportPrivateUsage=false

from typing import TYPE_CHECKING, Any, override

from pykka._envelope import Envelope

from pygents.actors.actor import AsyncActor
from pygents.actors.child import Child
from pygents.actors.child_spec import ChildSpec
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.supervision import Supervision
from pygents.actors.supervisor import Supervisor
from pygents.errors import TurnDeniedError
from pygents.registry import AgentRegistry

if TYPE_CHECKING:
    from pygents.agent import Agent

__all__ = ["AgentChild", "UnhandledError"]


class UnhandledError(TypeError):
    """Raised for a message that an agent does not understand; no failure of the agent's."""


class AgentChild(Child[AsyncActor]):
    """Runs an agent's actor under a supervisor; it keeps the agent alive."""

    __slots__ = ("agent", "resumed")

    def __init__(self, actor: AsyncActor, agent: "Agent", spec: ChildSpec, parent: Supervisor) -> None:
        super().__init__(actor, spec, parent)
        self.agent = agent
        self.resumed: Envelope[Any] | None = None  # a restored turn whose tool had completed: only the rest is done

    @property
    @override
    def children_policy(self) -> Supervision:
        policy: Supervision = getattr(type(self.agent), "supervision", None) or super().children_policy
        return policy

    @override
    async def message_failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        if isinstance(error, UnhandledError):
            self.ledger.bury(envelope, DeadLetterReason.UNHANDLED, error)
        elif isinstance(error, TurnDeniedError):  # no failure: nobody is asked what to do about it
            if envelope.reply_to is None:
                self.inbox.done(envelope)
            else:
                self.ledger.spend_failed(envelope, error)
        else:
            await super().message_failed(envelope, error)

    @override
    def leave_pykka(self) -> None:
        super().leave_pykka()
        AgentRegistry.discard(self.agent)
