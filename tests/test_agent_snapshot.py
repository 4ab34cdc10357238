"""Agents as plain data and back, at any moment; and branches, which are copies of living ones."""

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykka import ActorRegistry

from pygents import (
    Agent,
    AgentHook,
    AgentRegistry,
    Replace,
    Skip,
    StopReason,
    ToolRegistry,
    Turn,
    TurnCancelledError,
    TurnHook,
    TurnTimeoutError,
    UnregisteredAgentError,
    UnregisteredHookError,
    UnregisteredToolError,
    current_agent,
    hook,
    tool,
)
from pygents.work import make_work


@pytest.fixture
def ran():
    """Return the log of what the tools have done."""
    return []


@pytest.fixture
def tools(ran):
    @tool()
    async def work(name, output=None):
        ran.append(name)
        if work.probe:
            await work.probe()
        await asyncio.sleep(10)
        return output or name

    work.probe = None

    @tool()
    async def stream(name, to=2):
        ran.append(name)
        for number in range(to):
            await asyncio.sleep(10)
            yield f"{name}{number}"

    @tool()
    async def fail(name):
        ran.append(name)
        raise asyncio.CancelledError if name == "stray" else ValueError(name)

    @tool()
    async def look(snapshots):
        snapshots.append(current_agent().to_dict())

    return [work, stream, fail, look]


@pytest.fixture
def agent(tools):
    return Agent("a", "d", tools)


async def run(agent):
    return [value async for _, value in agent.run()]


def restored(data):
    """Return the agent of a snapshot that went through JSON, under a free name."""
    AgentRegistry.clear()
    return Agent.from_dict(json.loads(json.dumps(data)))


def names(turns):
    return [turn["args"][0] for turn in turns]


async def test_a_snapshot_has_the_configuration_and_the_queue_and_disturbs_nothing(agent):
    @hook(AgentHook.AFTER_TURN)
    async def after(agent, turn): ...

    agent.hooks.append(after)
    assert agent.to_dict() == {
        "name": "a",
        "description": "d",
        "tool_names": ["work", "stream", "fail", "look"],
        "queue": [],
        "current_turn": None,
        "hooks": {"after_turn": ["after"]},
    }
    turns = [Turn("work", ["x"], metadata={"id": 1}), Turn("stream", ["y"], {"to": 1})]
    for turn in turns:
        await agent.put(turn)
    assert agent.to_dict()["queue"] == [turn.to_dict() for turn in turns]
    assert agent.to_dict() == agent.to_dict()
    assert await run(agent) == ["x", "y0"]


async def test_a_restored_agent_is_as_the_one_that_was_stored(agent):
    @hook([AgentHook.AFTER_TURN, AgentHook.BEFORE_TURN])
    async def both(*args): ...

    @hook(AgentHook.BEFORE_TURN)
    async def before(agent): ...

    agent.hooks += [before, both]
    await agent.put(Turn("work", ["x"], timeout=50, metadata={"id": 1}))
    agent.ref.tell(Turn("stream", ["y"]))
    twin = restored(agent.to_dict())
    assert (twin.to_dict(), twin.hooks, twin.tools) == (agent.to_dict(), agent.hooks, agent.tools)
    assert AgentRegistry.get("a") is twin
    assert ActorRegistry.get_all() == [agent.ref, twin.ref]
    assert await run(twin) == await run(agent) == ["x", "y0", "y1"]


ARGS = st.lists(st.none() | st.integers() | st.text())
KWARGS = st.dictionaries(st.text(), st.booleans() | st.lists(st.integers()))
ARGUMENTS = st.tuples(ARGS, KWARGS) | st.tuples(ARGS, st.none()) | st.tuples(st.none(), KWARGS)
QUEUES = st.lists(
    st.tuples(
        ARGS,
        KWARGS,
        st.none() | st.floats(min_value=0.001, allow_infinity=False),
        st.dictionaries(st.text(), st.text()),
        st.none() | st.text().map(Skip) | ARGUMENTS.map(lambda given: Replace(args=given[0], kwargs=given[1])),
    ),
    max_size=5,
)


@given(QUEUES, st.text(min_size=1), st.text(), st.booleans())
def test_storing_and_restoring_any_agent_changes_nothing(queue, name, description, in_hand):
    async def any_arguments(*args, **kwargs): ...

    ToolRegistry._table.clear()
    agent = Agent(name, description, [tool()(any_arguments)])
    decided = [(Turn("any_arguments", *fields), decision) for *fields, decision in queue]
    work = [make_work(*each) for each in decided]
    agent._actor.restore(work.pop() if work and in_hand else None, work)
    data = agent.to_dict()
    twin = restored(data)
    assert twin.to_dict() == data
    for each in (agent, twin):
        each.ref.stop()


def test_queue_current_turn_and_hooks_may_be_missing_or_none(tools):
    twin = Agent.from_dict({"name": "a", "description": "", "tool_names": ["work"]})
    assert twin.to_dict()["queue"] == []
    twin.ref.stop()
    data = {"name": "a", "description": "", "tool_names": (), "queue": (), "current_turn": None, "hooks": None}
    assert Agent.from_dict(data).hooks == []


GOOD = {"name": "a", "description": "d", "tool_names": ["work"], "queue": [], "current_turn": None, "hooks": {}}
BAD = {
    "name": [None, 3, b"a"],
    "description": [None, 3],
    "tool_names": [None, "work", [3], {"work": 1}],
    "queue": [None, "work", {}, [3], [None]],
    "current_turn": [3, [], True],
    "hooks": [[], {"after_turn": "name"}, {"after_turn": [3]}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_a_field_of_a_wrong_type_is_named_and_nothing_is_made(field, value, tools):
    with pytest.raises(TypeError, match=field):
        Agent.from_dict({**GOOD, field: value})
    assert_nothing_was_made("a")


@pytest.mark.parametrize("field", ["name", "description", "tool_names"])
def test_a_required_field_that_is_missing_is_named(field, tools):
    with pytest.raises(ValueError, match=f"field '{field}' is missing"):
        Agent.from_dict({key: value for key, value in GOOD.items() if key != field})
    assert_nothing_was_made("a")


@pytest.mark.parametrize("data", [None, 3, "a", [("name", "a")]])
def test_data_that_is_no_dict_is_refused(data):
    with pytest.raises(TypeError, match="to_dict"):
        Agent.from_dict(data)


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("name", "", ValueError, "name must not be empty"),
        ("tool_names", ["nowhere"], UnregisteredToolError, "'nowhere' not found"),
        ("hooks", {"after_turn": ["nowhere"]}, UnregisteredHookError, "'nowhere' not found"),
        ("queue", [{"tool_name": "nowhere"}], UnregisteredToolError, "'nowhere' not found"),
        ("queue", [{"args": []}], ValueError, "'tool_name' is missing"),
        ("queue", [{"tool_name": "work", "timeout": -1}], ValueError, "'timeout'"),
        ("current_turn", {"tool_name": "work", "args": 3}, TypeError, "'args'"),
    ],
)
def test_names_and_turns_that_cannot_be_restored_are_named(field, value, error, message, tools):
    with pytest.raises(error, match=message):
        Agent.from_dict({**GOOD, field: value})
    assert_nothing_was_made("a")


async def test_a_snapshot_cannot_be_restored_while_its_name_is_taken(agent):
    await agent.put(Turn("work", ["x"]))
    with pytest.raises(ValueError, match="'a' already registered"):
        Agent.from_dict(agent.to_dict())
    assert ActorRegistry.get_all() == [agent.ref]
    assert await run(agent) == ["x"]


def assert_nothing_was_made(name):
    assert ActorRegistry.get_all() == []
    with pytest.raises(UnregisteredAgentError):
        AgentRegistry.get(name)


async def test_a_snapshot_from_inside_a_tool_has_that_turn_as_the_current_one(agent):
    snapshots = []
    await agent.put(Turn("look", [snapshots]))
    await agent.put(Turn("work", ["x"]))
    assert await run(agent) == [None, "x"]
    (data,) = snapshots
    assert (data["current_turn"]["tool_name"], data["current_turn"]["stop_reason"]) == ("look", None)
    assert names(data["queue"]) == ["x"]


def watch(moment, agent, turn, tools):
    """Return a list that gets a snapshot when that moment comes for the first time, and what takes it."""
    taken = []

    async def look(*args):
        if not taken:
            taken.append(agent.to_dict())

    if moment == "tool":
        tools[0].probe = look
    elif moment != "consumer":
        (agent if isinstance(moment, AgentHook) else turn).hooks.append(hook(moment)(look))
    return taken, look


async def snapshot_at(moment, agent, turn, tools):
    """Return the snapshot of an agent taken at that moment of its turn, when another one is queued."""
    taken, look = watch(moment, agent, turn, tools)
    agent.ref.tell(turn)
    agent.ref.tell(Turn("work", ["x"]))
    with suppress(ValueError, TurnTimeoutError, TurnCancelledError):
        async for _ in agent.run():
            if moment == "consumer":
                await look()
    tools[0].probe = None
    return taken[0]


AGAIN, SHOWN, SPENT = "run again", "shown again", "spent"
CHAINED = {
    AgentHook.BEFORE_TURN: AGAIN,
    TurnHook.BEFORE_RUN: AGAIN,
    "tool": AGAIN,
    TurnHook.AFTER_RUN: SHOWN,
    AgentHook.ON_TURN_VALUE: SHOWN,
    "consumer": SPENT,
    AgentHook.AFTER_TURN: SPENT,
    AgentHook.BEFORE_PUT: SPENT,
    AgentHook.AFTER_PUT: SPENT,
}


@pytest.mark.parametrize(("moment", "left"), CHAINED.items(), ids=str)
async def test_a_snapshot_at_any_moment_neither_loses_nor_repeats_a_turn_that_returns_one(
    moment, left, agent, tools, ran
):
    data = await snapshot_at(moment, agent, Turn("work", ["first", Turn("work", ["next"])]), tools)
    ran.clear()
    values = ["a turn" if isinstance(value, Turn) else value for value in await run(restored(data))]
    assert values == ([] if left is SPENT else ["a turn"]) + ["x", "next"]
    assert ran == (["first"] if left is AGAIN else []) + ["x", "next"]


STREAMED = {
    AgentHook.BEFORE_TURN: AGAIN,
    TurnHook.ON_VALUE: AGAIN,
    AgentHook.ON_TURN_VALUE: AGAIN,
    "consumer": AGAIN,
    TurnHook.AFTER_RUN: SPENT,
    AgentHook.AFTER_TURN: SPENT,
}


@pytest.mark.parametrize(("moment", "left"), STREAMED.items(), ids=str)
async def test_a_snapshot_at_any_moment_neither_loses_nor_repeats_a_stream(moment, left, agent, tools, ran):
    data = await snapshot_at(moment, agent, Turn("stream", ["s"]), tools)
    ran.clear()
    assert await run(restored(data)) == (["s0", "s1"] if left is AGAIN else []) + ["x"]


FAILING = [
    (lambda: Turn("fail", ["f"]), [TurnHook.ON_ERROR, AgentHook.ON_TURN_ERROR]),
    (lambda: Turn("fail", ["stray"]), [TurnHook.ON_ERROR, AgentHook.ON_TURN_ERROR]),
    (lambda: Turn("work", ["t"], timeout=1), [TurnHook.ON_TIMEOUT, AgentHook.ON_TURN_TIMEOUT]),
]


@pytest.mark.parametrize(("turn", "moment"), [(turn, moment) for turn, kinds in FAILING for moment in kinds])
async def test_a_turn_that_failed_is_spent_in_a_snapshot_while_its_failure_is_handled(turn, moment, agent, tools):
    twin = restored(await snapshot_at(moment, agent, turn(), tools))
    assert twin.to_dict()["current_turn"] is None
    twin.hooks = []
    assert await run(twin) == ["x"]


async def test_a_restored_turn_that_had_completed_gets_its_after_turn_hook_and_no_other(agent, tools):
    log = []

    @hook(AgentHook.AFTER_TURN)
    async def after(agent, turn):
        log.append((turn.output, turn.stop_reason))

    data = await snapshot_at("consumer", agent, Turn("work", ["first"]), tools)
    twin = restored(data)
    twin.hooks.append(after)
    assert await run(twin) == ["x"]
    assert log == [("first", StopReason.COMPLETED), ("x", StopReason.COMPLETED)]


@pytest.mark.parametrize("moment", [TurnHook.AFTER_RUN, AgentHook.ON_TURN_VALUE], ids=str)
async def test_a_value_that_had_not_reached_the_consumer_is_yielded_with_the_hooks_that_come_then(
    moment, agent, tools, ran
):
    log = []

    def note(kind):
        async def fn(*args):
            log.append((kind, args[-1] if kind is AgentHook.ON_TURN_VALUE else None))

        fn.__name__ = f"note_{kind}"
        return hook(kind)(fn)

    data = await snapshot_at(moment, agent, Turn("work", ["first"], hooks=[note(TurnHook.AFTER_RUN)]), tools)
    assert data["current_turn_due"] == "value"
    again = restored(data).to_dict()
    assert again == data
    twin = restored({**again, "queue": []})
    twin.hooks += [note(AgentHook.BEFORE_TURN), note(AgentHook.ON_TURN_VALUE), note(AgentHook.AFTER_TURN)]
    log.clear()
    ran.clear()
    results = twin.run()
    assert (await anext(results))[1] == "first"
    assert "current_turn_due" not in twin.to_dict()
    assert [value async for _, value in results] == []
    assert log == [(AgentHook.ON_TURN_VALUE, "first"), (AgentHook.AFTER_TURN, None)]
    assert ran == []


async def test_a_turn_that_completed_on_its_own_and_is_then_put_is_run(agent, ran):
    turn = Turn("work", ["x"])
    await turn.returning()
    await agent.put(turn)
    assert await run(agent) == ["x"]
    assert ran == ["x", "x"]


async def test_a_turn_that_is_cut_before_its_stored_value_reaches_the_consumer_is_run_again(agent, tools, ran):
    @hook(AgentHook.ON_TURN_VALUE)
    async def dawdle(*args):
        await asyncio.sleep(100)

    twin = restored(await snapshot_at(TurnHook.AFTER_RUN, agent, Turn("work", ["first"]), tools))
    twin.hooks.append(dawdle)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(twin), 5)
    twin.hooks = []
    ran.clear()
    assert await run(twin) == ["first", "x"]
    assert ran == ["first", "x"]


async def test_a_streams_values_are_never_due_when_it_has_completed(tools):
    current = {"tool_name": "stream", "args": ["s"], "stop_reason": "completed", "output": ["s0"]}
    agent = Agent.from_dict({**GOOD, "tool_names": ["stream"], "current_turn": current, "current_turn_due": "value"})
    assert await run(agent) == []


async def test_a_returned_turn_whose_put_was_cut_is_only_put_by_a_restored_agent_too(agent, tools, ran):
    log = []

    @hook(AgentHook.AFTER_TURN)
    async def after(agent, turn):
        log.append(turn.args[0])

    agent.hooks.append(after)
    turn = Turn("work", ["first", Turn("work", ["next"])])
    data = await snapshot_at(AgentHook.BEFORE_PUT, agent, turn, tools)
    assert data["current_turn_due"] == "put"
    log.clear()
    assert await run(restored(data)) == ["x", "next"]
    assert log == ["x", "next"]


@pytest.mark.parametrize(("wrong", "error"), [("bogus", ValueError), (5, TypeError), (True, TypeError)], ids=repr)
def test_what_is_due_is_named_if_it_is_wrong(wrong, error, tools):
    with pytest.raises(error, match="field 'current_turn_due' must be") as caught:
        Agent.from_dict({**GOOD, "current_turn_due": wrong})
    assert repr(wrong) in str(caught.value)
    assert_nothing_was_made("a")


async def test_a_turn_that_its_consumers_cancellation_cut_is_restored_and_run_first(agent):
    for name in "ab":
        await agent.put(Turn("work", [name]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(agent), 5)
    data = agent.to_dict()
    assert data["current_turn"]["stop_reason"] == "cancelled"
    assert await run(restored(data)) == ["a", "b"]


async def test_a_snapshot_can_be_restored_though_the_agent_was_told_what_it_does_not_take(agent, caplog):
    agent.ref.tell("no turn")
    agent.ref.tell(Turn("work", ["x"]))
    agent.tools = agent.tools[:2]
    agent.ref.tell(Turn("fail", ["foreign"]))
    assert await run(restored(agent.to_dict())) == ["x"]
    assert caplog.records == []
    assert await run(agent) == ["x"]
    assert "'a' does not accept tool 'fail'" in caplog.text


async def test_a_snapshot_has_a_turn_that_was_put_though_its_tool_was_taken_away_meanwhile(agent):
    await agent.put(Turn("fail", ["x"]))
    agent.tools.remove(ToolRegistry.get("fail"))
    data = agent.to_dict()
    assert [turn["tool_name"] for turn in data["queue"]] == ["fail"]
    for take_over in (lambda: restored(data), lambda: agent.branch("b"), lambda: setattr(agent, "tools", [])):
        with pytest.raises(ValueError, match="does not accept tool 'fail', which a queued turn names"):
            take_over()
    data["tool_names"].append("fail")
    assert len(restored(data).to_dict()["queue"]) == 1


async def test_a_turn_that_has_lost_its_tool_since_it_was_put_cannot_be_stored(agent):
    turn = Turn("work", ["x"])
    await agent.put(turn)
    turn.tool = None
    with pytest.raises(TypeError, match="Turn has no tool: it cannot be stored"):
        agent.to_dict()


@pytest.mark.parametrize(
    ("reason", "values"), [("error", ["x"]), ("timeout", ["x"]), ("completed", ["x"]), ("cancelled", ["c", "x"])]
)
async def test_how_a_stored_turn_in_hand_had_ended_says_whether_it_is_run(reason, values, tools):
    current = {"tool_name": "work", "args": ["c"], "stop_reason": reason}
    agent = Agent.from_dict({**GOOD, "current_turn": current, "queue": [Turn("work", ["x"]).to_dict()]})
    assert (agent.to_dict()["current_turn"] is None) == (reason in {"error", "timeout"})
    assert await run(agent) == values


@pytest.mark.parametrize("place", ["queue", "current_turn"])
async def test_a_turn_whose_tool_the_restored_agent_would_lack_is_refused(place, tools):
    foreign = {"tool_name": "fail"}
    data = {**GOOD, place: [foreign] if place == "queue" else foreign}
    with pytest.raises(ValueError, match="'a' does not accept tool 'fail'"):
        Agent.from_dict(data)
    with pytest.raises(UnregisteredAgentError):
        AgentRegistry.get("a")


async def test_a_stored_turn_that_had_failed_is_named_in_the_log(tools, caplog):
    current = {"tool_name": "work", "args": ["c"], "stop_reason": "error"}
    agent = Agent.from_dict({**GOOD, "current_turn": current})
    assert f"{agent.ref._actor_weakref()} does not restore Turn(tool='work'" in caplog.text


async def test_an_async_dynamic_argument_in_the_queue_cannot_be_stored_and_is_named(agent):
    async def later(): ...

    await agent.put(Turn("work", [later]))
    with pytest.raises(TypeError, match=r"args\[0\].*async dynamic argument"):
        agent.to_dict()
    assert await run(agent) == [None]


async def test_a_branch_has_the_configuration_and_copies_of_the_queue_and_is_independent(agent):
    @hook(AgentHook.BEFORE_TURN)
    async def before(agent): ...

    agent.hooks.append(before)
    turns = [Turn("work", ["x"], metadata={"id": 1}), Turn("stream", ["y"])]
    for turn in turns:
        await agent.put(turn)
    child = agent.branch("child")
    assert (child.description, child.tools, child.hooks) == (agent.description, agent.tools, agent.hooks)
    assert AgentRegistry.get("child") is child
    assert child.to_dict()["queue"] == agent.to_dict()["queue"]
    results = [result async for result in child.run()]
    assert [value for _, value in results] == ["x", "y0", "y1"]
    assert not {id(turn) for turn, _ in results} & {id(turn) for turn in turns}
    assert [turn.stop_reason for turn in turns] == [None, None]
    child.hooks.append(before)
    child.tools.pop()
    assert (len(agent.hooks), len(agent.tools)) == (1, 4)
    await child.stop()
    assert await run(agent) == ["x", "y0", "y1"]


@pytest.mark.parametrize("hooks", [None, [], ()])
def test_a_branch_may_have_no_hooks_and_a_description_and_tools_of_its_own(hooks, agent, tools):
    @hook(AgentHook.BEFORE_TURN)
    async def before(agent): ...

    agent.hooks.append(before)
    child = agent.branch("child", "other", tools[:1], hooks)
    assert (child.description, child.tools, child.hooks) == ("other", tools[:1], [])
    assert (agent.branch("empty", "", []).description, agent.hooks) == ("", [before])
    assert agent.branch("other", hooks=[before, before]).hooks == [before, before]


def test_a_branch_is_of_the_parents_class(tools):
    class Special(Agent): ...

    assert type(Special("a", "d", tools).branch("b")) is Special


async def test_a_branch_from_inside_a_run_has_the_queue_and_not_the_turn_in_hand(agent):
    for name in "ab":
        await agent.put(Turn("work", [name]))
    async for _, value in agent.run():
        if value == "a":
            assert await run(agent.branch("child")) == ["b"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("a",), ValueError, "'a' already registered"),
        (("",), ValueError, "name"),
        ((3,), TypeError, "name"),
        (("child", 3), TypeError, "description"),
        (("child", None, ["work"]), TypeError, "not a tool"),
        (("child", None, []), ValueError, "'child' does not accept tool 'work'"),
        (("child", None, None, ["x"]), TypeError, "not a hook"),
        (("child", None, None, "x"), TypeError, "hooks"),
    ],
)
async def test_a_branch_that_is_refused_leaves_nothing_behind(arguments, error, message, agent):
    await agent.put(Turn("work", ["x"]))
    with pytest.raises(error, match=message):
        agent.branch(*arguments)
    assert ActorRegistry.get_all() == [agent.ref]
    with pytest.raises(UnregisteredAgentError):
        AgentRegistry.get("child")
    assert await run(agent) == ["x"]
