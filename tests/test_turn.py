"""Turns: what they are made of, how they run, and the ways in which they are cancelled."""

import asyncio
import copy
import inspect
import pickle
import re
import sys
import threading
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest

from pygents.errors import (
    SafeExecutionError,
    TurnCancelledError,
    TurnTimeoutError,
    UnregisteredToolError,
    WrongRunMethodError,
)
from pygents.hooks import ToolHook, TurnHook, hook
from pygents.registry import ToolRegistry
from pygents.testing import VirtualTimeLoop
from pygents.tool import tool
from pygents.turn import StopReason, Turn


@pytest.fixture
def greet():
    @tool()
    async def greet(name="World"):
        await asyncio.sleep(1)
        return f"Hello, {name}!"

    return greet


@pytest.fixture
def count():
    @tool()
    async def count(end=3):
        for number in range(end):
            await asyncio.sleep(1)
            yield number

    return count


@pytest.fixture(params=["coroutine", "generator"])
def kind(request):
    return request.param


def make(kind, body, **options):
    """Make a tool of either kind that returns, or yields, what ``body`` returns."""
    if kind == "coroutine":

        async def work(*args, **kwargs):
            return await body(*args, **kwargs)
    else:

        async def work(*args, **kwargs):
            yield await body(*args, **kwargs)

    return tool(**options)(work)


async def run(turn):
    """Run a turn of either kind; return the last value."""
    if not inspect.isasyncgenfunction(turn.tool.fn):
        return await turn.returning()
    async with aclosing(turn.yielding()) as stream:
        values = [value async for value in stream]
    return values[-1]


async def start(turn, seconds=1):
    """Run a turn in a task of its own, for a while."""
    task = asyncio.create_task(run(turn))
    await asyncio.sleep(seconds)
    return task


def state(turn):
    return turn.start_time, turn.end_time, turn.stop_reason, turn.output, turn.running


UNTOUCHED = None, None, None, None, False


class TestConstruction:
    def test_takes_a_name_a_tool_or_the_function_that_it_wraps(self, greet):
        for given in ("greet", greet, greet.fn):
            assert Turn(given).tool is greet

    def test_has_defaults_for_everything_but_the_tool(self, greet):
        turn = Turn("greet")
        assert (turn.args, turn.kwargs, turn.timeout, turn.metadata, turn.hooks) == ([], {}, 60, {}, [])
        assert state(turn) == UNTOUCHED
        assert repr(turn) == "Turn(tool='greet', timeout=60)"

    def test_shows_its_arguments_shortened(self, greet):
        turn = Turn("greet", args=["x" * 1_000, *range(9)], kwargs={"name": "Ada"}, timeout=None)
        assert len(repr(turn)) < 200
        assert re.fullmatch(
            r"Turn\(tool='greet', args=\['xx+\.\.\.x+', 0, 1, 2, \.\.\.\], kwargs={'name': 'Ada'}, timeout=None\)",
            repr(turn),
        )

    def test_takes_args_before_kwargs_then_timeout_metadata_and_hooks(self, greet):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        metadata = {"id": 1}
        turn = Turn("greet", ("a",), {"b": 2}, 0.5, metadata, (audit,))
        assert (turn.args, turn.kwargs, turn.timeout, turn.hooks) == (["a"], {"b": 2}, 0.5, [audit])
        assert turn.metadata is metadata, "it is the caller's"

    def test_has_lists_and_a_dict_of_its_own(self, greet):
        args, kwargs, hooks = [1], {"a": 1}, []
        turn = Turn("greet", args, kwargs, hooks=hooks)
        args.append(2)
        kwargs["b"] = 2
        assert (turn.args, turn.kwargs) == ([1], {"a": 1})
        assert turn.hooks is not hooks
        assert Turn("greet").metadata is not Turn("greet").metadata

    def test_is_generic(self, greet):
        assert type(Turn[str]("greet")) is Turn

    def test_has_no_parameters_for_what_the_framework_sets(self):
        assert list(inspect.signature(Turn).parameters) == ["tool", "args", "kwargs", "timeout", "metadata", "hooks"]


class TestWrongArguments:
    @pytest.mark.parametrize("name", ["", "nobody"])
    def test_an_unknown_tool(self, name):
        with pytest.raises(UnregisteredToolError, match=f"Tool '{name}' not found"):
            Turn(name)

    def test_a_function_that_no_tool_wraps(self, greet):
        async def other(): ...

        with pytest.raises(UnregisteredToolError, match="'other'"):
            Turn(other)
        other.__name__ = "greet"
        with pytest.raises(UnregisteredToolError, match="'greet'"):
            Turn(other)

    @pytest.mark.parametrize("wrong", [None, 5, [], b"greet"], ids=repr)
    def test_something_that_is_no_tool(self, wrong):
        with pytest.raises(TypeError, match=r"^tool must be a registered tool's name or a function") as caught:
            Turn(wrong)
        assert repr(wrong) in str(caught.value)

    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("args", "World"),
            ("args", b"World"),
            ("args", {"name": "World"}),
            ("args", 5),
            ("kwargs", ["name"]),
            ("kwargs", "name"),
            ("kwargs", {5: "World"}),
            ("timeout", "5"),
            ("timeout", True),
            ("timeout", False),
            ("timeout", 5j),
            ("timeout", timedelta(seconds=5)),
            ("metadata", [("id", 1)]),
            ("metadata", "id"),
            ("hooks", 5),
            ("hooks", 0),
            ("hooks", ""),
            ("hooks", "audit"),
            ("hooks", [None]),
            ("hooks", [print]),
        ],
    )
    def test_of_the_wrong_type(self, greet, field, wrong):
        with pytest.raises(TypeError, match=rf"^{field} must|is not a hook") as caught:
            Turn("greet", **{field: wrong})
        named = wrong[0] if field == "hooks" and isinstance(wrong, list) else 5 if wrong == {5: "World"} else wrong
        assert repr(named) in str(caught.value)
        turn = Turn("greet")
        before = dict(vars(turn))
        with pytest.raises(TypeError, match=rf"^{field} must|is not a hook"):
            setattr(turn, field, wrong)
        assert vars(turn) == before

    @pytest.mark.parametrize(
        "wrong",
        [0, -1, 0.0, -0.5, float("nan"), float("-inf"), *(pytest.param(n, id="huge") for n in (10**400, -(10**5000)))],
    )
    def test_a_timeout_that_is_no_time(self, greet, wrong):
        with pytest.raises(ValueError, match=r"^timeout must be .* not (an integer of \d+ bits|-|0|nan)"):
            Turn("greet", timeout=wrong)

    async def test_a_turn_without_a_tool_cannot_run(self, greet):
        turn = Turn("greet")
        turn.tool = None
        assert repr(turn) == "Turn(tool=None, timeout=60)"
        with pytest.raises(ValueError, match=r"^Turn has no tool"):
            await turn.returning()
        assert state(turn) == UNTOUCHED

    @pytest.mark.parametrize("arguments", [{"args": [1, 2]}, {"kwargs": {"nickname": "x"}}])
    async def test_of_the_tool_itself_are_its_error(self, greet, arguments):
        turn = Turn("greet", **arguments)
        with pytest.raises(TypeError, match="greet"):
            await turn.returning()
        assert (turn.stop_reason, turn.running) == (StopReason.ERROR, False)


class TestRun:
    async def test_returns_the_value_of_a_coroutine_tool(self, greet):
        turn, before = Turn("greet", ["Ada"]), datetime.now() - timedelta(seconds=1)  # noqa: DTZ005
        assert await turn.returning() == "Hello, Ada!"
        assert (turn.output, turn.stop_reason, turn.running) == ("Hello, Ada!", StopReason.COMPLETED, False)
        assert before <= turn.start_time <= turn.end_time

    async def test_streams_the_values_of_a_generator_tool(self, count):
        turn, seen = Turn("count"), []
        async for value in turn.yielding():
            seen.append(value)
            assert turn.running
            assert turn.output == seen
            assert (turn.end_time, turn.stop_reason) == (None, None)
        assert (turn.output, turn.stop_reason, turn.running) == ([0, 1, 2], StopReason.COMPLETED, False)
        assert turn.start_time <= turn.end_time

    async def test_shows_each_value_before_the_tool_is_resumed(self):
        trail = []

        @tool()
        async def count():
            for value in (1, None, 3):
                trail.append(("made", value))
                yield value

        async for value in Turn(count).yielding():
            trail.append(("got", value))  # noqa: PERF401 (the tool appends meanwhile)
        assert trail == [(verb, value) for value in (1, None, 3) for verb in ("made", "got")]

    async def test_gives_no_values_of_a_generator_without_any(self, count):
        turn = Turn("count", [0])
        assert [value async for value in turn.yielding()] == []
        assert (turn.output, turn.stop_reason) == ([], StopReason.COMPLETED)

    async def test_keeps_what_a_tool_raises_as_it_is(self, kind):
        error = LookupError("nothing there")

        async def body():
            raise error

        turn = Turn(make(kind, body))
        with pytest.raises(LookupError) as caught:
            await run(turn)
        assert caught.value is error
        assert (error.__cause__, error.__context__) == (None, None)
        assert (turn.stop_reason, turn.running) == (StopReason.ERROR, False)
        assert turn.end_time is not None

    async def test_by_the_wrong_method_leaves_the_turn_untouched(self, greet, count):
        wrong = Turn("count"), Turn("greet")
        with pytest.raises(WrongRunMethodError, match=r"yielding\(\)"):
            await wrong[0].returning()
        with pytest.raises(WrongRunMethodError, match=r"returning\(\)"):
            await anext(wrong[1].yielding())
        assert [state(turn) for turn in wrong] == [UNTOUCHED, UNTOUCHED]

    async def test_evaluates_dynamic_arguments_when_it_runs_each_time(self, greet):
        names = iter(["Ada", "Grace"])

        async def fetch():
            return next(names)

        turn, seen = Turn("greet", [lambda: next(names)]), Turn("greet", kwargs={"name": fetch})
        assert await turn.returning() == "Hello, Ada!"
        assert await seen.returning() == "Hello, Grace!"
        assert callable(turn.args[0])

    async def test_does_not_call_arguments_that_are_classes_tools_or_in_containers(self):
        @tool()
        async def echo(*args):
            return args

        given = [int, echo, [lambda: 1], len]
        assert list(await Turn(echo, given).returning()) == given

    async def test_that_fails_in_a_dynamic_argument_is_an_error(self, kind):
        async def body(value): ...

        turn = Turn(make(kind, body), [lambda: 1 / 0])
        with pytest.raises(ZeroDivisionError):
            await run(turn)
        assert turn.stop_reason is StopReason.ERROR

    async def test_can_be_repeated_and_forgets_the_last_outcome(self):
        results = iter(["fine", LookupError(), "better"])

        @tool()
        async def moody():
            assert (turn.end_time, turn.stop_reason, turn.output) == (None, None, None)
            if isinstance(result := next(results), Exception):
                raise result
            return result

        turn = Turn(moody)
        assert await turn.returning() == "fine"
        with pytest.raises(LookupError):
            await turn.returning()
        assert (turn.stop_reason, turn.output) == (StopReason.ERROR, None)
        assert await turn.returning() == "better"
        assert (turn.stop_reason, turn.output) == (StopReason.COMPLETED, "better")

    async def test_works_for_a_tool_that_conforms_to_the_protocol(self, count):
        class Twice:
            def __init__(self, inner, name):
                self.fn, self.metadata, self.lock, self.hooks = inner.fn, inner.metadata, None, []
                self.__name__ = name

            def __call__(self, *args, **kwargs):
                return self.fn(*args, **kwargs)

        ToolRegistry.register(Twice(count, "twice"))
        assert await run(Turn("twice", [2])) == 1


class TestWhileItRuns:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("tool", "greet"), ("args", []), ("kwargs", {}), ("timeout", 5), ("hooks", []), ("args", "junk"), ("own", 1)],
    )
    async def test_what_it_is_made_of_cannot_be_set(self, greet, name, value):
        turn = Turn("greet")
        task, before = await start(turn, 0.5), dict(vars(turn))
        with pytest.raises(SafeExecutionError, match=f"^Cannot change property '{name}' while the turn is running.$"):
            setattr(turn, name, value)
        assert vars(turn) == before
        await task
        if value != "junk":
            setattr(turn, name, value)

    async def test_it_cannot_be_set_between_two_values_either(self, count):
        turn = Turn("count")
        async with aclosing(turn.yielding()) as values:
            await anext(values)
            with pytest.raises(SafeExecutionError):
                turn.args = []
        turn.args = []

    async def test_what_came_of_it_can_be_set(self, greet):
        turn, time = Turn("greet"), datetime(2024, 5, 17)  # noqa: DTZ001
        task = await start(turn, 0.5)
        turn.metadata = {"id": 1}
        turn.output, turn.start_time, turn.end_time, turn.stop_reason = "mine", time, time, StopReason.ERROR
        assert state(turn) == (time, time, StopReason.ERROR, "mine", True)
        await task
        assert (turn.output, turn.stop_reason, turn.metadata) == ("Hello, World!", StopReason.COMPLETED, {"id": 1})

    async def test_a_second_run_is_refused_and_the_first_goes_on(self, kind):
        async def body():
            await asyncio.sleep(2)
            return "done"

        turn = Turn(make(kind, body))
        task = await start(turn)
        before = state(turn)
        with pytest.raises(SafeExecutionError, match="running"):
            await run(turn)
        assert state(turn) == before
        assert await task == "done"
        assert await run(turn) == "done"

    def test_only_one_of_two_threads_can_start_it(self):
        @tool()
        async def once(refused):
            assert refused.wait(10)

        async def contend(outcomes):
            for turn in turns:
                barrier.wait(10)
                try:
                    await turn.returning()
                    outcomes.append("ran")
                except SafeExecutionError:
                    outcomes.append("refused")
                    turn.args[0].set()

        turns = [Turn(once, [threading.Event()]) for _ in range(300)]
        barrier, outcomes = threading.Barrier(2), ([], [])
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=lambda own: asyncio.run(contend(own)), args=(own,)) for own in outcomes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
        finally:
            sys.setswitchinterval(interval)
        assert [sorted(pair) for pair in zip(*outcomes, strict=True)] == [["ran", "refused"]] * len(turns)
        assert not any(turn.running for turn in turns)


class TestCopy:
    async def test_is_to_do_the_same_and_has_not_run(self, greet):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        calls = []
        turn = Turn[str]("greet", [lambda: calls.append("x") or "Ada"], {}, 5, {"id": 1}, [audit])
        await turn.returning()
        twin = turn.copy()
        assert type(twin) is Turn
        for name in ("tool", "args", "kwargs", "timeout", "metadata", "hooks"):
            assert getattr(twin, name) == getattr(turn, name)
        for name in ("args", "kwargs", "metadata", "hooks"):
            assert getattr(twin, name) is not getattr(turn, name)
        assert state(twin) == UNTOUCHED
        assert calls == ["x"]
        assert await twin.returning() == "Hello, Ada!"
        assert calls == ["x", "x"]

    async def test_of_a_running_turn_does_not_run(self, greet):
        turn = Turn("greet")
        task = await start(turn, 0.5)
        twin = turn.copy()
        twin.args = ["Ada"]
        assert state(twin) == UNTOUCHED
        assert await twin.returning() == "Hello, Ada!"
        assert await task == "Hello, World!"


class TestCancellation:
    @pytest.fixture
    def trail(self):
        return []

    @pytest.fixture
    def turn(self, kind, trail):
        async def body():
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(3)
                trail.append("ended")

        return Turn(make(kind, body))

    async def test_before_it_starts_leaves_the_turn_untouched(self, turn, trail):
        task = asyncio.create_task(run(turn))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert state(turn) == UNTOUCHED
        assert trail == []

    async def test_of_the_consumer_ends_the_tool_first(self, turn, trail):
        task = await start(turn)
        task.cancel("enough")
        await asyncio.sleep(1)
        assert (turn.running, task.done()) == (True, False)
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert trail == ["ended"]
        assert (turn.stop_reason, turn.running) == (StopReason.CANCELLED, False)
        assert turn.end_time is not None

    async def test_twice_reaches_the_tool_twice(self, turn, trail):
        task = await start(turn)
        task.cancel()
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert trail == [], "the second one ended its clean-up"
        assert (turn.stop_reason, turn.running) == (StopReason.CANCELLED, False)

    @pytest.mark.parametrize("late", ["value", LookupError("late")])
    async def test_is_not_swallowed_by_a_tool_that_goes_on(self, kind, late, caplog):
        async def body():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(7)
            if isinstance(late, Exception):
                raise late
            return late

        turn = Turn(make(kind, body))
        task = await start(turn)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert turn.stop_reason is StopReason.CANCELLED
        assert turn.output == (None if kind == "coroutine" else [])
        waits, dropped = caplog.records
        assert "5 s" in waits.getMessage()
        assert dropped.exc_info[1] is late if isinstance(late, Exception) else "'value'" in dropped.getMessage()

    async def test_runs_no_hooks_for_errors(self, turn):
        @hook([TurnHook.ON_ERROR, TurnHook.ON_TIMEOUT, TurnHook.AFTER_RUN])
        async def audit(*args):
            pytest.fail("no error")

        turn.hooks.append(audit)
        task = await start(turn)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    async def test_by_a_timeout_around_it_is_that_timeout(self, turn, trail):
        async def consumer():
            async with asyncio.timeout(1):
                await run(turn)

        with pytest.raises(TimeoutError) as caught:
            await consumer()
        assert type(caught.value) is TimeoutError
        assert (trail, turn.stop_reason) == (["ended"], StopReason.CANCELLED)

    async def test_by_wait_for_is_a_timeout_too(self, turn, trail):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run(turn), 1)
        assert (trail, turn.stop_reason) == (["ended"], StopReason.CANCELLED)

    async def test_by_a_task_group_leaves_only_the_siblings_error(self, turn, trail):
        async def fail():
            await asyncio.sleep(1)
            raise LookupError

        async def family():
            async with asyncio.TaskGroup() as group:
                group.create_task(run(turn))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as caught:
            await family()
        assert [type(error) for error in caught.value.exceptions] == [LookupError]
        assert (trail, turn.stop_reason) == (["ended"], StopReason.CANCELLED)

    def test_by_the_end_of_the_event_loop_lets_the_tool_clean_up(self, turn, trail):
        async def main():
            return await start(turn)

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            task = runner.run(main())
        assert task.cancelled()
        assert trail == ["ended"]
        assert (turn.stop_reason, turn.running) == (StopReason.CANCELLED, False)

    async def test_leaves_the_turn_ready_to_run_again(self, kind):
        async def body(seconds):
            await asyncio.sleep(seconds)
            return "done"

        turn = Turn(make(kind, body), [100])
        task = await start(turn)
        task.cancel()
        await asyncio.wait([task])
        turn.args = [1]
        assert await run(turn) == "done"
        assert turn.stop_reason is StopReason.COMPLETED


class TestLeaving:
    @pytest.fixture
    def turn(self, trail):
        @tool(lock=True)
        async def count():
            try:
                for number in range(10):
                    yield number
            finally:
                await asyncio.sleep(7)
                trail.append("ended")

        return Turn(count)

    @pytest.fixture
    def trail(self):
        return []

    def check(self, turn, trail):
        assert trail == ["ended"]
        assert (turn.output, turn.stop_reason, turn.running) == ([0], StopReason.CANCELLED, False)
        assert turn.end_time is not None
        assert not turn.tool.lock.locked()

    async def test_by_aclose_ends_the_tool(self, turn, trail, caplog):
        values = turn.yielding()
        await anext(values)
        await values.aclose()
        self.check(turn, trail)
        (record,) = caplog.records
        assert "has not ended" in record.getMessage(), "it took more than five seconds"

    async def test_by_break_ends_the_tool_soon(self, turn, trail):
        async for _ in turn.yielding():
            break
        await asyncio.sleep(10)
        self.check(turn, trail)

    async def test_by_an_exception_ends_the_tool(self, turn, trail):
        async def consumer():
            async with aclosing(turn.yielding()) as values:
                async for _ in values:
                    raise LookupError

        with pytest.raises(LookupError):
            await consumer()
        self.check(turn, trail)

    async def test_before_the_first_value_was_asked_for_touches_nothing(self, turn, trail):
        await turn.yielding().aclose()
        assert (state(turn), trail) == (UNTOUCHED, [])

    async def test_is_a_cancellation_also_when_the_consumer_is_cancelled_meanwhile(self, turn, trail):
        async def consumer():
            async with aclosing(turn.yielding()) as values:
                await anext(values)

        task = asyncio.create_task(consumer())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (turn.stop_reason, turn.running) == (StopReason.CANCELLED, False)

    @pytest.mark.parametrize("error", [LookupError("bad end"), asyncio.CancelledError()], ids=repr)
    async def test_logs_what_the_tool_raises_when_it_is_closed(self, error, caplog):
        @tool()
        async def count():
            try:
                yield 1
            finally:
                raise error

        turn = Turn(count)
        values = turn.yielding()
        await anext(values)
        await values.aclose()
        assert turn.stop_reason is StopReason.CANCELLED
        (record,) = caplog.records
        assert record.exc_info[1] is error

    async def test_a_tool_that_goes_on_yielding_is_logged(self, caplog):
        @tool()
        async def count():
            try:
                yield 1
            finally:
                yield 2

        turn = Turn(count)
        async with aclosing(turn.yielding()) as values:
            await anext(values)
        assert (turn.output, turn.stop_reason) == ([1], StopReason.CANCELLED)
        assert "ignored GeneratorExit" in str(caplog.records[0].exc_info[1])

    async def test_of_a_consumer_that_is_thrown_away_ends_the_tool(self):
        ended = []

        @tool()
        async def work():
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(True)

        turn = Turn(work)
        consumer = turn.returning()
        consumer.send(None)
        consumer.close()
        await asyncio.sleep(1)
        assert ended == [True]
        assert (turn.stop_reason, turn.running) == (StopReason.CANCELLED, False)


class TestLeakedCancellation:
    async def check(self, turn):
        @hook(TurnHook.ON_ERROR)
        async def audit(turn, exception):
            seen.append(exception)

        seen = []
        turn.hooks.append(audit)
        with pytest.raises(TurnCancelledError, match="let a CancelledError out") as caught:
            await run(turn)
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert seen == [caught.value]
        assert (turn.stop_reason, turn.running) == (StopReason.CANCELLED, False)
        await asyncio.sleep(1)

    @staticmethod
    async def leak(*args, seconds=1):
        await asyncio.sleep(seconds)
        raise asyncio.CancelledError

    @pytest.mark.parametrize("seconds", [0, 1])
    async def test_of_a_tool_is_an_error_for_its_consumer(self, kind, seconds):
        await self.check(Turn(make(kind, self.leak), kwargs={"seconds": seconds}))
        assert asyncio.current_task().cancelling() == 0

    @pytest.mark.parametrize("seconds", [None, 0, 1])
    async def test_is_told_from_a_cancellation_that_the_consumer_has_outlived(self, kind, seconds):
        async def leak():
            if seconds is not None:
                await asyncio.sleep(seconds)
            raise asyncio.CancelledError

        async def consumer():
            asyncio.current_task().cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(0)
            await self.check(Turn(make(kind, leak)))

        await asyncio.create_task(consumer())

    async def test_of_a_dynamic_argument_is_too(self, kind):
        async def body(value): ...

        async def leak():
            raise asyncio.CancelledError

        await self.check(Turn(make(kind, body), [leak]))

    @pytest.mark.parametrize("event", [TurnHook.BEFORE_RUN, TurnHook.ON_VALUE, TurnHook.AFTER_RUN])
    async def test_of_a_turn_hook_is_too(self, event):
        async def body(): ...

        kind = "generator" if event is TurnHook.ON_VALUE else "coroutine"
        await self.check(Turn(make(kind, body), hooks=[hook(event)(self.leak)]))

    @pytest.mark.parametrize("event", [ToolHook.BEFORE_INVOKE, ToolHook.AFTER_INVOKE])
    async def test_of_a_tool_hook_is_too(self, kind, event):
        async def body(): ...

        await self.check(Turn(make(kind, body, hooks=[hook(event)(self.leak)])))

    @pytest.mark.parametrize("suspends", [False, True])
    async def test_of_a_tool_that_cancels_its_own_task_is_too(self, suspends):
        async def body():
            asyncio.current_task().cancel()
            if suspends:
                await asyncio.sleep(1)

        turn = Turn(make("coroutine", body))
        with pytest.raises(TurnCancelledError):
            await turn.returning()
        assert turn.stop_reason is StopReason.CANCELLED
        assert asyncio.current_task().cancelling() == 0

    async def test_of_a_generator_tool_that_cancels_its_own_task_is_one_of_the_consumer_which_is_that_task(self):
        @tool()
        async def count():
            asyncio.current_task().cancel()
            await asyncio.sleep(1)
            yield

        turn = Turn(count)
        task = await start(turn)
        assert task.cancelled()
        assert turn.stop_reason is StopReason.CANCELLED

    async def test_of_a_task_that_the_tool_waits_for_is_too(self, kind):
        async def body():
            task = asyncio.create_task(asyncio.sleep(100))
            asyncio.get_running_loop().call_later(1, task.cancel)
            await task

        await self.check(Turn(make(kind, body)))

    async def test_is_not_taken_for_one_of_the_consumer_that_it_had_survived_before(self, kind):
        async def consumer():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await self.check(Turn(make(kind, self.leak)))
                return "cleaned up"

        task = asyncio.create_task(consumer())
        await asyncio.sleep(1)
        task.cancel()
        assert await task == "cleaned up"

    async def test_does_not_hinder_a_turn_in_the_clean_up_of_a_cancelled_consumer(self, kind):
        async def body(seconds):
            await asyncio.sleep(seconds)
            return "done"

        async def consumer():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                assert await run(turns[0]) == "done"
                with pytest.raises(TurnTimeoutError):
                    await run(turns[1])
                raise

        made = make(kind, body)
        turns = Turn(made, [1]), Turn(made, [100], timeout=5)
        task = asyncio.create_task(consumer())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert [turn.stop_reason for turn in turns] == [StopReason.COMPLETED, StopReason.TIMEOUT]


@pytest.mark.parametrize("suspends", [False, True])
async def test_a_generator_exit_that_a_tool_lets_out_is_an_error(kind, suspends):
    stray = GeneratorExit()

    async def body():
        if suspends:
            await asyncio.sleep(1)
        raise stray

    turn = Turn(make(kind, body))
    with pytest.raises(RuntimeError, match="a GeneratorExit was let out") as caught:
        await run(turn)
    assert caught.value.__cause__ is stray
    assert (turn.stop_reason, turn.running) == (StopReason.ERROR, False)


async def test_a_task_group_that_is_open_where_its_consumer_leaves_is_closed_without_a_log(caplog):
    ended = []

    async def child():
        try:
            await asyncio.sleep(100)
        finally:
            ended.append("child")

    @tool()
    async def grouped():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(0)
            yield 1

    turn = Turn(grouped)
    async with aclosing(turn.yielding()) as values:
        assert await anext(values) == 1
    assert (ended, turn.stop_reason, caplog.records) == (["child"], StopReason.CANCELLED, [])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda turn: pickle.loads(pickle.dumps(turn))])
async def test_a_turn_is_copied_and_pickled_with_its_very_tool_and_hooks_and_not_as_running(duplicate):
    ToolRegistry.register(tool_of_this_module)
    turn = Turn(tool_of_this_module, [1], metadata={"id": 7}, hooks=[hook_of_this_module])
    assert await turn.returning() == 1
    copies = [duplicate(turn)]
    turn.__dict__["_run"] = 1.0  # as in the middle of a run
    copies.append(duplicate(turn))
    for twin in copies:
        assert twin.tool is tool_of_this_module
        assert twin.hooks == [hook_of_this_module]
        assert (twin.metadata, twin.output, twin.running) == ({"id": 7}, 1, False)
        assert await twin.returning() == 1


@tool()
async def tool_of_this_module(value):
    return value


@hook(TurnHook.BEFORE_RUN)
async def hook_of_this_module(turn): ...


@pytest.mark.parametrize("field", ["start_time", "end_time", "stop_reason"])
def test_what_the_framework_notes_cannot_be_set_to_nonsense(field, greet):
    turn = Turn("greet")
    with pytest.raises(TypeError, match=f"^{field} must be a .* or None, not 'foo'"):
        setattr(turn, field, "foo")
    assert getattr(turn, field) is None


def test_a_method_can_be_a_tool_and_is_known_by_the_object_it_is_bound_to():
    class Greeter:
        async def greet(self): ...

    greeter = Greeter()
    made = tool(greeter.greet)
    assert Turn(greeter.greet).tool is made
    with pytest.raises(UnregisteredToolError):
        Turn(Greeter().greet)


async def test_what_a_tool_was_handling_when_it_raised_stays_to_be_seen(kind):
    async def body():
        try:
            {}["first"]
        except LookupError:
            raise ValueError("second")  # noqa: B904 (it is the point)

    with pytest.raises(ValueError, match="second") as caught:
        await run(Turn(make(kind, body)))
    assert isinstance(caught.value.__context__, LookupError)
    assert not caught.value.__suppress_context__
