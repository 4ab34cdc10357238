"""Agent.run(): what it streams, in which order things happen, and how a turn that fails comes out of it."""

import asyncio
from contextvars import ContextVar

import pytest

from pygents import (
    Agent,
    AgentHook,
    StopReason,
    ToolHook,
    Turn,
    TurnHook,
    current_agent,
    current_turn,
    hook,
    tool,
)

AGENT_EVENTS = list(AgentHook)


@pytest.fixture
def add():
    @tool()
    async def add(a, b=1):
        await asyncio.sleep(0)
        return a + b

    return add


@pytest.fixture
def count():
    @tool()
    async def count(to):
        for number in range(to):
            await asyncio.sleep(0)
            yield number

    return count


@pytest.fixture
def fail():
    @tool()
    async def fail(error):
        await asyncio.sleep(0)
        raise error

    return fail


@pytest.fixture
def again(add):
    @tool()
    async def again(a, times=1):
        return Turn("again", [a], {"times": times - 1}) if times > 1 else Turn("add", [a])

    return again


def agent_with(*tools, hooks=()):
    agent = Agent("a", "d", tools)
    agent.hooks += hooks
    return agent


async def run(agent, *turns):
    for turn in turns:
        await agent.put(turn)
    return [value async for _, value in agent.run()]


def recorder(types, log):
    """Return a hook that notes which of `types` it was called for, by their arguments."""

    async def record(*args, kind):
        log.append(kind)

    hooks = []
    for kind in types:
        record.__name__ = f"record_{kind}"
        hooks.append(hook(kind, kind=str(kind))(record))
    return hooks


async def test_a_coroutine_tool_gives_one_value_and_a_generator_tool_each_of_its_values(add, count):
    agent, sum_, stream = agent_with(add, count), Turn("add", [1, 2]), Turn("count", [3])
    for turn in (sum_, stream):
        await agent.put(turn)
    assert [result async for result in agent.run()] == [(sum_, 3), (stream, 0), (stream, 1), (stream, 2)]
    assert (sum_.output, stream.output) == (3, [0, 1, 2])
    assert (sum_.stop_reason, stream.stop_reason) == (StopReason.COMPLETED, StopReason.COMPLETED)


async def test_run_ends_at_once_when_the_mailbox_is_empty_and_can_be_called_again(add):
    agent = agent_with(add)
    assert await run(agent) == []
    assert await run(agent, Turn("add", [1])) == [2]
    assert await run(agent) == []


async def test_a_generator_tool_that_yields_nothing_gives_no_value_and_completes(count):
    turn = Turn("count", [0])
    assert await run(agent_with(count), turn) == []
    assert (turn.output, turn.stop_reason) == ([], StopReason.COMPLETED)


async def test_a_tool_may_return_and_yield_none():
    @tool()
    async def nothing():
        pass

    @tool()
    async def nothings():
        yield None
        yield None

    assert await run(agent_with(nothing, nothings), Turn("nothing"), Turn("nothings")) == [None, None, None]


async def test_everything_happens_in_the_documented_order_for_one_turn():
    log = []

    @tool(hooks=recorder([ToolHook.BEFORE_INVOKE, ToolHook.AFTER_INVOKE], log))
    async def work():
        log.append("the function")

    agent = agent_with(work, hooks=recorder(AGENT_EVENTS, log))
    turn = Turn("work", hooks=recorder(TurnHook, log))
    await agent.put(turn)
    async for _ in agent.run():
        log += ["the consumer"]
    assert log == [
        "before_put",
        "after_put",
        "before_turn",
        "before_run",
        "before_invoke",
        "the function",
        "after_invoke",
        "after_run",
        "on_turn_value",
        "the consumer",
        "after_turn",
    ]


async def test_everything_happens_in_the_documented_order_for_a_streamed_turn():
    log = []

    @tool(hooks=recorder([ToolHook.BEFORE_INVOKE, ToolHook.ON_YIELD, ToolHook.AFTER_INVOKE], log))
    async def work():
        for letter in "ab":
            log.append(letter)
            yield letter

    agent = agent_with(work, hooks=recorder(AGENT_EVENTS, log))
    agent.ref.tell(Turn("work", hooks=recorder(TurnHook, log)))
    async for _, letter in agent.run():
        log.append("consumed " + letter)
    each = ["on_yield", "on_value", "on_turn_value"]
    assert log == [
        *("before_turn", "before_run", "before_invoke"),
        *("a", *each, "consumed a"),
        *("b", *each, "consumed b"),
        *("after_invoke", "after_run", "after_turn"),
    ]


async def test_the_hooks_get_the_agent_the_turn_and_the_value(add, fail):
    seen = {}
    error = ValueError("no")
    agent = agent_with(add, fail)
    turns = {"add": Turn("add", [1]), "fail": Turn("fail", [error])}

    @hook(AGENT_EVENTS)
    async def note(*args):
        seen.setdefault(len(seen), args)

    agent.hooks.append(note)
    assert await run(agent, turns["add"]) == [2]
    given = [(agent, turns["add"])] * 2 + [(agent,), (agent, turns["add"], 2), (agent, turns["add"])]
    assert list(seen.values()) == given
    seen.clear()
    agent.ref.tell(turns["fail"])
    with pytest.raises(ValueError, match="no"):
        await run(agent)
    assert list(seen.values()) == [(agent,), (agent, turns["fail"], error)]


async def test_every_agent_hook_of_a_type_runs_in_list_order_and_the_first_exception_ends_it(add):
    log = []

    @hook(AgentHook.BEFORE_TURN)
    async def first(agent):
        log.append("first")

    @hook(AgentHook.BEFORE_TURN)
    async def second(agent):
        log.append("second")
        raise ValueError("second")

    agent = agent_with(add, hooks=[first, second, first])
    with pytest.raises(ValueError, match="second"):
        await run(agent, Turn("add", [1]))
    assert log == ["first", "second"]


async def test_before_turn_runs_while_the_turn_is_still_in_the_mailbox(add):
    seen = []

    @hook(AgentHook.BEFORE_TURN)
    async def look(agent):
        data = agent.to_dict()
        seen.append((len(data["queue"]), data["current_turn"], current_turn(), current_agent() is agent))

    await run(agent_with(add, hooks=[look]), Turn("add", [1]), Turn("add", [2]))
    assert seen == [(2, None, None, True), (1, None, None, True)]


async def test_nothing_is_started_before_the_consumer_asks_for_it():
    log = []

    @tool()
    async def one(name):
        log.append(name)

    @tool()
    async def two():
        log.append("two 1")
        yield 1
        log.append("two 2")
        yield 2

    agent = agent_with(one, two)
    for turn in (Turn("one", ["a"]), Turn("two"), Turn("one", ["b"])):
        await agent.put(turn)
    results = agent.run()
    assert log == []
    for expected in (["a"], ["a", "two 1"], ["a", "two 1", "two 2"], ["a", "two 1", "two 2", "b"]):
        await anext(results)
        await asyncio.sleep(100)
        assert log == expected
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_the_next_of_two_tools_starts_only_when_the_one_before_has_ended():
    running = []

    @tool()
    async def work(name):
        running.append(name)
        await asyncio.sleep(10)
        assert running == [name]
        running.clear()

    assert await run(agent_with(work), *(Turn("work", [name]) for name in "abc")) == [None] * 3


async def test_turns_that_are_put_while_it_runs_are_run_too(add):
    agent, values = agent_with(add), []
    await agent.put(Turn("add", [0]))
    async for _, value in agent.run():
        values.append(value)
        if value < 3:
            await agent.put(Turn("add", [value]))
    assert values == [1, 2, 3]


async def test_tools_see_the_consumers_context_variables_and_cannot_change_them():
    user = ContextVar("user", default="nobody")

    @tool()
    async def who():
        seen = user.get()
        user.set("changed by the tool")
        return seen

    @tool()
    async def who_streams():
        yield user.get()
        yield user.get()

    agent, seen = agent_with(who, who_streams), []
    for turn in (Turn("who"), Turn("who_streams"), Turn("who")):
        await agent.put(turn)
    user.set("first")
    async for _, value in agent.run():
        seen.append(value)
        assert user.get() in {"first", "second"}
        user.set("second")
    assert seen == ["first", "second", "second", "second"]


async def test_tools_and_hooks_know_their_turn_and_agent_and_nobody_else_does(count, add):
    seen, agent = [], agent_with()

    def look():
        return current_agent(), current_turn()

    @tool()
    async def ask():
        return look()

    @tool()
    async def asks():
        try:
            yield look()
            yield look()
        finally:
            seen.append(look())

    @hook([AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN])
    async def ask_hook(*args):
        seen.append(look())

    agent.tools, agent.hooks = [ask, asks], [ask_hook]
    for turn in (Turn("ask"), Turn("asks")):
        await agent.put(turn)
    async for turn, value in agent.run():
        assert value == (agent, turn)
        assert look() == (None, None)
        seen.append(turn)
    assert look() == (None, None)
    single, stream = seen[1], seen[4]
    assert seen == [
        *((agent, single), single, (agent, single)),
        *((agent, stream), stream, (agent, stream), stream, (agent, stream), (agent, stream)),
    ]


async def test_the_tool_of_another_agent_that_a_tool_runs_has_its_own_turn_and_agent():
    @tool()
    async def inner():
        return current_agent().name, current_turn().tool.__name__

    @tool()
    async def outer():
        inside = await run(helper, Turn("inner"))
        return inside, (current_agent().name, current_turn().tool.__name__)

    helper, boss = Agent("helper", "d", [inner]), Agent("boss", "d", [outer])
    assert await run(boss, Turn("outer")) == [([("helper", "inner")], ("boss", "outer"))]


async def test_a_returned_turn_is_yielded_then_put_at_the_end_of_the_mailbox_and_run(add, again):
    agent = agent_with(add, again)
    values = await run(agent, Turn("again", [10]), Turn("add", [1]))
    assert (values[0].tool, values[1:]) == (add, [2, 11])


async def test_a_returned_turn_may_return_a_turn_again(add, again):
    values = await run(agent_with(add, again), Turn("again", [5], {"times": 3}))
    assert [type(value) for value in values] == [Turn, Turn, Turn, int]
    assert values[-1] == 6


async def test_a_returned_turn_may_be_of_a_class_derived_from_turn(add):
    class Special(Turn):
        pass

    @tool()
    async def make():
        return Special("add", [1])

    assert (await run(agent_with(add, make), Turn("make")))[1:] == [2]


async def test_a_turn_that_returns_itself_is_run_again(add):
    runs = []

    @tool()
    async def repeat():
        runs.append(1)
        return current_turn() if len(runs) < 3 else "enough"

    turn = Turn("repeat")
    assert await run(agent_with(repeat), turn) == [turn, turn, "enough"]


async def test_turns_that_a_generator_tool_yields_are_values_and_not_put(add):
    @tool()
    async def plan():
        yield Turn("add", [1])

    assert len(await run(agent_with(add, plan), Turn("plan"))) == 1


async def test_a_returned_turn_goes_through_the_put_hooks_after_after_turn(add, again):
    log = []
    agent = agent_with(add, again, hooks=recorder(AGENT_EVENTS, log))
    agent.ref.tell(Turn("again", [1]))
    async for _ in agent.run():
        log += ["consumed"]
    one = ["before_turn", "on_turn_value", "consumed", "after_turn"]
    assert log == [*one, "before_put", "after_put", *one]


async def test_a_returned_turn_is_put_even_if_after_turn_raises(add, again):
    @hook(AgentHook.AFTER_TURN)
    async def refuse(agent, turn):
        agent.hooks.clear()
        raise PermissionError("after")

    turn = Turn("again", [1])
    agent = agent_with(add, again, hooks=[refuse])
    with pytest.raises(PermissionError, match="after"):
        await run(agent, turn)
    assert turn.stop_reason is StopReason.ERROR
    assert await run(agent) == [2]


async def test_a_returned_turn_whose_tool_the_agent_lacks_is_that_turns_failure(again):
    turn = Turn("again", [1])
    agent = agent_with(again)
    with pytest.raises(ValueError, match="'a' does not accept tool 'add'"):
        await run(agent, turn, Turn("again", [1], {"times": 2}))
    assert turn.stop_reason is StopReason.ERROR
    data = agent.to_dict()
    assert (len(data["queue"]), data["current_turn"]) == (1, None)
