"""What hooks decide of an agent's turns: when they are put, and before they are taken, run and invoked."""

import asyncio
import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents import (
    Agent,
    AgentHook,
    AgentRegistry,
    Deny,
    HookRegistry,
    Replace,
    Skip,
    StopReason,
    ToolHook,
    ToolRegistry,
    Turn,
    TurnDeniedError,
    TurnHook,
    hook,
    tool,
)
from pygents.testing import VirtualTimeLoop

PUT, TURN, RUN, INVOKE = AgentHook.BEFORE_PUT, AgentHook.BEFORE_TURN, TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE
numbers = count()


@pytest.fixture
def log():
    return []


@pytest.fixture
def ran():
    """Return what the tools were called with."""
    return []


def make_tools(ran):
    @tool()
    async def value(*args, **kwargs):
        ran.append((args, kwargs))
        await asyncio.sleep(10)
        return "value"

    @tool()
    async def values(*args, **kwargs):
        ran.append((args, kwargs))
        await asyncio.sleep(10)
        yield "value"

    return [value, values]


@pytest.fixture
def agent(ran):
    return Agent("a", "d", make_tools(ran))


@pytest.fixture(params=["value", "values"])
def name(request):
    """Return the name of a tool of either kind."""
    return request.param


def deciding(event, log, *decisions):
    """Make a hook that notes its event and its arguments, and decides one thing after the other, then nothing."""
    left = iter(decisions)

    async def decide(*args, **kwargs):
        log.append((event, *args))
        return next(left, None)

    decide.__name__ = f"decide_{next(numbers)}"
    return hook(event)(decide)


@pytest.fixture
def decide(agent, log):
    """Append a hook of the agent's that decides one thing after the other, then nothing."""

    def append(event, *decisions):
        agent.hooks.append(deciding(event, log, *decisions))

    return append


async def run(agent):
    return [value async for _, value in agent.run()]


def events(log):
    return [entry[0] for entry in log]


class TestBeforePut:
    async def test_that_denies_raises_out_of_put_and_nothing_is_enqueued(self, agent, decide, name, log):
        decide(PUT, Deny("not now"))
        decide(PUT)
        decide(AgentHook.AFTER_PUT)
        with pytest.raises(TurnDeniedError, match="not now"):
            await agent.put(Turn(name))
        assert (events(log), agent.to_dict()["queue"]) == ([PUT], [])
        await agent.put(Turn(name))
        assert (events(log), len(agent.to_dict()["queue"])) == ([PUT, PUT, PUT, AgentHook.AFTER_PUT], 1)

    async def test_that_denies_raises_out_of_send_turn_and_is_not_asked_by_tell(self, agent, decide, name):
        decide(PUT, Deny("no"), Deny("no"))
        with pytest.raises(TurnDeniedError):
            await agent.send_turn("a", Turn(name))
        agent.ref.tell(Turn(name))
        assert await run(agent) == ["value"]

    async def test_that_skips_travels_with_the_turn(self, agent, decide, name, ran, log):
        decide(PUT, Skip("instead"))
        decide(AgentHook.AFTER_PUT)
        turn = Turn(name, [1], hooks=[deciding(RUN, log), deciding(TurnHook.AFTER_RUN, log)])
        await agent.put(turn)
        agent.hooks = []
        assert await run(agent) == ["instead"]
        assert (ran, turn.stop_reason) == ([], StopReason.COMPLETED)
        assert events(log) == [PUT, AgentHook.AFTER_PUT, TurnHook.AFTER_RUN]

    async def test_that_replaces_travels_with_the_turn(self, agent, decide, name, ran):
        decide(PUT, Replace(args=[5]))
        turn = Turn(name, [1], {"a": 2})
        await agent.put(turn)
        agent.hooks = []
        assert await run(agent) == ["value"]
        assert (ran, turn.args) == ([((5,), {"a": 2})], [1])

    async def test_that_replaces_is_seen_by_later_ones_and_by_those_before_the_run(self, agent, name):
        seen = []

        @hook(PUT)
        async def replace(agent, turn):
            return Replace(args=[5])

        @hook(PUT)
        async def look(agent, turn):
            seen.append(turn.replaced)

        @hook(RUN)
        async def look_again(turn):
            seen.append(turn.replaced)

        agent.hooks += [look, replace, look]
        turn = Turn(name, hooks=[look_again])
        await agent.put(turn)
        assert turn.replaced is None
        await run(agent)
        assert seen == [None, Replace(args=[5]), Replace(args=[5])]

    async def test_leaves_what_the_turn_notes_of_its_last_run(self, agent, decide, name):
        turn = Turn(name, [1])
        await agent.put(turn)
        await run(agent)
        decide(PUT, Replace(args=[5]), Deny("no"))
        await agent.put(turn)
        assert (turn.called_with, turn.replaced) == (([1], {}), None)

    async def test_decides_of_one_putting_of_a_turn_that_is_put_twice(self, agent, decide, name, ran):
        decide(PUT, Replace(args=[5]), None, Replace(args=[6]))
        turn = Turn(name, [1])
        for _ in range(3):
            await agent.put(turn)
        await run(agent)
        assert [args for args, _ in ran] == [(5,), (1,), (6,)]

    async def test_that_returns_something_else_raises_out_of_put_and_nothing_is_enqueued(self, agent, decide, name):
        decide(PUT, False)
        with pytest.raises(TypeError, match="returned False for before_put: return a Deny, Skip or Replace, or None"):
            await agent.put(Turn(name))
        assert agent.to_dict()["queue"] == []

    async def test_that_denies_a_returned_turn_denies_the_turn_that_returned_it(self, agent, decide):
        @tool()
        async def chain():
            return Turn("value")

        agent.tools = [*agent.tools, chain]
        turn = Turn("chain")
        agent.ref.tell(turn)
        decide(PUT, Deny("no more"))
        with pytest.raises(TurnDeniedError, match="no more"):
            await run(agent)
        assert (turn.stop_reason, await run(agent)) == (StopReason.ERROR, [])

    async def test_that_replaces_arguments_of_a_returned_turn_travels_too(self, agent, decide, ran):
        @tool()
        async def chain():
            return Turn("value", [1])

        agent.tools = [*agent.tools, chain]
        agent.ref.tell(Turn("chain"))
        decide(PUT, Replace(args=[5]))
        await run(agent)
        assert ran == [((5,), {})]


class TestBeforeTurn:
    async def test_decides_of_the_turn_that_is_taken_next_and_of_no_other(self, agent, decide, name, ran):
        decide(TURN, Replace(args=[5]), Skip("instead"), Deny("no"))
        turns = [Turn(name, [number]) for number in range(4)]
        for turn in turns:
            agent.ref.tell(turn)
        results = agent.run()
        assert [await anext(results), await anext(results)] == [(turns[0], "value"), (turns[1], "instead")]
        with pytest.raises(TurnDeniedError, match="no"):
            await anext(results)
        assert await run(agent) == ["value"]
        assert [args for args, _ in ran] == [(5,), (3,)]
        completed = StopReason.COMPLETED
        assert [turn.stop_reason for turn in turns] == [completed, completed, StopReason.ERROR, completed]

    async def test_that_returns_something_else_raises_out_of_run_and_leaves_the_turn_queued(self, agent, decide, name):
        decide(TURN, "no")
        agent.ref.tell(Turn(name))
        with pytest.raises(TypeError, match="returned 'no' for before_turn: return a Deny, Skip or Replace, or None"):
            await run(agent)
        assert await run(agent) == ["value"]

    async def test_that_denies_ends_what_was_to_be_skipped(self, agent, decide, name, ran):
        decide(PUT, Skip("instead"))
        decide(TURN, Deny("no"))
        await agent.put(Turn(name))
        with pytest.raises(TurnDeniedError):
            await run(agent)
        assert ran == []

    async def test_is_asked_again_for_a_turn_that_its_consumers_cancellation_cut(self, agent, decide, name, ran):
        decide(TURN, Replace(args=[5]))
        agent.ref.tell(Turn(name, [1]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run(agent), 5)
        assert await run(agent) == ["value"]
        assert [args for args, _ in ran] == [(5,), (1,)]


def unset_tool(agent, turn):
    turn.tool = None


def take_tool(agent, turn):
    agent.tools.remove(turn.tool)


@pytest.mark.parametrize("spoil", [unset_tool, take_tool])
class TestATurnThatCannotBeRunAnyMore:
    """Whatever was decided of it."""

    @pytest.mark.parametrize("decision", [Skip("instead"), Replace(args=[5])], ids=repr)
    async def test_is_refused_if_a_put_hook_made_it_so(self, spoil, decision, agent, decide, name):
        @hook(PUT)
        async def meddle(agent, turn):
            spoil(agent, turn)

        agent.hooks.append(meddle)
        decide(PUT, decision)
        with pytest.raises(ValueError, match=r"has no tool|does not accept"):
            await agent.put(Turn(name))
        assert agent.to_dict()["queue"] == []

    @pytest.mark.parametrize("decision", [Skip("instead"), Replace(args=[5])], ids=repr)
    async def test_fails_when_the_agent_comes_to_it(self, spoil, decision, agent, decide, name):
        decide(PUT, decision)
        turn = Turn(name)
        await agent.put(turn)
        spoil(agent, turn)
        with pytest.raises(ValueError, match=r"has no tool|does not accept"):
            await run(agent)
        assert (turn.stop_reason, turn.start_time) == (StopReason.ERROR, None)

    @pytest.mark.parametrize("decision", [Deny("no"), Skip("instead"), Replace(args=[5])], ids=repr)
    async def test_takes_with_it_what_was_decided_by_the_hooks_that_made_it_so(
        self, spoil, decision, agent, decide, name, ran
    ):
        @tool()
        async def spare(*args):
            ran.append(args)
            return "spare"

        turns = [Turn(name), Turn("spare", [1])]

        @hook(TURN)
        async def meddle(agent):
            agent.hooks.remove(meddle)
            spoil(agent, turns[0])

        agent.tools = [*agent.tools, spare]
        for turn in turns:
            await agent.put(turn)
        agent.hooks.append(meddle)
        decide(TURN, decision)
        with pytest.raises(ValueError, match=r"has no tool|does not accept"):
            await run(agent)
        assert (await run(agent), ran) == (["spare"], [(1,)])


DENYING = {
    "the agent": (TURN, lambda agent, turn: agent.hooks),
    "the turn": (RUN, lambda agent, turn: turn.hooks),
    "the tool": (INVOKE, lambda agent, turn: turn.tool.hooks),
}


@pytest.mark.parametrize(("event", "hooks"), DENYING.values(), ids=DENYING)
class TestADeniedTurn:
    async def test_is_spent_and_the_rest_stays(self, event, hooks, agent, name, log):
        turn = Turn(name)
        hooks(agent, turn).append(deciding(event, log, Deny("no")))
        agent.ref.tell(turn)
        agent.ref.tell(Turn(name))
        with pytest.raises(TurnDeniedError, match="no"):
            await run(agent)
        data = agent.to_dict()
        assert (turn.stop_reason, data["current_turn"], len(data["queue"])) == (StopReason.ERROR, None, 1)
        assert await run(agent) == ["value"]

    async def test_is_no_failure_and_no_success(self, event, hooks, agent, name, log):
        turn = Turn(name, hooks=[deciding(one, log) for one in TurnHook if one is not RUN])
        agent.hooks += [deciding(one, log) for one in AgentHook if one not in {PUT, TURN, AgentHook.AFTER_PUT}]
        hooks(agent, turn).append(deciding(event, log, Deny("no")))
        agent.ref.tell(turn)
        with pytest.raises(TurnDeniedError):
            await run(agent)
        assert events(log) == [event]

    async def test_is_told_to_whoever_asked_for_it(self, event, hooks, agent, name, log):
        turn = Turn(name)
        hooks(agent, turn).append(deciding(event, log, Deny("no")))
        answer = agent.ref.ask(turn, block=False)
        with pytest.raises(TurnDeniedError):
            await run(agent)
        with pytest.raises(TurnDeniedError, match="no"):
            await answer


class TestASkippedTurn:
    @pytest.mark.parametrize("event", [TurnHook.AFTER_RUN, AgentHook.ON_TURN_VALUE])
    async def test_is_stored_with_its_value_if_the_consumer_has_not_got_it(self, event, agent, ran, decide):
        stored = []

        @hook(event)
        async def store(*args):
            stored.append(json.loads(json.dumps(agent.to_dict())))

        decide(PUT, Skip("instead"))
        turn = Turn("value", [1])
        (turn if event is TurnHook.AFTER_RUN else agent).hooks.append(store)
        await agent.put(turn)
        await run(agent)
        assert [data["current_turn_due"] for data in stored] == ["value"]
        AgentRegistry.clear()
        twin = Agent.from_dict(stored[0] | {"hooks": {}})
        assert twin.to_dict() == stored[0] | {"hooks": {}}
        assert (await run(twin), ran) == (["instead"], [])

    async def test_ends_as_any_that_is_completed(self, agent, name, log, decide):
        decide(TURN, Skip("instead"))
        decide(AgentHook.ON_TURN_VALUE)
        decide(AgentHook.AFTER_TURN)
        turn = Turn(name)
        answer = agent.ref.ask(turn, block=False)
        assert await run(agent) == ["instead"]
        assert await answer == turn.output == (["instead"] if name == "values" else "instead")
        assert log[1:3] == [(AgentHook.ON_TURN_VALUE, agent, turn, "instead"), (AgentHook.AFTER_TURN, agent, turn)]

    async def test_may_return_a_turn_which_is_run(self, agent, decide):
        decide(TURN, Skip(Turn("values")))
        agent.ref.tell(Turn("value"))
        first, second = await run(agent)
        assert (first.tool.__name__, second) == ("values", "value")


replaces = st.tuples(
    st.none() | st.lists(st.integers(), max_size=2),
    st.none() | st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2),
).filter(lambda given: given != (None, None))
decisions = (
    st.none()
    | st.sampled_from([Deny("no"), Deny("never")])
    | st.integers().map(Skip)
    | replaces.map(lambda given: Replace(args=given[0], kwargs=given[1]))
)
plans = st.fixed_dictionaries({event: st.lists(decisions, max_size=2) for event in (PUT, TURN, RUN, INVOKE)})


def foretell(plan):
    """Return what becomes of a turn, what its tool gets, and which hooks are asked."""
    args, kwargs, fate, asked = (1,), {"a": 2}, None, []
    for event in (PUT, TURN, RUN, INVOKE):
        if fate is not None and event is not TURN:  # whose hooks are about the agent as well
            continue
        for decision in plan[event]:
            asked.append(event)
            if isinstance(decision, Replace):
                args = args if decision.args is None else decision.args
                kwargs = kwargs if decision.kwargs is None else decision.kwargs
            elif decision is not None:
                fate = decision
                break
        if event is PUT and isinstance(fate, Deny):
            return "not put", [], asked
    outcome = {Deny: lambda: fate.reason, Skip: lambda: [fate.value]}.get(type(fate), lambda: ["value"])()
    return outcome, [(args, kwargs)] if fate is None else [], asked


@given(plans, st.sampled_from(["value", "values"]), st.booleans())
def test_what_is_decided_anywhere_becomes_of_the_turn(plan, name, store):
    for registry in (AgentRegistry, HookRegistry):
        registry.clear()
    ToolRegistry._table.clear()
    log, ran = [], []

    async def main():
        agent = Agent("a", "d", make_tools(ran))
        hooks = {event: [deciding(event, log, one) for one in decided] for event, decided in plan.items()}
        agent.hooks += hooks[PUT] + hooks[TURN]
        for one in agent.tools:
            one.hooks += hooks[INVOKE]
        try:
            await agent.put(Turn(name, [1], {"a": 2}, hooks=hooks[RUN]))
        except TurnDeniedError:
            assert agent.to_dict()["queue"] == []
            return "not put"
        if store:
            AgentRegistry.clear()
            agent = Agent.from_dict(json.loads(json.dumps(agent.to_dict())))
        try:
            return await run(agent)
        except TurnDeniedError as denied:
            return denied.reason

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        outcome = runner.run(main())
    assert (outcome, ran, events(log)) == foretell(plan)
