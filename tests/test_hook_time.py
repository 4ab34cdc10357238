"""How long a hook of a live agent may take, and what becomes of one that takes longer."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar

import pytest

from pygents import (
    ActorSystem,
    Agent,
    AgentHook,
    Deny,
    ToolHook,
    Turn,
    TurnHook,
    current_turn,
    hook,
    tool,
)
from pygents.actors import HookTimeoutError
from tests.actors.helpers import hang


@pytest.fixture
def tools():
    @tool()
    async def act(what="fine"):
        if what == "fails":
            raise ValueError(what)
        return what

    return [act]


@pytest.fixture
def agent(tools):
    return Agent("worker", "Works", tools)


@pytest.mark.parametrize("event", [AgentHook.BEFORE_TURN, TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE])
async def test_a_hook_that_takes_longer_fails_the_turn_and_has_ended(agent, tools, event):
    ended = []

    @hook(event)
    async def slow(*args):
        try:
            await hang()
        finally:
            ended.append(asyncio.get_running_loop().time())

    turn = Turn("act")
    {AgentHook: agent, TurnHook: turn, ToolHook: tools[0]}[type(event)].hooks.append(slow)
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent)
        with pytest.raises(HookTimeoutError, match=r"the hook 'slow' was cancelled: it took longer than 2 s"):
            await agent.ask(turn)
        assert ended == [2]


async def test_a_limit_holds_for_the_hooks_around_a_put_from_outside(agent):
    @hook(AgentHook.BEFORE_PUT)
    async def slow(agent, turn):
        await hang()

    agent.hooks.append(slow)
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent)
        with pytest.raises(HookTimeoutError):
            await agent.put(Turn("act"))
        assert system.statistics().accepted == 0


async def test_a_timeout_of_a_hook_for_a_failure_is_noted_and_the_failure_stays(agent, caplog):
    @hook(AgentHook.ON_TURN_ERROR)
    async def slow(agent, turn, error):
        await hang()

    agent.hooks.append(slow)
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent)
        with pytest.raises(ValueError, match="fails") as caught:
            await agent.ask(Turn("act", args=["fails"]))
    assert "HookTimeoutError" in caught.value.__notes__[0]
    assert "the hook 'slow' was cancelled" in caplog.text


async def test_a_timeout_of_the_hooks_own_is_its_own(agent):
    @hook(AgentHook.BEFORE_TURN)
    async def fails(agent):
        raise TimeoutError("its own")

    agent.hooks.append(fails)
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent)
        with pytest.raises(TimeoutError, match="its own"):
            await agent.ask(Turn("act"))


@pytest.mark.parametrize("late", ["fine", Deny("late"), ValueError("late"), TimeoutError("late")], ids=repr)
async def test_a_timeout_is_what_a_hook_failed_by_whatever_it_does_when_it_is_cancelled(agent, late):
    @hook(AgentHook.BEFORE_TURN)
    async def stubborn(agent):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        await asyncio.sleep(4)
        if isinstance(late, Exception):
            raise late
        return late

    agent.hooks.append(stubborn)
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent)
        with pytest.raises(HookTimeoutError) as caught:
            await agent.ask(Turn("act"))
        assert asyncio.get_running_loop().time() == 6
        agent.hooks.clear()
        assert await agent.ask(Turn("act")) == "fine"
    assert caught.value.__cause__ is (late if isinstance(late, Exception) else None)


@pytest.mark.parametrize("event", [AgentHook.BEFORE_TURN, TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE])
async def test_a_hook_that_ignores_its_cancellation_is_left_alone_after_the_shutdown_seconds(
    agent, tools, event, caplog
):
    let_go = asyncio.Event()

    @hook(event)
    async def stubborn(*args):
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()
        raise ValueError("late")

    turn = Turn("act")
    hooks = {AgentHook: agent, TurnHook: turn, ToolHook: tools[0]}[type(event)].hooks
    hooks.append(stubborn)
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent, shutdown=3.0)
        with pytest.raises(HookTimeoutError):
            await agent.ask(turn, timeout=100)
        assert asyncio.get_running_loop().time() == 5
        hooks.clear()
        assert await agent.ask(Turn("act")) == "fine"
        let_go.set()
        report = await system.shutdown()
    assert report.abandoned == ("worker",)
    assert "told to end and raised, which is dropped" in caplog.text


async def test_what_a_hook_with_a_limit_sets_in_the_context_holds_for_the_tool(agent):
    trace = ContextVar("trace", default="none")

    @hook(TurnHook.BEFORE_RUN)
    async def sets(turn):
        assert current_turn() is turn
        trace.set("set")

    @tool
    async def reads():
        return trace.get()

    agent = Agent("reader", "Reads", [reads])
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent)
        assert await agent.ask(Turn(reads, hooks=[sets])) == "set"


async def test_a_limit_gives_way_to_a_cancellation_of_whoever_runs_the_hook(agent):
    @hook(AgentHook.BEFORE_PUT)
    async def slow(agent, turn):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        await asyncio.sleep(10)

    agent.hooks.append(slow)
    async with ActorSystem("s", hook_timeout=2) as system:
        system.spawn(agent)
        putting = asyncio.ensure_future(agent.put(Turn("act")))
        await asyncio.sleep(3)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting


async def test_there_is_no_limit_if_none_is_set_and_in_a_run_by_hand(agent):
    @hook(AgentHook.BEFORE_TURN)
    async def slow(agent):
        await asyncio.sleep(1_000)

    agent.hooks.append(slow)
    await agent.put(Turn("act"))
    assert [value async for _, value in agent.run()] == ["fine"]
    async with ActorSystem("s") as system:
        system.spawn(agent)
        assert await agent.ask(Turn("act")) == "fine"


@pytest.mark.parametrize("wrong", [0, -1, "2"])
def test_a_limit_must_be_seconds(wrong):
    with pytest.raises((TypeError, ValueError), match=f"hook_timeout must be .*, not {wrong!r}"):
        ActorSystem("s", hook_timeout=wrong)
