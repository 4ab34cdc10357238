"""Turns in the mailbox and what was decided when they were put: into snapshots and branches, and back."""

import asyncio
import json

import pytest

from pygents import Agent, AgentHook, AgentRegistry, Replace, Skip, Turn, TurnHook, hook, tool
from tests.test_agent_decisions import make_tools


@pytest.fixture
def ran():
    """Return what the tools were called with."""
    return []


@pytest.fixture
def agent(ran):
    return Agent("a", "d", make_tools(ran))


@pytest.fixture
def decide(agent):
    """Let the agent's hook for BEFORE_PUT decide one thing after the other."""

    def append(*decisions):
        left = iter(decisions)

        @hook(AgentHook.BEFORE_PUT)
        async def before_put(agent, turn):
            return next(left, None)

        agent.hooks.append(before_put)

    return append


async def run(agent):
    return [value async for _, value in agent.run()]


def restored(data):
    """Return the agent of a snapshot that went through JSON, under a free name."""
    AgentRegistry.clear()
    return Agent.from_dict(json.loads(json.dumps(data)))


WAYS = {
    "as it is": lambda agent: agent,
    "restored": lambda agent: restored(agent.to_dict()),
    "restored twice": lambda agent: restored(restored(agent.to_dict()).to_dict()),
    "branch": lambda agent: agent.branch("child"),
    "branch of a restored one": lambda agent: restored(agent.to_dict()).branch("child"),
}
DECISIONS = [
    (Skip({"a": [1]}), [{"a": [1]}], []),
    (Skip(None), [None], []),
    (Replace(args=[5]), ["value"], [((5,), {"a": 2})]),
    (Replace(kwargs={"b": lambda: 6}), ["value"], [((1,), {"b": 6})]),
    (Replace(args=(), kwargs={}), ["value"], [((), {})]),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["value", "values"])
@pytest.mark.parametrize("decided", DECISIONS)
async def test_a_decision_of_a_put_comes_along(way, name, decided, agent, decide, ran):
    decision, values, given = decided
    decide(decision)
    await agent.put(Turn(name, [1], {"a": 2}))
    agent.hooks = []
    assert await run(WAYS[way](agent)) == values
    assert ran == given


async def test_a_decision_comes_along_with_a_turn_in_hand(agent, decide, ran):
    decide(Replace(args=[5]))
    await agent.put(Turn("value", [1]))
    agent.hooks = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(agent), 5)
    twin = restored(agent.to_dict())
    assert twin.to_dict()["current_turn"]["args"] == [1]
    assert await run(twin) == await run(agent) == ["value"]
    assert ran == [((5,), {})] * 3


async def test_a_turn_may_be_a_value_or_an_argument_of_a_decision(agent, decide):
    @tool()
    async def names(*turns):
        return [turn.tool.__name__ for turn in turns]

    agent.tools = [*agent.tools, names]
    decide(Skip(Turn("value", [1])), Replace(args=[Turn("values", [2])]))
    for _ in range(2):
        await agent.put(Turn("names"))
    agent.hooks = []
    twin = restored(agent.to_dict())
    skipped, named, value = await run(twin)
    assert (skipped.tool.__name__, named, value) == ("value", ["values"], "value")


async def test_an_async_argument_cannot_be_stored_and_is_named(agent, decide):
    async def later(): ...

    decide(Replace(args=[later]))
    await agent.put(Turn("value"))
    with pytest.raises(TypeError, match=r"args\[0\] .* is an async dynamic argument"):
        agent.to_dict()


async def test_a_hook_that_builds_on_the_arguments_does_so_once(agent, ran):
    @hook(TurnHook.BEFORE_RUN)
    async def double(turn):
        return Replace(args=[2 * turn.args[0]])

    agent.ref.tell(Turn("value", [21], hooks=[double]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(agent), 5)
    await run(restored(agent.to_dict()))
    await run(agent)
    assert ran == [((42,), {})] * 3


@pytest.mark.parametrize(
    ("wrong", "error", "problem"),
    [
        (5, TypeError, "must be Mapping or None, not 5"),
        ({}, ValueError, "cannot be restored: Replace.. replaces nothing"),
        ({"args": 5}, TypeError, "cannot be restored: .*'args' must be list or tuple, not 5"),
        ({"kwargs": {1: 2}}, TypeError, "cannot be restored: .*names as keys, not 1"),
    ],
    ids=repr,
)
def test_a_wrong_one_is_named_and_nothing_is_made(wrong, error, problem, agent):
    stored = Turn("value").to_dict() | {"decision": wrong}
    data = agent.to_dict() | {"queue": [stored]}
    AgentRegistry.clear()
    with pytest.raises(error, match=f"field 'queue' holds .* field 'decision' {problem}"):
        Agent.from_dict(data)
    assert AgentRegistry._table.entries == {}
