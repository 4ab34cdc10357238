"""Turns as plain data and back: what is stored, what comes back, and what is refused."""

import asyncio
import copy
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.errors import UnregisteredHookError, UnregisteredToolError
from pygents.hooks import TurnHook, hook
from pygents.tool import tool
from pygents.turn import StopReason, Turn


@pytest.fixture(autouse=True)
def registered():
    """Register what the turns of this module name."""

    @tool()
    async def work(*args, **kwargs):
        await asyncio.sleep(1)
        return args, kwargs

    @tool()
    async def count(end):
        for number in range(end):
            await asyncio.sleep(1)
            yield number

    @hook(TurnHook.BEFORE_RUN)
    async def first(turn): ...

    @hook([TurnHook.AFTER_RUN, TurnHook.BEFORE_RUN])
    async def second(turn): ...


def hooks(*names):
    from pygents.registry import HookRegistry  # noqa: PLC0415

    return [HookRegistry.get(name) for name in names]


NEW = {
    "tool_name": "work",
    "args": [],
    "kwargs": {},
    "metadata": {},
    "timeout": 60,
    "start_time": None,
    "end_time": None,
    "stop_reason": None,
    "output": None,
    "hooks": {},
}


class TestToDict:
    def test_of_a_new_turn_has_every_field(self):
        assert Turn("work").to_dict() == NEW
        turn = Turn("work", [1], {"a": 2}, 0.5, {"id": 3}, hooks("second", "first"))
        assert turn.to_dict() == NEW | {
            "args": [1],
            "kwargs": {"a": 2},
            "metadata": {"id": 3},
            "timeout": 0.5,
            "hooks": {"after_run": ["second"], "before_run": ["second", "first"]},
        }

    async def test_of_a_turn_that_has_run_has_its_outcome_as_plain_values(self):
        turn = Turn("work", ["a"])
        await turn.returning()
        stored = turn.to_dict()
        assert stored == NEW | {
            "args": ["a"],
            "start_time": turn.start_time.isoformat(),
            "end_time": turn.end_time.isoformat(),
            "stop_reason": "completed",
            "output": (("a",), {}),
        }
        assert type(stored["stop_reason"]) is str

    async def test_between_two_values_has_those_so_far(self):
        turn = Turn("count", [3])
        async for number in turn.yielding():
            stored = turn.to_dict()
            assert stored["output"] == list(range(number + 1))
            assert (stored["stop_reason"], stored["end_time"]) == (None, None)
        assert stored["output"] == [0, 1, 2], "it is a copy"

    def test_is_the_callers_own(self):
        turn = Turn("work", [[1]], {"a": {"b": 1}}, metadata={"ids": [1]})
        stored = turn.to_dict()
        stored["args"][0].append(2)
        stored["kwargs"]["a"]["b"] = 2
        stored["metadata"]["ids"].append(2)
        assert (turn.args, turn.kwargs, turn.metadata) == ([[1]], {"a": {"b": 1}}, {"ids": [1]})

    def test_evaluates_dynamic_arguments(self):
        turn = Turn("work", [lambda: 1, 2], {"a": lambda: 3})
        assert (turn.to_dict()["args"], turn.to_dict()["kwargs"]) == ([1, 2], {"a": 3})
        assert callable(turn.args[0])

    async def test_has_the_values_that_a_run_was_called_with(self):
        numbers = iter(range(10))
        turn = Turn("work", [lambda: next(numbers)], {"a": lambda: next(numbers)})
        task = asyncio.create_task(turn.returning())
        await asyncio.sleep(0.5)
        during = turn.to_dict()
        await task
        for stored in (during, turn.to_dict()):
            assert (stored["args"], stored["kwargs"]) == ([0], {"a": 1})
        assert next(numbers) == 2

    async def test_has_the_values_that_a_run_was_called_with_though_the_lists_are_changed_meanwhile(self):
        turn = Turn("work", [1], {"a": 2})
        task = asyncio.create_task(turn.returning())
        await asyncio.sleep(0.5)
        turn.args.append(3)
        turn.kwargs["b"] = 4
        assert (turn.to_dict()["args"], turn.to_dict()["kwargs"]) == ([1], {"a": 2})
        await task

    @pytest.mark.parametrize("given", [1, lambda: 1], ids=["plain", "dynamic"])
    async def test_has_what_the_next_run_will_be_called_with_if_the_lists_were_changed_since(self, given):
        for change in (
            lambda turn: turn.args.append(3),
            lambda turn: turn.args.__setitem__(0, 3),
            lambda turn: turn.args.__setitem__(0, lambda: 3),
            lambda turn: turn.kwargs.update(b=3),
            lambda turn: turn.kwargs.update(a=3),
            lambda turn: turn.kwargs.clear(),
        ):
            turn = Turn("work", [given], {"a": given})
            await turn.returning()
            change(turn)
            stored = turn.to_dict()
            await turn.returning()
            assert (stored["args"], stored["kwargs"]) == turn.called_with
            assert turn.called_with != ([1], {"a": 1})

    async def test_has_arguments_that_were_set_after_a_run(self):
        turn = Turn("work", [1], {"a": 2})
        await turn.returning()
        turn.args = [lambda: 3]
        assert turn.to_dict()["args"] == [3]

    @pytest.mark.parametrize(
        ("given", "place"),
        [({"args": [0, "f"]}, r"args\[1\]"), ({"kwargs": {"a": 0, "b": "f"}}, r"kwargs\['b'\]")],
    )
    @pytest.mark.parametrize("awaitable", ["coroutine function", "function of a coroutine", "function of a future"])
    async def test_refuses_an_async_dynamic_argument_by_its_place(self, given, place, awaitable):
        async def fetch(): ...

        future = asyncio.get_running_loop().create_future()
        dynamic = {"coroutine function": fetch, "function of a coroutine": lambda: fetch()}.get(  # noqa: PLW0108
            awaitable, lambda: future
        )
        given = copy.deepcopy(given)
        for container in given.values():
            container[1 if isinstance(container, list) else "b"] = dynamic
        turn = Turn("work", **given)
        with pytest.raises(TypeError, match=f"^{place} of Turn.* is an async dynamic argument"):
            turn.to_dict()
        if awaitable != "function of a future":
            await turn.returning()
            assert turn.to_dict()["stop_reason"] == "completed"

    def test_refuses_a_turn_without_a_tool(self):
        turn = Turn("work")
        turn.tool = None
        with pytest.raises(TypeError, match=r"^Turn has no tool"):
            turn.to_dict()


class TestFromDict:
    def test_needs_only_the_name_of_the_tool(self):
        turn = Turn.from_dict({"tool_name": "work"})
        assert vars(turn) == vars(Turn("work"))

    def test_restores_all_of_it(self):
        stored = NEW | {
            "args": [1],
            "kwargs": {"a": 2},
            "metadata": {"id": 3},
            "timeout": None,
            "start_time": "2024-05-17T10:30:00",
            "end_time": "2024-05-17T10:31:00+00:00",
            "stop_reason": "timeout",
            "output": [4],
            "hooks": {"after_run": ["second"], "before_run": ["first", "second"]},
        }
        before = copy.deepcopy(stored)
        turn = Turn.from_dict(stored)
        assert (turn.args, turn.kwargs, turn.metadata, turn.timeout, turn.output) == (
            [1],
            {"a": 2},
            {"id": 3},
            None,
            [4],
        )
        assert turn.start_time == datetime(2024, 5, 17, 10, 30)  # noqa: DTZ001
        assert turn.end_time == datetime(2024, 5, 17, 10, 31, tzinfo=UTC)
        assert turn.stop_reason is StopReason.TIMEOUT
        assert turn.hooks == hooks("first", "second")
        assert turn.to_dict() == before
        turn.args.append(2)
        turn.metadata["more"] = 1
        assert stored == before

    async def test_gives_a_turn_that_can_run(self):
        assert await Turn.from_dict(NEW | {"args": [1], "stop_reason": "error"}).returning() == ((1,), {})

    def test_takes_what_the_published_package_stored(self):
        stored = NEW | {"output": [1], "metadata": {"__class__": "x"}, "hooks": {"before_run": ["first"]}}
        assert Turn.from_dict(stored).to_dict() == stored

    def test_ignores_fields_that_it_does_not_know(self):
        assert Turn.from_dict(NEW | {"colour": "red"}).to_dict() == NEW

    @pytest.mark.parametrize("wrong", [None, 5, "work", [("tool_name", "work")]], ids=repr)
    def test_refuses_what_is_no_dict(self, wrong):
        with pytest.raises(TypeError, match=r"^Turn.from_dict needs a dict") as caught:
            Turn.from_dict(wrong)
        assert repr(wrong) in str(caught.value)

    def test_names_the_field_that_is_missing(self):
        with pytest.raises(ValueError, match=r"^Turn.from_dict: field 'tool_name' is missing"):
            Turn.from_dict({})

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            ("tool_name", None),
            ("tool_name", 5),
            ("args", None),
            ("args", "ab"),
            ("args", {"a": 1}),
            ("kwargs", None),
            ("kwargs", [1]),
            ("kwargs", {5: 1}),
            ("metadata", None),
            ("metadata", "id"),
            ("timeout", "60"),
            ("timeout", True),
            ("timeout", [60]),
            ("start_time", 5),
            ("start_time", True),
            ("end_time", []),
            ("stop_reason", 5),
            ("hooks", []),
            ("hooks", {"before_run": "first"}),
            ("hooks", {"before_run": [5]}),
            ("hooks", {"before_run": None}),
        ],
    )
    def test_names_the_field_that_is_of_the_wrong_type(self, name, wrong):
        with pytest.raises(TypeError, match=name) as caught:
            Turn.from_dict(NEW | {name: wrong})
        assert repr(5 if wrong == {5: 1} else wrong["before_run"] if name == "hooks" and wrong else wrong) in str(
            caught.value
        )

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            ("timeout", 0),
            ("timeout", -1.5),
            ("timeout", float("nan")),
            ("start_time", "yesterday"),
            ("end_time", ""),
            ("stop_reason", "bored"),
            ("stop_reason", "COMPLETED"),
        ],
    )
    def test_names_the_field_that_has_an_impossible_value(self, name, wrong):
        with pytest.raises(ValueError, match=f"^Turn.from_dict: field '{name}' ") as caught:
            Turn.from_dict(NEW | {name: wrong})
        assert repr(wrong) in str(caught.value)

    @pytest.mark.parametrize(
        "broken",
        [
            {"__turn__": "work"},
            {"__turn__": 2},
            {"__turn__": 0},
            {"__turn__": True},
            {"__dict__": 5},
            {"__dict__": [5]},
            {"__dict__": [["a", 1, 2]]},
            {"__dict__": [[[], 1]]},
        ],
        ids=repr,
    )
    def test_names_the_field_that_holds_a_broken_marker(self, broken):
        for name, value in [("output", broken), ("args", [broken]), ("kwargs", {"x": broken}), ("metadata", broken)]:
            if name != "metadata" or "__dict__" in broken:
                with pytest.raises((TypeError, ValueError), match=f"^Turn.from_dict: field '{name}'"):
                    Turn.from_dict(NEW | {name: value})

    def test_names_the_field_of_a_nested_turn(self):
        with pytest.raises(TypeError, match=r"field 'timeout' .*'60'"):
            Turn.from_dict(NEW | {"args": [{"__turn__": NEW | {"timeout": "60"}}]})

    def test_says_which_tool_or_hook_is_not_registered(self):
        with pytest.raises(UnregisteredToolError, match="'nobody'"):
            Turn.from_dict(NEW | {"tool_name": "nobody"})
        with pytest.raises(UnregisteredHookError, match="'nobody'"):
            Turn.from_dict(NEW | {"hooks": {"before_run": ["nobody"]}})

    def test_makes_turns_of_the_class_that_it_is_called_on(self):
        class Task(Turn): ...

        turn = Task("work", [Task("count", [1])])
        back = Task.from_dict(turn.to_dict())
        assert (type(back), type(back.args[0])) == (Task, Task)


class TestNestedTurns:
    def test_come_back_as_turns(self):
        inner = Turn("count", [2], metadata={"id": 1})
        turn = Turn("work", [inner, [inner]], {"a": {"b": inner}}, metadata={"next": (inner,)})
        turn.output = inner
        back = Turn.from_dict(turn.to_dict())
        found = [
            back.args[0],
            back.args[1][0],
            back.kwargs["a"]["b"],
            back.metadata["next"][0],
            back.output,
        ]
        assert all(isinstance(one, Turn) for one in found)
        assert [one.to_dict() for one in found] == [inner.to_dict()] * 5

    async def test_may_be_the_output_of_a_run(self):
        @tool()
        async def plan():
            return Turn("work", [1])

        turn = Turn(plan)
        await turn.returning()
        back = Turn.from_dict(json.loads(json.dumps(turn.to_dict())))
        assert isinstance(back.output, Turn)
        assert back.output.args == [1]

    def test_may_be_the_turn_itself(self):
        turn = Turn("work")
        turn.output, turn.metadata["me"] = turn, [turn]
        back = Turn.from_dict(json.loads(json.dumps(turn.to_dict())))
        assert back.output is back
        assert back.metadata["me"][0] is back

    def test_may_go_round_in_a_circle(self):
        outer, inner = Turn("work"), Turn("count", [1])
        outer.output, inner.metadata["parent"] = inner, outer
        back = Turn.from_dict(outer.to_dict())
        assert back.output.metadata["parent"] is back
        assert back.output.tool.metadata.name == "count"

    def test_are_refused_as_a_whole_if_one_has_an_async_argument(self):
        async def fetch(): ...

        with pytest.raises(TypeError, match=r"args\[0\] of Turn\(tool='count'"):
            Turn("work", [Turn("count", [fetch])]).to_dict()

    def test_are_refused_with_advice_if_they_stand_too_deep_within_one_another(self):
        turn, stored = Turn("work"), {"tool_name": "work"}
        for _ in range(1_000):
            turn, stored = Turn("work", [turn]), {"tool_name": "work", "args": [{"__turn__": stored}]}
        for verb, act in [("stored", turn.to_dict), ("restored", lambda: Turn.from_dict(stored))]:
            with pytest.raises(RecursionError, match=rf"too deep to be {verb} .*: leave earlier turns out of"):
                act()


class Up:
    """Stands for the turn that many levels above."""

    def __init__(self, levels):
        self.levels = levels

    def __repr__(self):
        return f"Up({self.levels})"


@dataclass
class Plan:
    """What to make a turn of."""

    args: list[Any]
    kwargs: dict[str, Any]
    metadata: dict[str, Any]
    output: Any
    timeout: float | None = 60
    start_time: datetime | None = None
    stop_reason: StopReason | None = None
    hooks: list[str] = field(default_factory=list)


def make(value, outer=()):
    """Turn a plan into a turn, wherever one stands in a value."""
    if isinstance(value, Up):
        return outer[-value.levels] if value.levels <= len(outer) else None
    if isinstance(value, list | tuple):
        return type(value)(make(item, outer) for item in value)
    if isinstance(value, dict):
        return {key: make(item, outer) for key, item in value.items()}
    if not isinstance(value, Plan):
        return value
    turn = Turn("work", timeout=value.timeout, hooks=hooks(*value.hooks))
    around = (*outer, turn)
    turn.args, turn.kwargs = make(value.args, around), make(value.kwargs, around)
    turn.metadata, turn.output = make(value.metadata, around), make(value.output, around)
    turn.start_time, turn.stop_reason = value.start_time, value.stop_reason
    return turn


def shape(value, outer=()):
    """Describe a value so that equal descriptions mean equal values, of equal types, with turns in the same places."""
    if isinstance(value, Turn):
        if any(value is ancestor for ancestor in outer):
            return "up", next(n for n, ancestor in enumerate(reversed(outer), 1) if ancestor is value)
        around = (*outer, value)
        names = ("args", "kwargs", "metadata", "output", "timeout", "start_time", "end_time", "stop_reason")
        return "turn", value.tool, [shape(getattr(value, name), around) for name in names], value.hooks
    if isinstance(value, list | tuple):
        return type(value), [shape(item, outer) for item in value]
    if isinstance(value, dict):
        return dict, {key: shape(item, outer) for key, item in value.items()}
    return type(value), value


KEYS = st.sampled_from(["__turn__", "__dict__", "a", "tool_name", ""]) | st.text(max_size=3)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.builds(Up, st.integers(1, 3))
)


def plans(inner, *, tuples):
    sequences = st.lists(inner, max_size=3)
    return st.builds(
        Plan,
        args=sequences,
        kwargs=st.dictionaries(KEYS, inner, max_size=3),
        metadata=st.dictionaries(KEYS, inner, max_size=3),
        output=inner | sequences.map(tuple) if tuples else inner,
        timeout=st.none() | st.integers(1, 100) | st.floats(0.001, 1e9),
        start_time=st.none() | st.datetimes() | st.datetimes(timezones=st.just(UTC)),
        stop_reason=st.none() | st.sampled_from(StopReason),
        hooks=st.lists(st.sampled_from(["first", "second"]), max_size=3),
    )


def values(*, tuples):
    def extend(inner):
        sequences = st.lists(inner, max_size=3)
        extended = sequences | st.dictionaries(KEYS, inner, max_size=3) | plans(inner, tuples=tuples)
        return extended | sequences.map(tuple) if tuples else extended

    return st.recursive(LEAVES, extend, max_leaves=8)


class TestRoundTrip:
    @given(plans(values(tuples=True), tuples=True))
    def test_gives_an_equal_turn(self, plan):
        turn = make(plan)
        before = shape(turn)
        back = Turn.from_dict(turn.to_dict())
        assert shape(back) == before
        assert shape(turn) == before
        assert back.to_dict() == turn.to_dict()

    @given(plans(values(tuples=False), tuples=False))
    def test_gives_an_equal_turn_through_json(self, plan):
        turn = make(plan)
        assert shape(Turn.from_dict(json.loads(json.dumps(turn.to_dict())))) == shape(turn)

    @given(plans(values(tuples=True), tuples=True))
    def test_does_not_change_what_it_reads(self, plan):
        stored = make(plan).to_dict()
        before = copy.deepcopy(stored)
        Turn.from_dict(stored)
        assert stored == before


def test_what_grows_while_it_is_stored_does_not_get_in_the_way():
    annotations = {}
    annotations["nested"] = Turn("work", [lambda: annotations.setdefault("more", 1)])
    assert Turn("work", metadata=annotations).to_dict()["metadata"]["nested"]["__turn__"]["args"] == [1]
    annotations = {}
    annotations["nested"] = Turn("work", [lambda: annotations.setdefault("more", 1)])
    assert "nested" in Turn("work", kwargs=annotations).to_dict()["kwargs"]
