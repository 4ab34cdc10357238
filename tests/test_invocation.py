"""Tools that run out of time, are cancelled or exit: they have really ended before anybody says so."""

import asyncio
import gc
import inspect
import logging
import weakref
from contextlib import aclosing
from contextvars import ContextVar

import pytest

from pygents.errors import TurnCancelledError, TurnTimeoutError
from pygents.hooks import ToolHook, TurnHook, hook
from pygents.tool import tool
from pygents.turn import StopReason, Turn


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


def start(turn, seconds=1):
    """Run a turn in a task of its own, for a while."""

    async def begin():
        task = asyncio.create_task(run(turn))
        await asyncio.sleep(seconds)
        return task

    return begin()


def now():
    return asyncio.get_running_loop().time()


def work_without_a_pause(seconds):
    asyncio.get_running_loop()._now += seconds


async def work(seconds=100):
    await asyncio.sleep(seconds)
    return "done"


def generator_of(body):
    async def generator():
        yield await body()

    return generator


def sleeping_hook(event, seconds=100):
    @hook(event)
    async def sleep(*args, **kwargs):
        await asyncio.sleep(seconds)

    return sleep


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


class TestTimeout:
    async def test_comes_when_the_tool_has_ended(self, kind):
        ended = []

        async def body():
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(3)
                ended.append(now())

        turn = Turn(make(kind, body), timeout=5)
        with pytest.raises(TurnTimeoutError, match=r"^Turn timed out after 5s$") as caught:
            await run(turn)
        assert ended == [8] == [now()]
        assert turn.stop_reason is StopReason.TIMEOUT
        assert not turn.running
        assert turn.start_time <= turn.end_time
        assert turn.output == (None if kind == "coroutine" else [])
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    async def test_leaves_the_consumers_task_uncancelled(self, kind):
        with pytest.raises(TurnTimeoutError):
            await run(Turn(make(kind, work), timeout=0.5))
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(10)

    async def test_does_not_come_after_the_end_of_the_tool(self, kind, caplog):
        assert await run(Turn(make(kind, work), args=[4], timeout=5)) == "done"
        await asyncio.sleep(100)
        assert caplog.records == []

    async def test_does_not_come_to_a_coroutine_tool_that_ended_in_time_on_a_loop_that_is_busy(self, caplog):
        answer = asyncio.get_running_loop().create_future()

        async def wait():
            return await answer

        turn = Turn(make("coroutine", wait), timeout=5)
        running = await start(turn)
        answer.set_result("in time")
        work_without_a_pause(10)
        assert await running == "in time"
        assert (turn.stop_reason, caplog.records) == (StopReason.COMPLETED, [])

    async def test_counts_the_evaluation_of_dynamic_arguments(self, kind):
        called = []

        async def body(value):
            called.append(value)

        turn = Turn(make(kind, body), args=[lambda: asyncio.sleep(100)], timeout=5)
        with pytest.raises(TurnTimeoutError):
            await run(turn)
        assert (called, now(), turn.stop_reason) == ([], 5, StopReason.TIMEOUT)

    async def test_counts_waiting_for_the_tools_lock(self, kind):
        made = make(kind, work, lock=True)
        holder, waiter = Turn(made, args=[20]), Turn(made, timeout=5)
        task = await start(holder)
        with pytest.raises(TurnTimeoutError):
            await run(waiter)
        assert (now(), waiter.stop_reason) == (6, StopReason.TIMEOUT)
        assert await task == "done"
        assert not made.lock.locked()

    @pytest.mark.parametrize("event", [ToolHook.BEFORE_INVOKE, ToolHook.AFTER_INVOKE])
    async def test_counts_the_tools_hooks(self, kind, event):
        turn = Turn(make(kind, work, hooks=[sleeping_hook(event)], lock=True), args=[1], timeout=5)
        with pytest.raises(TurnTimeoutError):
            await run(turn)
        assert now() == 5
        assert not turn.tool.lock.locked()

    async def test_counts_the_tools_hooks_for_yields(self):
        turn = Turn(make("generator", work, hooks=[sleeping_hook(ToolHook.ON_YIELD)]), args=[1], timeout=5)
        with pytest.raises(TurnTimeoutError):
            await run(turn)
        assert now() == 5

    @pytest.mark.parametrize("event", [TurnHook.BEFORE_RUN, TurnHook.ON_VALUE, TurnHook.AFTER_RUN])
    async def test_does_not_count_the_turns_hooks(self, kind, event):
        turn = Turn(make(kind, work), args=[4], timeout=5, hooks=[sleeping_hook(event)])
        assert await run(turn) == "done"
        assert turn.stop_reason is StopReason.COMPLETED

    @pytest.mark.parametrize("timeout", [None, float("inf"), 1e12])
    async def test_does_not_come_where_there_is_no_limit(self, kind, timeout):
        assert await run(Turn(make(kind, work), args=[1e5], timeout=timeout)) == "done"

    async def test_stays_the_outcome_of_a_tool_that_gives_a_value_late(self, kind, caplog):
        async def body():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                return "late"

        turn = Turn(make(kind, body), timeout=5)
        with caplog.at_level(logging.WARNING, "pygents"), pytest.raises(TurnTimeoutError):
            await run(turn)
        assert turn.stop_reason is StopReason.TIMEOUT
        assert turn.output == (None if kind == "coroutine" else [])
        (message,) = messages(caplog)
        assert "'late'" in message
        assert "work" in message

    @pytest.mark.parametrize("error", [LookupError("late"), TimeoutError("late"), SystemExit(3), KeyboardInterrupt()])
    async def test_stays_the_outcome_of_a_tool_that_raises_late(self, kind, error, caplog):
        async def body():
            try:
                await asyncio.sleep(100)
            finally:
                raise error

        turn = Turn(make(kind, body), timeout=5)
        with pytest.raises(TurnTimeoutError):
            await run(turn)
        assert turn.stop_reason is StopReason.TIMEOUT
        (record,) = caplog.records
        assert (record.name, record.exc_info[1]) == ("pygents", error)
        assert asyncio.current_task().cancelling() == 0

    async def test_stays_the_outcome_of_a_tool_that_cancels_its_own_task_late(self):
        @tool()
        async def body():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                asyncio.current_task().cancel()

        turn = Turn(body, timeout=5)
        with pytest.raises(TurnTimeoutError):
            await turn.returning()
        assert turn.stop_reason is StopReason.TIMEOUT

    async def test_waits_for_a_tool_that_ignores_it_with_a_warning_every_five_seconds(self, kind, caplog):
        async def body():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                for _ in range(17):
                    await asyncio.sleep(1)

        with pytest.raises(TurnTimeoutError):
            await run(Turn(make(kind, body), timeout=5))
        assert now() == 22
        warnings = [message for message in messages(caplog) if "has not ended" in message]
        assert [seconds for seconds in (5, 10, 15) if f" {seconds} s " in warnings[seconds // 5 - 1]] == [5, 10, 15]
        assert len(warnings) == 3
        await asyncio.sleep(100)
        assert len(messages(caplog)) == 4, "and that its value is dropped"

    async def test_is_not_a_timeout_error_of_the_tools_own(self, kind):
        error = TimeoutError("the database is slow")

        async def body():
            raise error

        turn = Turn(make(kind, body), timeout=5)
        with pytest.raises(TimeoutError) as caught:
            await run(turn)
        assert caught.value is error
        assert turn.stop_reason is StopReason.ERROR

    async def test_is_not_the_end_of_a_timeout_inside_the_tool(self, kind, caplog):
        async def body(catch):
            try:
                async with asyncio.timeout(1):
                    await asyncio.sleep(100)
            except TimeoutError:
                if not catch:
                    raise
            await asyncio.sleep(30)
            return "went on"

        made = make(kind, body)
        assert await run(Turn(made, args=[True], timeout=50)) == "went on"
        turn = Turn(made, args=[False], timeout=5)
        with pytest.raises(TimeoutError) as caught:
            await run(turn)
        assert type(caught.value) is TimeoutError
        assert turn.stop_reason is StopReason.ERROR
        assert messages(caplog) == [], "nobody told the tool to end"

    @pytest.mark.parametrize("by", ["timeout", "cancellation"])
    async def test_and_cancellation_end_a_tool_that_cleans_up_after_a_timeout_of_its_own(self, kind, by):
        async def body():
            try:
                async with asyncio.timeout(4):
                    try:
                        await asyncio.sleep(100)
                    finally:
                        await asyncio.sleep(2)
            except TimeoutError:
                await asyncio.sleep(100)

        turn = Turn(make(kind, body), timeout=5 if by == "timeout" else 50)
        task = await start(turn, seconds=5)
        if by == "cancellation":
            task.cancel()
        await asyncio.wait([task])
        assert now() == 5
        assert turn.stop_reason is (StopReason.TIMEOUT if by == "timeout" else StopReason.CANCELLED)

    async def test_of_a_turn_inside_a_tool_is_the_outer_tools_error(self, kind):
        inner = Turn(make("coroutine", work), timeout=1)

        async def outer():
            return await inner.returning()

        turn = Turn(tool()(outer), timeout=5)
        with pytest.raises(TurnTimeoutError, match="after 1s"):
            await turn.returning()
        assert (inner.stop_reason, turn.stop_reason) == (StopReason.TIMEOUT, StopReason.ERROR)

    @pytest.mark.parametrize("seconds", [5, 50])
    async def test_ends_a_turn_inside_a_tool_too(self, kind, seconds, caplog):
        inner = Turn(make(kind, work), timeout=seconds)

        async def outer():
            return await run(inner)

        outer_tool = tool()(outer) if kind == "coroutine" else tool()(generator_of(outer))
        turn = Turn(outer_tool, timeout=5)
        with pytest.raises(TurnTimeoutError, match="after 5s"):
            await run(turn)
        assert inner.stop_reason in {StopReason.CANCELLED, StopReason.TIMEOUT}
        assert (turn.stop_reason, inner.running, now()) == (StopReason.TIMEOUT, False, 5)
        assert asyncio.current_task().cancelling() == 0


class TestTimeoutOfAGenerator:
    @pytest.fixture
    def count(self):
        @tool()
        async def count(seconds, end=0):
            try:
                for number in range(5):
                    await asyncio.sleep(seconds)
                    yield number
            finally:
                await asyncio.sleep(end)

        return count

    async def test_is_over_all_steps_together(self, count):
        turn = Turn(count, args=[2], timeout=5)
        with pytest.raises(TurnTimeoutError):
            await run(turn)
        assert (turn.output, now()) == ([0, 1], 5)

    async def test_does_not_count_time_in_which_the_consumer_holds_a_value(self, count):
        turn = Turn(count, args=[1], timeout=6)
        async for _ in turn.yielding():
            await asyncio.sleep(1000)
        assert (turn.output, turn.stop_reason) == ([0, 1, 2, 3, 4], StopReason.COMPLETED)

    async def test_comes_for_one_that_never_pauses(self):
        ended = []

        @tool()
        async def busy():
            try:
                while True:
                    work_without_a_pause(2)
                    yield now()
            finally:
                await asyncio.sleep(1)
                ended.append(now())

        turn = Turn(busy, timeout=5)
        with pytest.raises(TurnTimeoutError):
            await run(turn)
        assert turn.stop_reason is StopReason.TIMEOUT
        assert turn.output == [2, 4, 6]
        assert ended == [7]

    async def test_waits_for_one_that_yields_instead_of_ending_and_closes_it(self, caplog):
        ended = []

        @tool()
        async def stubborn():
            try:
                try:
                    await asyncio.sleep(100)
                except asyncio.CancelledError:
                    yield "late"
            finally:
                await asyncio.sleep(3)
                ended.append(now())

        turn = Turn(stubborn, timeout=5)
        with pytest.raises(TurnTimeoutError):
            await run(turn)
        assert (ended, turn.output, turn.stop_reason) == ([8], [], StopReason.TIMEOUT)
        (message,) = messages(caplog)
        assert "'late'" in message

    async def test_does_not_swallow_a_cancellation_of_the_consumer_while_the_tool_is_closed(self):
        @tool()
        async def stubborn():
            try:
                try:
                    await asyncio.sleep(100)
                except asyncio.CancelledError:
                    yield "late"
            finally:
                await asyncio.sleep(3)

        async def consumer():
            try:
                await run(turn)
            except TurnTimeoutError:
                await asyncio.sleep(100)

        turn = Turn(stubborn, timeout=5)
        task = asyncio.create_task(consumer())
        await asyncio.sleep(6)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert turn.stop_reason in {StopReason.TIMEOUT, StopReason.CANCELLED}

    async def test_warns_of_one_that_ignores_it_though_its_own_timeout_has_expired_before(self, caplog):
        @tool()
        async def stubborn():
            try:
                async with asyncio.timeout(1):
                    await asyncio.sleep(100)
            except TimeoutError:
                yield 1
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(7)

        with pytest.raises(TurnTimeoutError):
            await run(Turn(stubborn, timeout=5))
        assert len([message for message in messages(caplog) if "has not ended" in message]) == 1


class TestExit:
    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("stop")])
    @pytest.mark.parametrize("seconds", [None, 1])
    async def test_reaches_the_consumer_as_it_is(self, kind, error, seconds):
        async def body():
            if seconds:
                await asyncio.sleep(seconds)
            raise error

        seen = []

        @hook(TurnHook.ON_ERROR)
        async def audit(turn, exception):
            seen.append(exception)

        turn = Turn(make(kind, body), hooks=[audit])
        with pytest.raises(type(error)) as caught:
            await run(turn)
        assert caught.value is error
        assert seen == [error]
        assert turn.stop_reason is StopReason.ERROR
        await asyncio.sleep(1)

    async def test_of_a_tool_that_is_being_cancelled_gives_way_to_the_cancellation(self, kind, caplog):
        async def body():
            try:
                await asyncio.sleep(100)
            finally:
                raise SystemExit(3)

        turn = Turn(make(kind, body))
        task = await start(turn)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert turn.stop_reason is StopReason.CANCELLED
        assert len(caplog.records) == 1


async def test_a_consumer_that_is_cancelled_in_the_moment_when_the_tool_ends_is_cancelled(kind, caplog):
    door = asyncio.get_running_loop().create_future()

    async def body():
        return await door

    turn = Turn(make(kind, body))
    task = await start(turn)
    door.set_result("too late")
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert turn.stop_reason is StopReason.CANCELLED
    assert turn.output == (None if kind == "coroutine" else [])


async def test_a_generator_tool_that_waits_needs_a_task_to_run_in():
    turn, seen = Turn(make("generator", work)), []

    def step():
        try:
            turn.yielding().__anext__().send(None)
        except RuntimeError as error:
            seen.append(str(error))

    asyncio.get_running_loop().call_soon(step)
    await asyncio.sleep(1)
    assert "<tool 'work'> needs an asyncio task to run in" in seen[0]
    assert (turn.stop_reason, turn.running) == (StopReason.ERROR, False)


class TestInsideAGenerator:
    async def test_every_step_runs_in_the_task_of_the_consumer(self):
        @tool()
        async def tasks():
            for _ in range(3):
                yield asyncio.current_task()
                await asyncio.sleep(1)

        assert {task async for task in Turn(tasks).yielding()} == {asyncio.current_task()}

    async def test_a_timeout_holds_over_yields(self):
        @tool()
        async def poll():
            try:
                async with asyncio.timeout(5):
                    yield "in time"
                    await asyncio.sleep(100)
            except TimeoutError:
                yield "too late"

        turn = Turn(poll)
        assert [value async for value in turn.yielding()] == ["in time", "too late"]
        assert (turn.stop_reason, asyncio.current_task().cancelling()) == (StopReason.COMPLETED, 0)

    async def test_a_task_group_works_on_while_the_consumer_holds_a_value(self):
        done = []

        async def child(name):
            await asyncio.sleep(1)
            done.append(name)

        @tool()
        async def family():
            async with asyncio.TaskGroup() as group:
                for name in "ab":
                    group.create_task(child(name))
                    yield name
            yield "end"

        turn = Turn(family)
        async for value in turn.yielding():
            if value == "b":
                await asyncio.sleep(5)
                assert done == ["a", "b"]
        assert turn.output == ["a", "b", "end"]

    async def test_a_task_group_whose_child_fails_in_a_step_is_the_tools_error(self, caplog):
        async def child():
            await asyncio.sleep(1)
            raise LookupError("child")

        @tool()
        async def family():
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                yield "begun"
                await asyncio.sleep(100)

        turn = Turn(family)
        with pytest.raises(ExceptionGroup) as caught:
            await run(turn)
        assert caught.group_contains(LookupError, match="child")
        assert turn.stop_reason is StopReason.ERROR
        assert asyncio.current_task().cancelling() == 0
        assert caplog.records == []

    async def test_a_context_variable_can_be_reset_after_a_yield(self):
        depth = ContextVar("depth", default=0)

        @tool()
        async def nest():
            token = depth.set(depth.get() + 1)
            try:
                yield depth.get()
                await asyncio.sleep(1)
                yield depth.get()
            finally:
                depth.reset(token)

        assert [value async for value in Turn(nest).yielding()] == [1, 1]
        assert depth.get() == 0

    async def test_steps_may_be_asked_for_by_different_tasks(self):
        @tool()
        async def count():
            for number in range(3):
                await asyncio.sleep(1)
                yield number

        turn = Turn(count, timeout=10)
        values = turn.yielding()
        assert [await asyncio.create_task(anext(values)) for _ in range(3)] == [0, 1, 2]
        assert await asyncio.create_task(anext(values, "end")) == "end"
        assert turn.stop_reason is StopReason.COMPLETED


async def test_a_turn_that_has_ended_is_kept_alive_by_nothing(kind):
    async def body():
        await asyncio.sleep(1)

    turn = Turn(make(kind, body), [], timeout=1000)
    await run(turn)
    gone = weakref.ref(turn)
    del turn
    gc.collect()
    assert gone() is None, "its timer is in the loop until it is due"


async def test_a_tool_that_lets_a_cancellation_out_cancels_its_turn_and_not_the_consumer(kind):
    async def body():
        raise asyncio.CancelledError

    turn = Turn(make(kind, body))
    with pytest.raises(TurnCancelledError):
        await run(turn)
    assert turn.stop_reason is StopReason.CANCELLED
