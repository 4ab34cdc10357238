"""Actors and systems as type checkers see them: checked by mypy and basedpyright, never run."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, assert_type

import pykka

from pygents import ActorSystem, Agent, AgentHook, Deny, ShutdownReport, Turn, current_agent, hook, tool
from pygents.actors import (
    ActorProxy,
    ActorRef,
    ActorRegistry,
    AsyncActor,
    Backoff,
    DeadLetter,
    DeadLetterReason,
    Directive,
    Ended,
    Event,
    EventsLost,
    Reply,
    Restart,
    Statistics,
    Strategy,
    Supervision,
    Supervisor,
    Terminated,
    ThreadDispatcher,
    TurnCompleted,
)
from pygents.agent_actor import AgentActor

# The methods of an actor may be plain or async.


class Worker(AsyncActor):
    """Has async methods."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.total = start

    async def on_start(self) -> None:
        """Begin."""

    async def on_stop(self) -> None:
        """End."""

    async def on_failure(
        self, exception_type: type[BaseException], exception_value: BaseException, traceback: TracebackType | None
    ) -> None:
        """Note a failure."""

    async def on_restart(self, failure: BaseException | None) -> None:
        """Begin again."""

    async def on_receive(self, message: int) -> int:
        """Add."""
        self.total += message
        return self.total


class Plain(AsyncActor):
    """Has plain methods."""

    def on_start(self) -> None:
        """Begin."""
        self.stop()
        assert_type(self.actor_urn, str)

    def on_stop(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return something, which nobody gets."""
        self.unknown()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        return 1

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take what pykka's take."""

    def on_restart(self, failure: BaseException | None) -> None:
        """Begin again."""

    def on_receive(self, message: str) -> str:
        """Echo."""
        return message


async def use_refs() -> None:
    """Ask and stop actors, and look for them."""
    ref = Worker.start(1)
    assert_type(ref, ActorRef[Worker])
    assert_type(ref.actor_class, type[Worker])
    assert_type(await ref.ask_async(1), Any)
    assert_type(ref.ask(1, block=False), Reply[Any])
    assert_type(await ref.stop_async(), bool)
    assert_type(ref.proxy(), ActorProxy[Any])
    of_pykka: pykka.ActorRef[Any] = ref
    await ref.watch(Plain.start())
    assert_type(ActorRegistry.get_by_class(Worker), list[ActorRef[Worker]])
    assert_type(ActorRegistry.get_by_class(pykka.ThreadingActor), list[pykka.ActorRef[pykka.ThreadingActor]])
    ActorRegistry.broadcast("hello", target_class=Worker)
    assert_type(ActorRegistry.get_all(), list[pykka.ActorRef[Any]])
    _ = of_pykka


# Systems, supervisors, actors and agents spawn.


@tool
async def fetch(n: int) -> int:
    """Fetch something, and hire somebody for it."""
    if (me := current_agent()) is not None:
        assert_type(me.spawn(Worker, n, name="helper", restart=Restart.PERMANENT), ActorRef[Worker])
        assert_type(me.spawn(Clerk("clerk", "Helps", [])), ActorRef[AgentActor])
    return n


@tool
async def stream(n: int) -> AsyncIterator[int]:
    """Stream."""
    yield n


@hook(AgentHook.ON_TURN_TIMEOUT)
async def once_more(agent: Agent, turn: Turn[Any]) -> Directive | None:
    """Try again."""
    return Directive.RETRY if turn.attempt < 3 else None


@hook(AgentHook.BEFORE_PUT)
async def refuse(agent: Agent, turn: Turn[Any]) -> Deny | None:
    """Refuse everything."""
    return Deny("closed")


class Clerk(Agent):
    """An agent with methods of its own."""

    supervision = Supervision(strategy=Strategy.REST_FOR_ONE, backoff=Backoff())

    async def on_start(self) -> None:
        """Begin."""

    def on_restart(self, failure: BaseException | None) -> None:
        """Begin again."""

    async def on_stop(self) -> None:
        """End."""

    async def on_message(self, message: object) -> str:
        """Answer."""
        if isinstance(message, Terminated):
            assert_type(message.reason, Ended)
        return "yes"


class Foreman(AsyncActor):
    """An actor with children."""

    supervision = Supervision(max_restarts=1)

    async def on_start(self) -> None:
        """Hire two."""
        worker = self.spawn(Worker, 1, name="worker", shutdown=1, dispatcher=ThreadDispatcher)
        assert_type(worker, ActorRef[Worker])
        clerk = self.spawn(Clerk("clerk", "Helps", []), restart=Restart.TEMPORARY)
        assert_type(clerk, ActorRef[AgentActor])
        await self.actor_ref.watch(worker)


async def use_systems() -> None:
    """Spawn, ask and look."""
    policy = Supervision(decide={ConnectionError: Directive.RETRY})
    async with ActorSystem("shop", supervision=policy, hook_timeout=2) as system:
        agent = Agent("squares", "Squares", [fetch, stream])
        agent.hooks += [once_more, refuse]
        ref = system.spawn(agent)
        assert_type(ref, ActorRef[AgentActor])
        assert_type(agent.ref, ActorRef[AgentActor])
        assert_type(system.spawn(Foreman), ActorRef[Foreman])
        team = system.supervisor("team", policy, restart=Restart.TEMPORARY)
        assert_type(team, Supervisor)
        assert_type(team.spawn(Worker, start=3, supervision=policy), ActorRef[Worker])
        assert_type(team.spawn(Clerk("clerk", "Helps", [])), ActorRef[AgentActor])
        assert_type(system.whereis("team/clerk"), ActorRef[Any] | None)
        agent.tell(Turn(fetch, [1]))
        assert_type(await agent.ask(Turn(fetch, [1]), timeout=5), Any)
        assert_type(await ref.wait_stopped(), Ended)
        assert_type(await team.stop("clerk"), bool)
        assert_type(team.statistics(), Statistics)
        async for event in system.events(capacity=10):
            assert_type(event, Event | EventsLost)
            if isinstance(event, TurnCompleted):
                assert_type(event.turn, object)
        async for letter in system.dead_letters.subscribe():
            assert_type(letter, DeadLetter | EventsLost)
        for letter in system.dead_letters.where(reason=DeadLetterReason.CUT):
            system.dead_letters.redrive(letter, to="squares")
        assert_type(await system.shutdown(drain=False), ShutdownReport)
    with ActorSystem("plain") as plain:
        worker = plain.spawn(Worker, 1)
        assert_type(worker.ask(1), Any)
        assert_type(worker.stop(), bool)
        assert_type(worker.stop(block=False), Reply[bool])


def refuse_what_cannot_be_spawned(system: ActorSystem, agent: Agent, actor: Foreman) -> None:
    """Refuse it at the call, wherever it is spawned."""
    system.spawn(Worker, 1, restart="permanent")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    system.spawn(Turn)  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
    system.spawn(actor)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    actor.spawn(agent, name="alias")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    agent.spawn(agent, restrat=Restart.PERMANENT)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    agent.spawn(Worker, 1, shutdown="5")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
