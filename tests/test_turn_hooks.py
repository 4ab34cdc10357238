"""What hooks for BEFORE_RUN and BEFORE_INVOKE decide, in a turn by itself and where a tool is called directly."""

import asyncio
from itertools import count

import pytest

from pygents import Deny, Replace, Skip, StopReason, ToolHook, Turn, TurnDeniedError, TurnHook, hook, tool

RUN, INVOKE = TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE
numbers = count()


@pytest.fixture
def log():
    return []


@pytest.fixture
def ran():
    """Return what the tools were called with."""
    return []


@pytest.fixture(params=["coroutine", "generator"])
def made(request, ran):
    """Return a tool of either kind."""

    async def value(*args, **kwargs):
        ran.append((args, kwargs))
        return "value"

    async def values(*args, **kwargs):
        ran.append((args, kwargs))
        yield "value"

    return tool(lock=True)(value if request.param == "coroutine" else values)


@pytest.fixture
def deciding(log):
    """Make a hook that notes its event and its arguments, and decides."""

    def make(event, decision=None):
        async def decide(*args, **kwargs):
            log.append((event, args, kwargs))
            return decision(*args, **kwargs) if callable(decision) else decision

        decide.__name__ = f"decide_{next(numbers)}"
        return hook(event)(decide)

    return make


def place(turn, hooks):
    """Put hooks where their events are."""
    turn.hooks += [one for one in hooks if isinstance(one.type, TurnHook)]
    turn.tool.hooks += [one for one in hooks if isinstance(one.type, ToolHook)]


def events(log):
    return [entry[0] for entry in log]


async def consume(turn):
    if turn.tool.__name__ == "values":
        return [value async for value in turn.yielding()]
    return [await turn.returning()]


async def call(made, *args, **kwargs):
    if made.__name__ == "values":
        return [value async for value in made(*args, **kwargs)]
    return [await made(*args, **kwargs)]


OTHERS = [one for kind in (TurnHook, ToolHook) for one in kind if one not in {RUN, INVOKE}]


class TestDeny:
    @pytest.mark.parametrize("event", [RUN, INVOKE])
    async def test_ends_the_turn_as_an_error_with_its_reason_and_the_tool_does_not_run(
        self, event, made, ran, deciding
    ):
        turn = Turn(made, [1])
        place(turn, [deciding(event, Deny("not you"))])
        with pytest.raises(TurnDeniedError, match="Turn denied: not you") as caught:
            await consume(turn)
        assert caught.value.reason == "not you"
        assert (turn.stop_reason, turn.running, ran) == (StopReason.ERROR, False, [])
        assert turn.end_time >= turn.start_time

    @pytest.mark.parametrize("event", [RUN, INVOKE])
    async def test_is_no_failure_no_success_and_the_last_hook(self, event, made, log, deciding):
        turn = Turn(made)
        place(turn, [deciding(event, Deny("no")), deciding(event), *map(deciding, OTHERS)])
        with pytest.raises(TurnDeniedError):
            await consume(turn)
        assert events(log) == [event]

    async def test_by_an_exception_of_its_own_is_the_same(self, made, log, deciding):
        def deny(turn):
            raise TurnDeniedError("no")

        turn = Turn(made)
        place(turn, [deciding(RUN, deny), *map(deciding, OTHERS)])
        with pytest.raises(TurnDeniedError):
            await consume(turn)
        assert (turn.stop_reason, events(log)) == (StopReason.ERROR, [RUN])

    async def test_holds_for_one_run(self, made, deciding):
        turn = Turn(made, hooks=[deciding(RUN, Deny("no"))])
        with pytest.raises(TurnDeniedError):
            await consume(turn)
        turn.hooks = []
        assert await consume(turn) == ["value"]

    async def test_of_a_direct_call_is_raised_and_the_lock_given_back(self, made, ran, deciding):
        made.hooks.append(deciding(INVOKE, Deny("no")))
        with pytest.raises(TurnDeniedError, match="no"):
            await call(made)
        assert (ran, made.lock.locked()) == ([], False)


class TestSkip:
    @pytest.mark.parametrize("value", ["instead", None], ids=repr)
    @pytest.mark.parametrize("event", [RUN, INVOKE])
    async def test_completes_the_turn_with_its_value_and_the_tool_does_not_run(self, event, value, made, ran, deciding):
        turn = Turn(made, [1])
        place(turn, [deciding(event, Skip(value))])
        assert await consume(turn) == [value]
        assert turn.output == ([value] if made.__name__ == "values" else value)
        assert (turn.stop_reason, turn.running, ran) == (StopReason.COMPLETED, False, [])

    @pytest.mark.parametrize("event", [RUN, INVOKE])
    async def test_is_the_last_hook_before_and_those_of_the_turn_see_its_value(self, event, made, log, deciding):
        turn = Turn(made)
        place(turn, [deciding(event, Skip("instead")), deciding(event), *map(deciding, OTHERS)])
        await consume(turn)
        value = [(TurnHook.ON_VALUE, (turn, "instead"), {})] if made.__name__ == "values" else []
        assert log[1:] == [*value, (TurnHook.AFTER_RUN, (turn,), {})]
        assert log[0][0] is event

    async def test_of_the_whole_tool_leaves_it_uncalled(self, made, deciding):
        turn = Turn(made, [1], hooks=[deciding(RUN, Skip("instead"))])
        await consume(turn)
        assert (turn.called_with, turn.to_dict()["args"]) == (None, [1])

    async def test_of_a_direct_call_gives_the_value_and_the_lock_back(self, made, ran, deciding):
        made.hooks.append(deciding(INVOKE, Skip("instead")))
        assert await call(made) == ["instead"]
        assert (ran, made.lock.locked()) == ([], False)


class TestReplace:
    @pytest.mark.parametrize("event", [RUN, INVOKE])
    @pytest.mark.parametrize(
        ("decision", "given"),
        [
            (Replace(args=[5]), ((5,), {"a": 2})),
            (Replace(kwargs={"b": 6}), ((1,), {"b": 6})),
            (Replace(args=(), kwargs={}), ((), {})),
        ],
        ids=repr,
    )
    async def test_gives_the_tool_other_arguments_and_leaves_those_of_the_turn(
        self, event, decision, given, made, ran, deciding
    ):
        turn = Turn(made, [1], {"a": 2})
        place(turn, [deciding(event, decision)])
        assert await consume(turn) == ["value"]
        assert ran == [given]
        assert (turn.args, turn.kwargs, turn.stop_reason) == ([1], {"a": 2}, StopReason.COMPLETED)

    async def test_is_seen_by_later_hooks_for_the_run_on_the_turn(self, made, deciding):
        seen = []

        def look(turn):
            seen.append(turn.replaced)
            assert turn.called_with is None

        hooks = [look, Replace(args=[1]), look, Replace(kwargs={"a": 2}), look]
        turn = Turn(made, [0], hooks=[deciding(RUN, one) for one in hooks])
        await consume(turn)
        assert seen == [None, Replace(args=[1]), Replace(args=[1], kwargs={"a": 2})]
        assert turn.replaced == seen[-1]
        assert turn.called_with == ([1], {"a": 2})

    @pytest.mark.parametrize("replaced", [Replace(args=[5]), Replace(kwargs={"b": 6})], ids=repr)
    async def test_of_a_turn_whose_own_arguments_are_changed_since_is_not_taken_for_its_next_run(
        self, replaced, made, deciding
    ):
        turn = Turn(made, [lambda: 1], {"a": lambda: 2}, hooks=[deciding(RUN, replaced)])
        await consume(turn)
        given = ([5], {"a": 2}) if replaced.kwargs is None else ([1], {"b": 6})
        assert turn.called_with == given
        assert (turn.to_dict()["args"], turn.to_dict()["kwargs"]) == ([1], {"a": 2})
        turn.args[0] = 3
        turn.kwargs["a"] = 4
        assert turn.called_with is None
        assert (turn.to_dict()["args"], turn.to_dict()["kwargs"]) == ([3], {"a": 4})

    async def test_leaves_the_values_of_the_dynamic_arguments_that_stay(self, made, deciding):
        numbers = count()
        turn = Turn(made, [0], {"a": lambda: next(numbers)}, hooks=[deciding(RUN, Replace(args=[5]))])
        await consume(turn)
        assert (turn.called_with, turn.to_dict()["args"], turn.to_dict()["kwargs"]) == (([5], {"a": 0}), [0], {"a": 0})

    async def test_is_seen_by_later_hooks_of_the_tool_in_their_arguments(self, made, log, ran, deciding):
        made.hooks += [deciding(INVOKE, one) for one in (Replace(args=[1]), Replace(kwargs={"a": 2}), None)]
        await call(made, 0, b=3)
        assert log == [(INVOKE, (0,), {"b": 3}), (INVOKE, (1,), {"b": 3}), (INVOKE, (1,), {"a": 2})]
        assert ran == [((1,), {"a": 2})]

    async def test_at_the_invocation_replaces_fixed_arguments_too_and_before_the_run_does_not(self, ran, deciding):
        @tool(fixed=1)
        async def fix(**kwargs):
            ran.append(kwargs)

        turn = Turn(fix, hooks=[deciding(RUN, Replace(kwargs={"a": 2}))])
        await turn.returning()
        fix.hooks.append(deciding(INVOKE, Replace(kwargs={"b": 3})))
        await turn.returning()
        assert ran == [{"fixed": 1, "a": 2}, {"b": 3}]

    async def test_may_have_dynamic_arguments_which_are_called_when_the_turn_runs(self, made, ran, deciding):
        turn = Turn(made, [lambda: 1], {"a": lambda: 2}, hooks=[deciding(RUN, Replace(args=[lambda: 3]))])
        await consume(turn)
        assert ran == [((3,), {"a": 2})]
        assert turn.called_with == ([3], {"a": 2})

    async def test_holds_for_one_run(self, made, ran, deciding):
        turn = Turn(made, [0], hooks=[deciding(RUN, Replace(args=[1]))])
        await consume(turn)
        turn.hooks = []
        await consume(turn)
        assert ran == [((1,), {}), ((0,), {})]
        assert turn.replaced is None

    async def test_is_not_part_of_a_copy(self, made, deciding):
        turn = Turn(made, [0], hooks=[deciding(RUN, Replace(args=[1]))])
        await consume(turn)
        assert (turn.copy().args, turn.copy().replaced) == ([0], None)

    @pytest.mark.parametrize(
        ("decision", "given"),
        [
            (Replace(args=[lambda: 5]), ((5,), {"a": 2})),
            (Replace(kwargs={"b": lambda: 6}), ((1,), {"b": 6})),
            (Replace(args=(), kwargs={}), ((), {})),
        ],
    )
    async def test_leaves_a_stored_turn_as_it_was_asked_for(self, decision, given, made, ran, deciding):
        turn = Turn(made, [lambda: 1], {"a": lambda: 2}, hooks=[deciding(RUN, decision)])
        await consume(turn)
        stored = turn.to_dict()
        assert (stored["args"], stored["kwargs"]) == ([1], {"a": 2})
        await consume(Turn.from_dict(stored))
        assert ran == [given] * 2


@pytest.mark.parametrize("event", [RUN, INVOKE])
async def test_a_hook_that_returns_something_else_fails_the_turn(event, made, ran, log, deciding):
    turn = Turn(made)
    place(turn, [deciding(event, False), deciding(TurnHook.ON_ERROR)])
    with pytest.raises(TypeError, match=f"returned False for {event}: return a Deny, Skip or Replace, or None to go"):
        await consume(turn)
    assert (turn.stop_reason, ran, events(log)) == (StopReason.ERROR, [], [event, TurnHook.ON_ERROR])


async def test_what_hooks_for_other_events_return_is_ignored(made, log, deciding):
    turn = Turn(made)
    place(turn, [deciding(event, Deny("too late")) for event in OTHERS])
    assert await consume(turn) == ["value"]
    assert TurnHook.AFTER_RUN in events(log)


async def test_one_hook_for_several_events_decides_only_before(made, log):
    @hook([RUN, TurnHook.AFTER_RUN])
    async def both(turn):
        log.append(turn.stop_reason)
        return Skip("instead")

    assert await consume(Turn(made, hooks=[both])) == ["instead"]
    assert log == [None, StopReason.COMPLETED]


async def test_deciding_takes_none_of_the_turns_time(made):
    @hook(RUN)
    async def think(turn):
        await asyncio.sleep(100)
        return Skip("instead")

    assert await consume(Turn(made, timeout=1, hooks=[think])) == ["instead"]
