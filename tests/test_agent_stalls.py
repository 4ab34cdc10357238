"""An agent whose tool blocks the loop of its system: what the system tells of it."""

import asyncio

import pytest

from pygents import ActorSystem, Agent, AgentHook, Turn, hook, tool
from tests.actors.helpers import hang
from tests.actors.stalled import Block, Watched


@pytest.fixture
def block():
    block = Block()
    yield block
    block.released.set()


@pytest.fixture
def agent(block):
    """Return an agent whose tools block in each place that they have."""

    async def later():
        await asyncio.sleep(0)
        block.enter()

    @tool
    async def at_once():
        block.enter()

    @tool
    async def after_a_while():
        await later()

    @tool
    async def in_a_task():
        await asyncio.gather(later(), asyncio.sleep(0))

    @tool
    async def streaming():
        yield 1
        await later()

    @tool
    async def nothing():
        pass

    @tool
    async def leaving():
        async def wait():
            await left.wait()
            block.enter()

        left = asyncio.Event()
        return left, asyncio.create_task(wait())

    @tool
    async def going_on(left):
        left.set()
        await hang()

    return Agent("blocked", "Blocks", [at_once, after_a_while, in_a_task, streaming, nothing, leaving, going_on])


@pytest.fixture
def watched(agent):
    with ActorSystem("s", stall_after=None) as system:
        system.spawn(agent)
        watched = Watched(system)
        watched.begin()
        yield watched


@pytest.mark.parametrize("name", ["at_once", "after_a_while", "in_a_task", "streaming"])
def test_a_tool_that_blocks_the_loop_is_reported_with_its_agent_its_turn_and_where(watched, agent, block, name):
    turn = Turn(name)
    agent.tell(turn)
    watched.look_into(block)
    (event,) = watched.told()
    assert event.path == "blocked"
    assert event.turn is turn
    assert "block.enter()" in event.stack
    assert __file__ in event.stack.splitlines()[0]  # nothing of ours around it


def test_a_task_that_a_turn_has_left_behind_is_that_turns(watched, agent, block):
    turn = Turn("leaving")
    agent.tell(turn)
    left, _ = agent.ref.ask(Turn("nothing"), timeout=5) or turn.output
    agent.tell(Turn("going_on", [left]))
    watched.look_into(block)
    (event,) = watched.told()
    assert event.turn is turn
    agent.ref.kill()


def test_a_hook_that_blocks_the_loop_is_reported_with_the_turn_in_hand(watched, agent, block):
    @hook(AgentHook.AFTER_TURN)
    async def blocks(agent, turn):
        block.enter()

    agent.hooks.append(blocks)
    turn = Turn("nothing")
    agent.tell(turn)
    watched.look_into(block)
    (event,) = watched.told()
    assert event.turn is turn
    assert "in blocks" in event.stack
