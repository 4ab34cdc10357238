"""AgentChild: what runs an agent that lives in an actor system; the agent survives restarts."""

# pyright: reportPrivateUsage=false

import logging
from asyncio import CancelledError, Task
from typing import TYPE_CHECKING, Any, override

from pykka._envelope import Envelope

from pygents.acceptance import is_turn, turn_in_hand
from pygents.actors.actor import AsyncActor
from pygents.actors.answers import log, show
from pygents.actors.child import Child
from pygents.actors.child_spec import ChildSpec
from pygents.actors.control import Control
from pygents.actors.dead_letters import DeadLetter, DeadLetterReason
from pygents.actors.own_task import leave_inner
from pygents.actors.sending import send
from pygents.actors.supervision import Directive, Supervision
from pygents.actors.supervisor import Supervisor
from pygents.agent_hooks import run_agent_hooks
from pygents.deciding import is_denial
from pygents.decisions import Replace, Skip
from pygents.hook_time import HookLimit, hook_limit
from pygents.hooks import AgentHook
from pygents.interrupting import interrupt
from pygents.outcome import StopReason
from pygents.registry import AgentRegistry
from pygents.turn_run import give_up
from pygents.work import make_work

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.turn import Turn

__all__ = ["AgentChild", "UnhandledError"]

logger = logging.getLogger("pygents.agent")


class UnhandledError(TypeError):
    """Raised for a message that an agent does not understand; no failure of the agent's."""


class AgentChild(Child[AsyncActor]):
    """Runs an agent's actor under a supervisor; it keeps the agent alive."""

    __slots__ = ("agent", "directed", "left_alone", "resumed", "told")

    def __init__(self, actor: AsyncActor, agent: "Agent", spec: ChildSpec, parent: Supervisor) -> None:
        super().__init__(actor, spec, parent)
        self.agent = agent
        self.directed: tuple[BaseException, Directive] | None = None  # what hooks have said about a failure
        self.resumed: Envelope[Any] | None = None  # a restored turn whose tool had completed: only the rest is done
        self.told: Turn[Any] | None = None  # the turn whose beginning was told as an event, and whose end was not
        self.left_alone = set[Task[Any]]()  # tools and hooks that go on; asyncio alone would not keep them

    @override
    def enter_context(self) -> None:
        super().enter_context()
        hook_limit.set(self.hook_limit)

    @property
    @override
    def children_policy(self) -> Supervision:
        policy: Supervision = getattr(type(self.agent), "supervision", None) or super().children_policy
        return policy

    @override
    async def message_failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        if self.cuts.has_cut:  # that goes before a refusal, too
            await super().message_failed(envelope, error)
        elif isinstance(error, UnhandledError):
            log(logging.WARNING, "%s does not understand %s", self.label, show(envelope.message), to=logger)
            self.ledger.bury(envelope, DeadLetterReason.UNHANDLED, error)
        elif is_denial(error, envelope.message):  # no failure: nobody is asked what to do about it
            self.refuse(envelope, error)
        else:
            await super().message_failed(envelope, error)

    @override
    def interrupt(self, control: Control) -> bool:
        turn = self.turn_in_hand
        if turn is not None:
            if interrupt(turn, control):
                return True
            turn.__dict__["_cut"] = control  # one of the agent's own hooks runs
        return super().interrupt(control)

    @property
    def turn_in_hand(self) -> "Turn[Any] | None":
        """The turn in hand, if it is one."""
        return turn_in_hand(self.inbox)

    @override
    def pause(self) -> None:
        super().pause()
        self._see_gate()

    @override
    def resume(self) -> None:
        self.course.halt = self.course.halt or bool(self.agent.hooks)  # its hooks come before the next turn
        super().resume()
        self._see_gate()

    def _see_gate(self) -> None:
        """Have the hooks for the gate run, if it is idle; else it comes to them by itself."""
        if self.agent.hooks:
            with self.system.lock:
                self.course.halt = True
            self.attend_soon()

    @override
    async def pass_gate(self) -> None:
        event = AgentHook.ON_PAUSE if self.at_gate else AgentHook.ON_RESUME
        error = await self.run_hook(run_agent_hooks, self.agent, None, event, self.agent)
        if error is not None:
            log(logging.ERROR, "A hook for %s of %s raised:", event, self.label, error=error)

    @override
    async def cut_short(self, envelope: Envelope[Any], error: BaseException) -> None:
        if is_turn(envelope.message) and envelope.message.stop_reason is None:
            envelope.message.stop_reason = StopReason.CANCELLED  # it had not begun
        await super().cut_short(envelope, error)

    @override
    def give_up(self, envelope: Envelope[Any]) -> None:
        turn: object = envelope.message
        if is_turn(turn):
            give_up(turn)
        if self.told is not None and self.told is turn:
            self.told = None
            self.system.news.turn_failed(self.spec.path, turn, CancelledError())

    @property
    def patience(self) -> float:
        """Seconds that a tool may go on when the time of its turn is up."""
        return self.spec.shutdown

    @property
    def hook_limit(self) -> HookLimit | None:
        """How long each hook may take, if the system has a limit."""
        seconds = self.system.hook_timeout
        return None if seconds is None else HookLimit(seconds, self.patience, self._abandon)

    @property
    def has_cut(self) -> bool:
        """Whether the turn in hand is cut."""
        return self.cuts.has_cut

    def leave_alone(self, task: Task[Any], /) -> None:
        """Go on without the tool of the turn in hand, which ignores that its time is up; in the child's activation."""
        self.cuts.pass_fence()
        leave_inner(self)
        self._abandon(task)
        if (envelope := self.inbox.in_hand) is not None and is_turn(envelope.message):
            give_up(envelope.message)

    def _abandon(self, task: Task[Any]) -> None:
        self.left_alone.add(task)
        task.add_done_callback(self.left_alone.discard)
        self.system.note_abandoned(self.spec.path)

    @override
    def directive_for(self, failure: BaseException) -> Directive:
        """Return what a hook has said, or else what the policy says."""
        directed, self.directed = self.directed, None
        if directed is not None and directed[0] is failure:
            return directed[1]
        return super().directive_for(failure)

    @override
    def redeliver(self, letter: DeadLetter) -> None:
        turn, decision = letter.message, letter._along  # noqa: SLF001 (kept there for this)
        if is_turn(turn) and isinstance(decision, (Skip, Replace)):
            send(self.ref, make_work(turn, decision))
        else:
            super().redeliver(letter)

    @override
    def leave_pykka(self) -> None:
        super().leave_pykka()
        AgentRegistry.discard(self.agent)
