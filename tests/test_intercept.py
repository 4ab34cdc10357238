"""Running the hooks of a list that are for an event, also while a failure is being handled."""

import asyncio
import logging
from contextlib import aclosing

import pytest

from pygents.errors import TurnTimeoutError
from pygents.hooks import AgentHook, ToolHook, TurnHook, hook
from pygents.intercept import (
    LeakedCancellationError,
    cancel_requests,
    check_hooks,
    intercept,
    run_failure_hooks,
    run_hooks,
)
from pygents.tool import tool
from pygents.turn import StopReason, Turn

BEFORE, AFTER, ERROR = TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN, TurnHook.ON_ERROR


@pytest.fixture
def calls():
    return []


@pytest.fixture
def make(calls):
    """Make a hook that notes its name and then does something."""

    def make(name, hook_type, then=None):
        async def fn(*args, **kwargs):
            calls.append(name)
            if then is not None:
                await then()

        fn.__name__ = name
        return hook(hook_type)(fn)

    return make


async def consume(turn):
    async with aclosing(turn.yielding()) as values:
        async for _ in values:
            pytest.fail("nothing reaches the consumer")


def raising(error):
    async def then():
        raise error

    return then


class TestRunHooks:
    async def test_runs_every_hook_for_the_event_in_list_order(self, make, calls):
        hooks = [make("c", BEFORE), make("x", AFTER), make("a", [AFTER, BEFORE]), make("b", BEFORE)]
        await run_hooks(hooks, BEFORE)
        assert calls == ["c", "a", "b"]

    async def test_runs_a_hook_as_often_as_it_is_in_the_list(self, make, calls):
        twice = make("twice", BEFORE)
        await run_hooks([twice, twice], BEFORE)
        assert calls == ["twice", "twice"]

    async def test_passes_the_arguments_to_each(self):
        seen = []

        @hook([BEFORE, AgentHook.BEFORE_PUT])
        async def audit(*args, **kwargs):
            seen.append((args, kwargs))

        await run_hooks([audit], BEFORE, 1, x=2)
        assert seen == [((1,), {"x": 2})]

    async def test_ends_with_the_first_exception(self, make, calls):
        hooks = [make("a", BEFORE), make("b", BEFORE, raising(LookupError("b"))), make("c", BEFORE)]
        with pytest.raises(LookupError, match="b"):
            await run_hooks(hooks, BEFORE)
        assert calls == ["a", "b"]

    async def test_goes_by_the_list_as_it_was_when_a_hook_changes_it(self, make, calls):
        hooks = []

        async def clear():
            hooks.clear()

        hooks += [make("a", BEFORE, clear), make("b", BEFORE)]
        await run_hooks(hooks, BEFORE)
        assert calls == ["a", "b"]
        assert hooks == []

    @pytest.mark.parametrize("wrong", [5, "audit", None, print], ids=repr)
    async def test_says_so_if_something_in_the_list_is_no_hook(self, wrong):
        with pytest.raises(TypeError, match="is not a hook: decorate an async function with @hook") as caught:
            await run_hooks([wrong], BEFORE)
        assert repr(wrong) in str(caught.value)


class TestRunFailureHooks:
    async def test_logs_what_a_hook_raises_and_adds_it_to_the_failure(self, make, caplog):
        failure, second = ValueError("first"), LookupError("second")
        with caplog.at_level(logging.ERROR, "pygents"):
            await run_failure_hooks([make("a", ERROR, raising(second))], ERROR, failure, "turn", failure)
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("pygents", "ERROR")
        assert record.exc_info[1] is second
        assert "on_error" in record.getMessage()
        (note,) = failure.__notes__
        assert "on_error" in note
        assert "LookupError('second')" in note

    async def test_runs_the_hooks_that_come_after_one_that_raised(self, make, calls, caplog):
        failure = ValueError("first")
        hooks = [
            make("a", ERROR, raising(LookupError("a"))),
            make("b", ERROR),
            make("c", ERROR, raising(LookupError("c"))),
        ]
        await run_failure_hooks(hooks, ERROR, failure)
        assert calls == ["a", "b", "c"]
        assert len(failure.__notes__) == len(caplog.records) == 2

    async def test_keeps_the_failure_though_nothing_can_be_shown_as_text(self, make, caplog):
        class MuteError(Exception):
            def __repr__(self):
                raise RuntimeError

            __str__ = __repr__

        failure = MuteError()
        await run_failure_hooks([make("a", ERROR, raising(MuteError()))], ERROR, failure)
        assert failure.__notes__[0].endswith("raised <MuteError whose repr raises RuntimeError>")
        assert "while <MuteError whose repr raises RuntimeError> was being handled" in caplog.records[0].getMessage()

    async def test_does_not_let_a_leaked_cancellation_out(self, make, caplog):
        failure = ValueError("first")
        await run_failure_hooks([make("a", ERROR, raising(asyncio.CancelledError()))], ERROR, failure)
        (note,) = failure.__notes__
        assert "CancelledError" in note
        assert len(caplog.records) == 1

    async def test_lets_a_cancellation_of_the_consumer_through(self, make):
        failure = ValueError("first")

        async def sleep():
            await asyncio.sleep(100)

        consumer = asyncio.create_task(run_failure_hooks([make("a", ERROR, sleep)], ERROR, failure))
        await asyncio.sleep(1)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert consumer.cancelled()
        assert not hasattr(failure, "__notes__")

    async def test_lets_an_interrupt_through(self, make):
        with pytest.raises(KeyboardInterrupt):
            await run_failure_hooks([make("a", ERROR, raising(KeyboardInterrupt()))], ERROR, ValueError())

    async def test_an_exit_is_noted_like_any_other(self, make):
        failure = ValueError("first")
        await run_failure_hooks([make("a", ERROR, raising(SystemExit(3)))], ERROR, failure)
        assert "SystemExit(3)" in failure.__notes__[0]

    async def test_leaves_the_failure_alone_when_the_hooks_succeed(self, make, calls, caplog):
        failure = ValueError("first")
        await run_failure_hooks([make("a", ERROR), make("b", AFTER)], ERROR, failure)
        assert calls == ["a"]
        assert not hasattr(failure, "__notes__")
        assert caplog.records == []


class TestCheckHooks:
    def test_gives_a_new_list_of_them(self, make):
        given = [make("a", BEFORE), make("b", [AFTER, BEFORE])]
        for hooks in (given, tuple(given), iter(given)):
            checked = check_hooks(hooks)
            assert checked == given
            assert checked is not given

    def test_gives_an_empty_list_for_none(self):
        assert check_hooks(None) == []

    @pytest.mark.parametrize("wrong", [5, "audit", b"audit", True, 0, ""], ids=repr)
    def test_refuses_what_is_no_list(self, wrong):
        with pytest.raises(TypeError, match=f"hooks must be a list of hooks, not {wrong!r}"):
            check_hooks(wrong)

    def test_refuses_a_single_hook(self, make):
        with pytest.raises(TypeError, match="hooks must be a list of hooks, not <hook 'a'"):
            check_hooks(make("a", BEFORE))

    def test_refuses_a_function_that_is_not_decorated(self):
        async def plain(turn): ...

        with pytest.raises(TypeError, match=r"plain.* is not a hook"):
            check_hooks([plain])

    def test_refuses_something_that_has_a_type_but_cannot_be_called(self):
        class Typed:
            type = BEFORE

        with pytest.raises(TypeError, match="is not a hook"):
            check_hooks([Typed()])

    def test_refuses_a_callable_whose_type_is_no_hook_type(self):
        def typed(): ...

        typed.type = "before_run"
        with pytest.raises(TypeError, match="is not a hook"):
            check_hooks([typed])


class TestCancelRequests:
    def test_are_none_where_no_task_runs(self):
        seen = []
        with asyncio.Runner() as runner:
            runner.get_loop().call_soon(lambda: seen.append(cancel_requests()))
            runner.run(asyncio.sleep(0))
        assert seen == [0]

    async def test_count_once_the_task_has_seen_them_until_they_are_taken_back(self):
        task = asyncio.current_task()
        assert cancel_requests() == 0
        task.cancel()
        assert cancel_requests() == 0
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert cancel_requests() == 1
        task.uncancel()
        assert cancel_requests() == 0


class TestIntercept:
    @pytest.mark.parametrize("outlived", [0, 1])
    async def test_tells_a_cancellation_that_a_hook_lets_out_from_the_consumers(self, make, outlived):
        await outlive(outlived)
        stray = asyncio.CancelledError("stray")
        with pytest.raises(LeakedCancellationError, match="a hook for before_run let a CancelledError out") as caught:
            await intercept([make("a", BEFORE, raising(stray))], BEFORE)
        assert caught.value.__cause__ is stray

    @pytest.mark.parametrize("outlived", [0, 1])
    async def test_lets_the_consumers_cancellation_through(self, make, outlived):
        async def wait():
            await asyncio.sleep(100)

        async def consume():
            await outlive(outlived)
            await intercept([make("a", BEFORE, wait)], BEFORE)

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(1)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer

    async def test_a_leak_beside_a_failure_stays_a_note_in_a_task_that_has_outlived_a_cancellation(self, make):
        await outlive(1)
        failure = ValueError("first")
        await run_failure_hooks([make("a", ERROR, raising(asyncio.CancelledError()))], ERROR, failure)
        assert "CancelledError()" in failure.__notes__[0]


async def outlive(cancellations):
    """Be cancelled, catch it, and go on, as code that shuts down does."""
    for _ in range(cancellations):
        asyncio.current_task().cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)


class TestHooksOfATurn:
    @pytest.fixture
    def trail(self):
        return []

    @pytest.fixture
    def audit(self, trail):
        def note(event):
            async def fn(*args, **kwargs):
                trail.append((event.name, *args))

            fn.__name__ = f"note_{event}"
            return hook(event)(fn)

        return note

    async def test_of_a_coroutine_tool_come_in_order(self, audit, trail):
        @tool(hooks=[audit(event) for event in ToolHook])
        async def greet(name):
            trail.append(("greet", name))
            return f"Hello, {name}!"

        turn = Turn(greet, ["Ada"], hooks=[audit(event) for event in TurnHook])
        await turn.returning()
        assert trail == [
            ("BEFORE_RUN", turn),
            ("BEFORE_INVOKE", "Ada"),
            ("greet", "Ada"),
            ("AFTER_INVOKE", "Hello, Ada!"),
            ("AFTER_RUN", turn),
        ]

    async def test_of_a_generator_tool_come_in_order(self, audit, trail):
        @tool(hooks=[audit(event) for event in ToolHook])
        async def count(end):
            for number in range(end):
                yield number

        turn = Turn(count, [2], hooks=[audit(event) for event in TurnHook])
        async for value in turn.yielding():
            trail.append(("consumer", value))
        assert trail == [
            ("BEFORE_RUN", turn),
            ("BEFORE_INVOKE", 2),
            *[
                step
                for number in range(2)
                for step in [("ON_YIELD", number), ("ON_VALUE", turn, number), ("consumer", number)]
            ],
            ("AFTER_INVOKE", 1),
            ("AFTER_RUN", turn),
        ]

    async def test_of_a_failing_tool_get_the_exception_when_the_outcome_is_known(self, make, calls):
        error = LookupError("nothing there")

        @tool()
        async def fail():
            raise error

        @hook(TurnHook.ON_ERROR)
        async def audit(turn, exception):
            calls.append((turn, exception, turn.stop_reason, turn.running))

        others = [make(event.value, event) for event in (TurnHook.AFTER_RUN, TurnHook.ON_TIMEOUT)]
        turn = Turn(fail, hooks=[audit, *others])
        with pytest.raises(LookupError):
            await turn.returning()
        assert calls == [(turn, error, StopReason.ERROR, True)]

    async def test_of_a_turn_that_timed_out_get_the_turn_when_the_tool_has_ended(self, make, calls):
        @tool()
        async def slow():
            try:
                await asyncio.sleep(100)
            finally:
                calls.append("tool ended")

        @hook(TurnHook.ON_TIMEOUT)
        async def audit(turn):
            calls.append((turn, turn.stop_reason))

        others = [make(event.value, event) for event in (TurnHook.AFTER_RUN, TurnHook.ON_ERROR)]
        turn = Turn(slow, timeout=1, hooks=[audit, *others])
        with pytest.raises(TurnTimeoutError):
            await turn.returning()
        assert calls == ["tool ended", (turn, StopReason.TIMEOUT)]

    async def test_after_the_run_see_the_output(self, calls):
        @tool()
        async def greet():
            return "Hello!"

        @hook(TurnHook.AFTER_RUN)
        async def audit(turn):
            calls.append((turn.output, turn.stop_reason, turn.end_time))

        await Turn(greet, hooks=[audit]).returning()
        assert calls == [("Hello!", StopReason.COMPLETED, None)]

    @pytest.mark.parametrize("event", [TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN])
    async def test_that_raise_are_the_turns_error(self, make, event, calls):
        @tool()
        async def greet():
            calls.append("tool")

        error = LookupError("no")
        turn = Turn(greet, hooks=[make("a", event, raising(error)), make("b", event), make("error", ERROR)])
        with pytest.raises(LookupError) as caught:
            await turn.returning()
        assert caught.value is error
        assert turn.stop_reason is StopReason.ERROR
        assert calls == [*(["tool"] if event is TurnHook.AFTER_RUN else []), "a", "error"]

    async def test_that_raise_at_a_value_end_the_tool_before_the_consumer_gets_it(self, make, calls):
        @tool()
        async def count():
            try:
                yield 1
                yield 2
            finally:
                calls.append("tool ended")

        error = LookupError("no")
        turn = Turn(count, hooks=[make("value", TurnHook.ON_VALUE, raising(error)), make("error", ERROR)])
        with pytest.raises(LookupError) as caught:
            await consume(turn)
        assert caught.value is error
        assert turn.output == [1]
        assert calls == ["value", "tool ended", "error"]
        assert turn.stop_reason is StopReason.ERROR

    @pytest.mark.parametrize("event", [TurnHook.BEFORE_RUN, TurnHook.ON_VALUE, TurnHook.AFTER_RUN])
    async def test_that_raise_stop_async_iteration_do_not_end_the_values_in_silence(self, make, event):
        @tool()
        async def count():
            yield 1

        turn = Turn(count, hooks=[make("a", event, raising(StopAsyncIteration()))])
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            _ = [value async for value in turn.yielding()]
        assert turn.stop_reason is StopReason.ERROR

    async def test_that_raise_while_a_failure_is_handled_do_not_replace_it(self, make, caplog):
        failure = LookupError("first")

        @tool()
        async def fail():
            raise failure

        turn = Turn(fail, hooks=[make("a", ERROR, raising(ValueError("second")))])
        with pytest.raises(LookupError) as caught:
            await turn.returning()
        assert caught.value is failure
        assert "ValueError('second')" in failure.__notes__[0]
        assert turn.stop_reason is StopReason.ERROR
        assert len(caplog.records) == 1

    async def test_that_raise_while_a_timeout_is_handled_do_not_replace_it(self, make, caplog):
        @tool()
        async def slow():
            await asyncio.sleep(100)

        turn = Turn(slow, timeout=1, hooks=[make("a", TurnHook.ON_TIMEOUT, raising(ValueError("second")))])
        with pytest.raises(TurnTimeoutError) as caught:
            await turn.returning()
        assert "ValueError('second')" in caught.value.__notes__[0]
        assert turn.stop_reason is StopReason.TIMEOUT
        assert len(caplog.records) == 1

    @pytest.mark.parametrize("event", [TurnHook.BEFORE_RUN, TurnHook.ON_VALUE, TurnHook.AFTER_RUN])
    async def test_are_ended_by_a_cancellation_of_the_consumer(self, make, event, calls):
        @tool()
        async def count():
            yield 1

        async def consumer():
            async for _ in turn.yielding():
                pass

        async def sleep():
            try:
                await asyncio.sleep(100)
            finally:
                calls.append("hook ended")

        turn = Turn(count, hooks=[make("hook", event, sleep), make("error", ERROR)])
        task = asyncio.create_task(consumer())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert calls == ["hook", "hook ended"]
        assert (turn.stop_reason, turn.running) == (StopReason.CANCELLED, False)

    async def test_that_are_cancelled_with_the_consumer_while_a_failure_is_handled_leave_the_failure_the_outcome(
        self, make
    ):
        @tool()
        async def fail():
            raise LookupError

        async def sleep():
            await asyncio.sleep(100)

        turn = Turn(fail, hooks=[make("a", ERROR, sleep)])
        task = asyncio.create_task(turn.returning())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (turn.stop_reason, turn.running) == (StopReason.ERROR, False)

    async def test_may_be_appended_between_two_runs(self, make, calls):
        @tool()
        async def greet(): ...

        turn = Turn(greet)
        await turn.returning()
        turn.hooks.append(make("a", BEFORE))
        await turn.returning()
        assert calls == ["a"]

    async def test_that_are_none_are_an_error_that_says_so(self):
        @tool()
        async def greet(): ...

        turn = Turn(greet)
        turn.hooks.append("audit")
        with pytest.raises(TypeError, match="'audit' is not a hook"):
            await turn.returning()
        assert turn.stop_reason is StopReason.ERROR
