"""Arguments: dynamic ones are called when they are needed, fixed ones are merged under the call's own."""

import asyncio
import functools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.arguments import check_fixed, evaluate, evaluate_all, has_dynamic, is_dynamic, merge_fixed
from pygents.hooks import TurnHook, hook
from pygents.tool import tool


class Callable:
    def __call__(self):
        raise AssertionError

    def method(self):
        raise AssertionError


async def coroutine_function():
    return "awaited"


def function():
    return "called"


class TestDynamic:
    @pytest.mark.parametrize("value", [function, coroutine_function, lambda: None], ids=["def", "async def", "lambda"])
    def test_a_plain_function_is(self, value):
        assert is_dynamic(value)

    @pytest.mark.parametrize(
        "value",
        [Callable, Callable(), Callable().method, functools.partial(function), len, "".upper, 5, None, "function"],
        ids=repr,
    )
    def test_nothing_else_is(self, value):
        assert not is_dynamic(value)

    def test_a_tool_or_hook_is_not(self):
        @tool()
        async def greet(): ...

        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        assert not is_dynamic(greet)
        assert not is_dynamic(audit)

    def test_is_found_among_positional_and_keyword_arguments(self):
        assert has_dynamic([1, function], {})
        assert has_dynamic([], {"a": 1, "b": function})
        assert not has_dynamic([1, Callable, [function]], {"a": len})
        assert not has_dynamic([], {})


class TestEvaluate:
    async def test_calls_a_function(self):
        assert await evaluate(function) == "called"

    async def test_awaits_what_a_coroutine_function_gives(self):
        assert await evaluate(coroutine_function) == "awaited"

    async def test_awaits_any_awaitable_that_a_function_gives(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result("later")
        assert await evaluate(lambda: future) == "later"

    async def test_gives_an_awaitable_that_is_no_function_as_it_is(self):
        future = asyncio.get_running_loop().create_future()
        assert await evaluate(future) is future

    async def test_does_not_call_what_a_function_gives(self):
        assert await evaluate(lambda: function) is function

    @pytest.mark.parametrize("value", [Callable, len, 5, [function]], ids=repr)
    async def test_gives_everything_else_as_it_is(self, value):
        assert await evaluate(value) is value

    async def test_evaluates_all_in_order_into_new_containers(self):
        seen = []
        args = [lambda: seen.append("a") or 1, 2]
        kwargs = {"x": lambda: seen.append("x") or 3, "y": 4}
        assert await evaluate_all(args, kwargs) == ([1, 2], {"x": 3, "y": 4})
        assert seen == ["a", "x"]
        assert callable(args[0])
        assert callable(kwargs["x"])


class TestCheckFixed:
    def test_accepts_parameters_that_can_be_given_by_name(self):
        def takes(either, *, keyword): ...

        check_fixed(takes, {"either": 1, "keyword": 2}, "Tool")

    def test_accepts_anything_for_a_function_with_kwargs(self):
        def takes(positional, /, **kwargs): ...

        check_fixed(takes, {"positional": 1, "other": 2}, "Tool")

    def test_refuses_the_others_and_names_them_in_order(self):
        def takes(positional, /, *rest): ...

        with pytest.raises(TypeError) as caught:
            check_fixed(takes, {"zebra": 1, "positional": 2, "rest": 3}, "Hook")
        assert "Hook 'takes' fixed kwargs ['positional', 'rest', 'zebra'] are not in function signature" in str(
            caught.value
        )


class TestMergeFixed:
    async def test_adds_the_fixed_to_the_given_without_a_word(self, caplog):
        assert await merge_fixed({"a": 1}, {"b": 2}, "tool 't'") == {"a": 1, "b": 2}
        assert caplog.records == []

    async def test_prefers_the_given_and_says_so_in_one_warning(self, caplog):
        with caplog.at_level(logging.WARNING, "pygents"):
            merged = await merge_fixed({"a": 1, "b": 2, "c": 3}, {"a": 10, "b": 20}, "tool 't'")
        assert merged == {"a": 10, "b": 20, "c": 3}
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("pygents", "WARNING")
        assert "overridden" in record.getMessage()
        assert "'a', 'b'" in record.getMessage()
        assert "tool 't'" in record.getMessage()

    async def test_calls_a_fixed_function_each_time(self):
        numbers = iter(range(10))
        fixed = {"number": lambda: next(numbers)}
        assert [await merge_fixed(fixed, {}, "tool") for _ in range(2)] == [{"number": 0}, {"number": 1}]

    async def test_awaits_a_fixed_coroutine_function(self):
        assert await merge_fixed({"a": coroutine_function}, {}, "tool") == {"a": "awaited"}

    async def test_does_not_call_a_fixed_function_that_is_overridden(self):
        calls = []
        assert await merge_fixed({"a": lambda: calls.append("a")}, {"a": 1}, "tool") == {"a": 1}
        assert calls == []

    @given(fixed=st.dictionaries(st.text(), st.integers()), call=st.dictionaries(st.text(), st.integers()))
    def test_is_the_union_that_prefers_the_given_and_changes_neither(self, fixed, call):
        before = dict(fixed), dict(call)
        assert asyncio.run(merge_fixed(fixed, call, "tool")) == {**fixed, **call}
        assert (fixed, call) == before
