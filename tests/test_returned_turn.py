"""A turn that returns another one, while it is put: how long it is in hand, and what becomes of it then."""

import asyncio
from contextlib import suppress

import pytest

from pygents import ActorSystem, Agent, AgentHook, SafeExecutionError, Turn, current_turn, hook, tool
from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    DeadLetterReason,
    Directive,
    Statistics,
    Strategy,
    Supervision,
)

CONTINUE = Supervision(decide={ConnectionError: Directive.RESUME})


class Fails(AsyncActor):
    def on_receive(self, message):
        raise ValueError(message)


@pytest.fixture
def begun():
    return []


@pytest.fixture
def agent(begun):
    @tool()
    async def first():
        begun.append(current_turn().attempt)
        return Turn("then")

    @tool()
    async def then():
        begun.append("then")
        return "done"

    return Agent("worker", "Works", [first, then])


def add_hook(agent, event, does):
    """Have the agent do something at an event that concerns the first turn, or the put of the one that it returns."""
    of = "then" if event is AgentHook.AFTER_PUT else "first"

    @hook(event)
    async def act(agent, turn):
        if turn.tool.metadata.name == of:
            await does()

    agent.hooks.append(act)


def reasons(system):
    return [(letter.message.tool.metadata.name, letter.reason) for letter in system.dead_letters]


async def outcome(reply):
    """Return what became of a message that was asked, or None if it was told."""
    if reply is None:
        return None
    try:
        return await reply
    except Exception as error:  # noqa: BLE001 (looked at by the test)
        return type(error)


def send(agent, *, asks):
    return agent.ref.ask(Turn("first"), block=False) if asks else agent.ref.tell(Turn("first"))


async def break_down():
    raise ConnectionError


async def hang():
    await asyncio.sleep(1_000)


@pytest.mark.parametrize("asks", [False, True], ids=["told", "asked"])
class TestItsHooks:
    @pytest.mark.parametrize("event", [AgentHook.AFTER_TURN, AgentHook.AFTER_PUT], ids=str)
    async def test_that_raise_are_its_failure(self, agent, begun, event, asks):
        add_hook(agent, event, break_down)
        async with ActorSystem("s", supervision=CONTINUE) as system:
            system.spawn(agent)
            assert await outcome(send(agent, asks=asks)) is (ConnectionError if asks else None)
            await system.wait_idle()
            assert reasons(system) == ([] if asks else [("first", DeadLetterReason.FAILED)])
            counts = system.statistics()
        assert counts == Statistics(accepted=2, handled=1, answered_with_error=int(asks), dead_lettered=int(not asks))
        assert begun == [1, "then"], "what it has returned is put, and run"

    @pytest.mark.parametrize("event", [AgentHook.AFTER_TURN, AgentHook.AFTER_PUT], ids=str)
    async def test_that_raise_may_have_it_run_again(self, agent, begun, event, asks):
        async def break_down_once():
            if len(begun) == 1:
                raise ConnectionError

        add_hook(agent, event, break_down_once)
        async with ActorSystem("s", supervision=Supervision(decide={ConnectionError: Directive.RETRY})) as system:
            system.spawn(agent)
            answer = await outcome(send(agent, asks=asks))
            await system.wait_idle()
            counts = system.statistics()
        assert begun == [1, 2, "then", "then"]
        assert counts == Statistics(accepted=3, handled=3)
        assert (answer is not None) == asks

    @pytest.mark.parametrize("kills", [False, True], ids=["stopped", "killed"])
    async def test_that_are_cut_are_its_end(self, agent, kills, asks):
        add_hook(agent, AgentHook.AFTER_PUT, hang)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            reply = send(agent, asks=asks)
            await asyncio.sleep(1)
            agent.ref.kill() if kills else await system.root.stop("worker")
            assert await outcome(reply) is (ActorDeadError if asks else None)
            await agent.ref.wait_stopped()
            assert reasons(system) == [("then", DeadLetterReason.STOPPED), ("first", DeadLetterReason.CUT)]
            counts = system.statistics()
        assert counts == Statistics(accepted=2, dead_lettered=2)


class TestWhileItsHooksRun:
    async def test_it_is_queued_as_well_as_what_it_has_returned(self, agent):
        seen = []

        async def look():
            seen.append(agent.ref.statistics())

        add_hook(agent, AgentHook.AFTER_PUT, look)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.tell(Turn("first"))
            await system.wait_idle()
        assert seen == [Statistics(accepted=2, queued=2)]

    @pytest.mark.parametrize("lives", [False, True], ids=["drained", "in a system"])
    async def test_a_snapshot_has_what_it_has_returned_in_its_place(self, agent, lives):
        seen = []

        async def look():
            seen.append(agent.to_dict())

        add_hook(agent, AgentHook.AFTER_PUT, look)
        if lives:
            async with ActorSystem("s") as system:
                system.spawn(agent)
                agent.tell(Turn("first"))
        else:
            await agent.put(Turn("first"))
            assert len([value async for _, value in agent.run()]) == 2
        (data,) = seen
        assert (data["current_turn"], [turn["tool_name"] for turn in data["queue"]]) == (None, ["then"])

    @pytest.mark.parametrize("stubborn", [False, True], ids=["", "they ignore their cancellation"])
    async def test_a_siblings_failure_restarts_the_group_in_time(self, agent, begun, stubborn):
        over = asyncio.Event()

        async def hang_once():
            while len(begun) == 1 and not over.is_set():
                with suppress(*[asyncio.CancelledError] if stubborn else []):
                    await over.wait()

        add_hook(agent, AgentHook.AFTER_PUT, hang_once)
        async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
            failing = system.spawn(Fails)
            system.spawn(agent, shutdown=1)
            agent.tell(Turn("first"))
            await asyncio.sleep(1)
            failing.tell("now")
            await asyncio.sleep(5)
            assert begun == [1, 2, "then", "then"]
            over.set()
            await system.wait_idle()
            assert system.statistics() == Statistics(accepted=4, handled=3, dead_lettered=1)

    @pytest.mark.parametrize("lives", [False, True], ids=["drained", "in a system"])
    async def test_the_agent_is_running(self, agent, lives):
        refused = []

        async def interfere():
            with pytest.raises(SafeExecutionError):
                agent.description = "another"
            with pytest.raises(SafeExecutionError):
                await agent.stop()
            refused.append(True)

        add_hook(agent, AgentHook.AFTER_PUT, interfere)
        if lives:
            async with ActorSystem("s") as system:
                system.spawn(agent)
                agent.tell(Turn("first"))
        else:
            await agent.put(Turn("first"))
            assert len([value async for _, value in agent.run()]) == 2
        assert refused == [True]
