"""Agent: the thin asyncio facade over an `AgentActor`.

It holds what users configure (name, tools, hooks) and passes everything else to the actor. ``put``, ``send_turn``,
``stop`` and ``to_dict`` may be called on any thread and loop; configuring it belongs to one thread, and is refused
during ``run()``.
"""

from collections.abc import Iterable, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Self, cast, override

from pygents.acceptance import check_turn
from pygents.actors.checks import check_timeout, checked
from pygents.actors.control import BY_REQUEST
from pygents.actors.mailbox_policy import MailboxPolicy
from pygents.actors.spawner import Spawner
from pygents.agent_actor import AgentActor
from pygents.agent_fields import CHECKS, check_accepted, checked_description, checked_tools
from pygents.agent_hooks import outside_turns
from pygents.agent_storage import load_agent, store_policy, store_turns
from pygents.errors import MailboxFullError, SafeExecutionError
from pygents.intercept import check_hooks
from pygents.names import check_name
from pygents.outcome import Due
from pygents.registry import AgentRegistry
from pygents.serialization import hooks_to_dict
from pygents.turn import Turn
from pygents.work import Work, copy_work

if TYPE_CHECKING:
    from pygents.actors.child_spec import ChildSpec
    from pygents.actors.ref import ActorRef
    from pygents.actors.supervisor import Supervisor
    from pygents.agent_child import AgentChild
    from pygents.hooks import Hook
    from pygents.run import Run
    from pygents.tool import Tool

__all__ = ["Agent"]


class Agent(Spawner):
    """Runs turns, one at a time, in the order they arrive, and streams their results.

    Constructing an agent starts its actor and takes its name; `stop` ends both. The registry holds the agent by its
    name; one that it has forgotten (``AgentRegistry.clear()``) and that nobody holds is stopped when it is collected.

    Args:
        name: a name that no other living agent has
        description: what it is for
        tools: the tools that its turns may name
        mailbox: what bounds its mailbox; None for nothing

    Raises:
        TypeError: if an argument is of the wrong type
        ValueError: if the name is empty or taken, or a tool is not the registered one of its name
        UnregisteredToolError: if a tool is not registered

    """

    name: str
    """The name it is registered under."""
    description: str
    """What it is for."""
    tools: "list[Tool]"
    """The tools that its turns may name."""
    hooks: "list[Hook]"
    """Hooks for the agent's events; append to it."""
    _actor: AgentActor

    def __init__(
        self, name: str, description: str, tools: "Iterable[Tool]", *, mailbox: MailboxPolicy | None = None
    ) -> None:
        self.__dict__.update(
            name=check_name(name, "an agent's name"),
            description=checked_description(description),
            tools=checked_tools(tools),
            hooks=[],
        )
        policy = None if mailbox is None else checked("mailbox", mailbox, MailboxPolicy)
        AgentRegistry.check_free(self)  # before an actor is started for nothing
        self.__dict__["_actor"] = AgentActor.launch(self)
        self._actor.be_bound(policy)
        try:
            AgentRegistry.register(self)  # not before it is whole: others may find it at once
        except ValueError:
            self._actor.give_up()
            raise

    def __setattr__(self, name: str, value: object) -> None:
        actor: AgentActor | None = self.__dict__.get("_actor")
        if actor is not None and actor.is_running(self):
            msg = f"Cannot change property {name!r} while the agent is running."
            raise SafeExecutionError(msg)
        if name == "name" and actor is not None:
            actor.check_renamable()
            AgentRegistry.rename(self, check_name(value, "an agent's name"))
        check = CHECKS.get(name)
        checked = value if check is None else check(value)
        if name == "tools" and actor is not None:
            current, queued = actor.snapshot()
            check_accepted(self.name, cast("list[Tool]", checked), queued if current is None else [current, *queued])
        super().__setattr__(name, checked)

    def __reduce__(self) -> str:
        """Refuse to be copied or pickled: an agent is one actor under one name.

        Raises:
            TypeError: always

        """
        msg = f"{self!r} cannot be copied or pickled: use branch() for a copy, to_dict() and from_dict() to store it"
        raise TypeError(msg)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, tools={[tool.metadata.name for tool in self.tools]})"

    @property
    def ref(self) -> "ActorRef[AgentActor]":
        """The actor's ref; ``agent.ref.tell(turn)`` sends a turn from any thread, without the put hooks."""
        return self._actor.actor_ref

    async def put(self, turn: Turn[Any]) -> None:
        """Enqueue a turn, with hooks for BEFORE_PUT and AFTER_PUT around it; wait for room if the mailbox is full.

        Cancelled while it waits, it takes the turn back. Only BACKPRESSURE has senders wait.

        Raises:
            TypeError: if it is no turn
            ValueError: if the turn has no tool, or one that the agent lacks, also after the hooks for BEFORE_PUT
            TurnDeniedError: if a hook denied it; it is not enqueued
            ActorDeadError: if the agent has stopped
            MailboxFullError: if there is no room, and nobody waits for it, or the agent's own tool or consumer would
            TurnCancelledError: if a hook let a ``CancelledError`` out by itself
            BaseException: what else a hook raised

        """
        check_turn(self, turn)
        if self.hooks:
            await outside_turns(self._actor.put(self, turn))
            return
        try:
            self._actor.deliver(turn)
        except MailboxFullError as full:
            await self._actor.deliver_late_async(turn, full)

    def tell(self, turn: Turn[Any]) -> None:
        """Enqueue a turn from any thread, without the put hooks; a thread without an event loop may wait for room.

        Raises:
            TypeError: as `put`
            ValueError: as `put`
            ActorDeadError: as `put`
            MailboxFullError: if there is no room, or none in time
            RuntimeError: if the agent lives in no system

        """
        self._check_lives("tell")
        try:
            self._actor.deliver(check_turn(self, turn))
        except MailboxFullError as full:
            self._actor.deliver_late(turn, full)

    async def ask(self, turn: Turn[Any], *, timeout: float | None = None) -> Any:
        """Enqueue a turn, with the put hooks, and wait for its output: of a generator tool, the list of its values.

        A turn that is returned as the output is the answer, and is also run. Cancelling cancels the wait, not the turn.

        Args:
            turn: the turn
            timeout: seconds to wait at the most, or None for no limit; a turn that the agent has not come to by then is
                not run

        Raises:
            TypeError: as `put`
            ValueError: as `put`
            ActorDeadError: if the agent has stopped, or stops before it has run the turn
            MailboxFullError: if there is no room in time, or the turn was dropped for another
            RuntimeError: if the agent lives in no system
            pykka.Timeout: if it took longer
            AskCycleError: if a tool or hook would wait for an agent that waits for its own; nothing is enqueued
            Exception: what the turn failed with
            ActorFailedError: if it failed with something that is not an ``Exception``

        """
        check_timeout(timeout)
        self._check_lives("ask")
        return await self._actor.ask(self, check_turn(self, turn), timeout)

    @override
    def _supervisor_below(self) -> "Supervisor":
        return self._actor._supervisor_below()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] (its actor's)

    def _check_lives(self, verb: str) -> None:
        if self._actor.child is None and self.ref.is_alive():
            msg = f"nobody runs {self!r}, so {verb}() is of no use: spawn it in an ActorSystem, or put() and run()"
            raise RuntimeError(msg)

    def _child(self, spec: "ChildSpec", parent: "Supervisor") -> "AgentChild":
        return self._actor.live(self, spec, parent)

    async def cancel_turn(self, reason: str = BY_REQUEST) -> bool:
        """Cancel the turn that is running, and keep the agent: the queue is not touched. Any thread and loop.

        The turn's tool has ended then (its ``finally`` blocks have run); in a system, it is left alone if it ignores
        its cancellation for the ``shutdown`` seconds. The turn is CANCELLED, and keeps what it has yielded; its asker
        or consumer gets a `TurnCancelledError`, and the hooks for ON_ERROR and ON_TURN_ERROR see it. That is no
        failure: no directive is asked. If the consumer holds a value, the turn ends when the consumer goes on, or
        leaves.

        Args:
            reason: why, for people

        Returns:
            True when the turn has ended, False if none was running.

        Raises:
            TypeError: if the reason is no string
            SafeExecutionError: if the turn's own tool or hook would wait for its own end

        """
        return await self._actor.cancel_turn(reason)

    async def steer(self, message: object) -> None:
        """Hand a note to the turn that is running; its tool reads it from `steering`. Any thread and loop.

        Raises:
            NoTurnError: if no turn is running

        """
        await self.ref.steer(message)

    def pause(self) -> None:
        """Run no other turn until `resume`; the one in hand is finished. Any thread; again changes nothing."""
        self.ref.pause()

    def resume(self) -> None:
        """Run turns again. Any thread; doing it again changes nothing."""
        self.ref.resume()

    @property
    def is_paused(self) -> bool:
        """Whether turns wait until `resume`."""
        return self.ref.is_paused

    async def send_turn(self, agent_name: str, turn: Turn[Any]) -> None:
        """Enqueue a turn at another agent.

        Raises:
            UnregisteredAgentError: if no living agent has that name
            TypeError: as `put` of that agent
            ValueError: as `put` of that agent
            TurnDeniedError: as `put` of that agent
            ActorDeadError: as `put` of that agent

        """
        await AgentRegistry.get(check_name(agent_name, "an agent's name")).put(turn)

    def run(self) -> "Run[tuple[Turn[Any], Any]]":
        """Run the queued turns and stream ``(turn, value)`` until the mailbox is empty.

        A coroutine tool gives one value, an async generator tool each value it yields. A turn that is returned as an
        output is put on this agent. Nothing is started before the consumer asks for it. A consumer that leaves, or
        whose task is cancelled, between two values of a turn cancels that turn, which is spent; one whose task is
        cancelled while a tool works leaves that turn in hand, and the next run begins with it.

        Raises:
            SafeExecutionError: if the agent is running
            ActorDeadError: if the agent has stopped
            TurnTimeoutError: if a turn timed out; it is spent, the next run goes on with the others
            ValueError: if a turn that was put has no tool any more, or one that the agent lacks now; as above
            TurnCancelledError: if a tool let a ``CancelledError`` out by itself; as above
            TurnDeniedError: if a hook denied a turn; as above
            BaseException: what a tool or a hook raised; as above

        """
        return self._actor.run(self)

    async def stop(self) -> bool:
        """Stop the agent: after what is queued if somebody runs it, else at once. Its name is free then.

        Turns that are left stay in `to_dict`, and their number is logged. A consumer that stops the agent between two
        values leaves its run first.

        Returns:
            True if it has stopped, False if it had stopped before.

        Raises:
            SafeExecutionError: if a tool, hook or method of the agent's own would wait for its end; there,
                ``agent.ref.stop(block=False)`` stops it when that has ended
            AskCycleError: if another's would, which the agent waits for; it is stopped all the same

        """
        await self._actor.leave_run(self)
        return await self.ref.stop_async()

    def branch(
        self,
        name: str,
        description: str | None = None,
        tools: "Iterable[Tool] | None" = None,
        hooks: "Iterable[Hook] | EllipsisType | None" = ...,
    ) -> Self:
        """Return a new, independent agent with copies of the queued turns.

        Args:
            name: its name
            description: its description, if not the same
            tools: its tools, if not the same
            hooks: its hooks, if not the same; None or an empty list for none

        Raises:
            TypeError: as the constructor
            UnregisteredToolError: as the constructor
            ValueError: as the constructor, and if a queued turn names a tool that the new agent would lack

        """
        child_tools = checked_tools(self.tools if tools is None else tools)
        child_hooks = check_hooks(self.hooks if isinstance(hooks, EllipsisType) else hooks)
        work = [copy_work(queued) for queued in self._actor.snapshot()[1]]
        check_accepted(name, child_tools, work)
        child = type(self)(name, self.description if description is None else description, child_tools)
        child._take_over(child_hooks, None, work, mailbox=self._actor.policy)  # noqa: SLF001 (of its own class)
        return child

    def _take_over(
        self,
        hooks: "list[Hook]",
        current: Work | None,
        queued: list[Work],
        left: Due = Due.AFTER_TURN,
        mailbox: MailboxPolicy | None = None,
    ) -> None:
        self.hooks = hooks
        self._actor.be_bound(mailbox)
        self._actor.restore(current, queued, left)

    def to_dict(self) -> dict[str, Any]:
        """Return a snapshot as plain data: configuration, the turn in hand, the queue. Safe at any time.

        If the tool of the turn in hand has completed, ``current_turn_due`` says what is left: ``"value"`` if the
        consumer has not got the value yet, ``"put"`` if only a returned turn is to be put. It is missing otherwise, as
        ``paused`` is if the agent is not, and ``mailbox`` if nothing of its own bounds its mailbox.

        Raises:
            TypeError: if a turn has an async dynamic argument or has lost its tool since it was put, or if the agent's
                own mailbox policy has a key function

        """
        current, queued = self._actor.snapshot()
        data: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "tool_names": [tool.metadata.name for tool in self.tools],
            **store_turns(current, queued),
            "hooks": hooks_to_dict(self.hooks),
        }
        if self.is_paused:
            data["paused"] = True
        if (policy := self._actor.policy) is not None:
            data["mailbox"] = store_policy(policy)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the agent that `to_dict` stored; ``queue``, ``current_turn`` and ``hooks`` may be missing.

        The turn that was in hand is the first of the next run. If its tool had completed by then, it is not run again:
        its stored output is yielded if the consumer had not got it, and what comes after that is done.

        Raises:
            ValueError: if a field is missing or has an impossible value; the message names it
            TypeError: if a field is of the wrong type; the message names it
            UnregisteredToolError: if a tool is not registered
            UnregisteredHookError: if a hook is not registered

        """
        stored = load_agent(data)
        agent = cls(stored.name, stored.description, stored.tools)
        agent._take_over(stored.hooks, stored.current, stored.queue, stored.left, stored.mailbox)
        if stored.paused:
            agent.pause()
        return agent
