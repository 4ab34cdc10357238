"""Hooks: their types, and what the decorator makes of an async function."""

import asyncio
import inspect
import logging
from datetime import datetime, timedelta
from enum import Enum
from typing import get_args

import pytest

from pygents.decisions import Skip
from pygents.errors import UnregisteredHookError
from pygents.hooks import AgentHook, HookMetadata, HookType, MemoryHook, ToolHook, TurnHook, hook
from pygents.locks import CrossLoopLock
from pygents.registry import HookRegistry


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TurnHook, {"before_run", "after_run", "on_timeout", "on_error", "on_value"}),
        (
            AgentHook,
            {
                "before_turn",
                "after_turn",
                "on_turn_value",
                "on_turn_error",
                "on_turn_timeout",
                "before_put",
                "after_put",
                "on_pause",
                "on_resume",
            },
        ),
        (ToolHook, {"before_invoke", "on_yield", "after_invoke"}),
        (MemoryHook, {"before_append", "after_append"}),
    ],
)
def test_the_hook_types_are_string_enums_named_like_their_values(kind, values):
    assert issubclass(kind, str)
    assert issubclass(kind, Enum)
    assert {member.value for member in kind} == values
    assert all(member.name == member.value.upper() for member in kind)
    assert all(member == member.value for member in kind)


def test_hook_type_is_the_union_of_the_four():
    assert set(get_args(HookType)) == {TurnHook, AgentHook, ToolHook, MemoryHook}
    assert isinstance(TurnHook.BEFORE_RUN, HookType)
    assert not isinstance("before_run", HookType)


class TestDecorator:
    def test_keeps_what_the_function_says_of_itself(self):
        async def audit(turn):
            """Write a line."""

        made = hook(TurnHook.BEFORE_RUN)(audit)
        assert made.fn is audit
        assert made.__name__ == "audit"
        assert made.__doc__ == "Write a line."
        assert made.metadata == HookMetadata("audit", "Write a line.", None, None)
        assert inspect.iscoroutinefunction(made)
        assert inspect.signature(made) == inspect.signature(audit)
        assert "audit" in repr(made)

    def test_stores_one_type_under_both_names(self):
        @hook(TurnHook.ON_ERROR)
        async def audit(turn, error): ...

        assert audit.type is audit.hook_type is TurnHook.ON_ERROR
        audit.type = TurnHook.AFTER_RUN
        assert audit.hook_type is TurnHook.AFTER_RUN

    @pytest.mark.parametrize("make", [list, tuple])
    def test_stores_several_types_as_a_tuple(self, make):
        @hook(make([TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN]))
        async def audit(*args, **kwargs): ...

        assert audit.type == audit.hook_type == (TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN)

    def test_stores_a_list_of_one_as_that_one(self):
        @hook([MemoryHook.AFTER_APPEND])
        async def audit(items): ...

        assert audit.type is MemoryHook.AFTER_APPEND

    def test_stores_a_type_that_is_given_twice_once(self):
        @hook([TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN, TurnHook.BEFORE_RUN])
        async def audit(turn): ...

        assert audit.type == (TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN)

    def test_has_no_lock_unless_told(self):
        @hook(TurnHook.BEFORE_RUN)
        async def free(turn): ...

        @hook(TurnHook.BEFORE_RUN, lock=True)
        async def locked(turn): ...

        assert free.lock is None
        assert isinstance(locked.lock, asyncio.Lock)
        assert type(locked.lock) is CrossLoopLock, "it holds between event loops, too"

    def test_registers_the_hook_under_the_functions_name(self):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        assert HookRegistry.get("audit") is audit

    def test_refuses_a_taken_name_and_keeps_the_first(self):
        def make():
            @hook(TurnHook.BEFORE_RUN)
            async def audit(turn): ...

            return audit

        first = make()
        with pytest.raises(ValueError, match="Hook 'audit' already registered"):
            make()
        assert HookRegistry.get("audit") is first

    @pytest.mark.parametrize("wrong", ["before_run", 5, None, TurnHook, {TurnHook.BEFORE_RUN}], ids=repr)
    def test_refuses_what_is_no_type_at_the_call_that_gave_it(self, wrong):
        with pytest.raises(TypeError, match="type must be a hook type") as caught:
            hook(wrong)
        assert repr(wrong) in str(caught.value)

    def test_refuses_a_list_that_holds_something_else(self):
        with pytest.raises(TypeError, match=r"type must hold hook types .*, not 'after_run'"):
            hook([TurnHook.BEFORE_RUN, "after_run"])

    @pytest.mark.parametrize("empty", [[], ()])
    def test_refuses_an_empty_list(self, empty):
        with pytest.raises(ValueError, match="at least one hook type"):
            hook(empty)

    def test_refuses_what_is_not_a_coroutine_function(self):
        def plain(turn): ...

        async def generator(turn):
            yield

        for wrong in (plain, generator, 5):
            with pytest.raises(TypeError, match="Hook must be async") as caught:
                hook(TurnHook.BEFORE_RUN)(wrong)
            assert repr(wrong) in str(caught.value)
        for name in ("plain", "generator"):
            with pytest.raises(UnregisteredHookError):
                HookRegistry.get(name)

    def test_refuses_fixed_arguments_that_the_function_cannot_take(self):
        async def audit(turn): ...

        with pytest.raises(TypeError, match=r"Hook 'audit' fixed kwargs \['level'\] are not in function signature"):
            hook(TurnHook.BEFORE_RUN, level=1)(audit)
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("audit")

    def test_takes_its_options_by_name_only(self):
        with pytest.raises(TypeError, match="positional"):
            hook(TurnHook.BEFORE_RUN, True)


class TestCall:
    async def test_passes_positional_and_keyword_arguments(self):
        calls = []

        @hook([TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE])
        async def audit(*args, **kwargs):
            calls.append((args, kwargs))

        await audit(1, 2, x=3)
        assert calls == [((1, 2), {"x": 3})]

    @pytest.mark.parametrize("decision", [None, Skip(5)])
    @pytest.mark.parametrize("lock", [False, True])
    async def test_gives_back_what_the_function_decides(self, decision, lock):
        @hook(TurnHook.BEFORE_RUN, lock=lock)
        async def audit(turn):
            return decision

        assert await audit(None) is decision

    async def test_merges_fixed_arguments_and_calls_fixed_functions_each_time(self):
        calls, numbers = [], iter(range(10))

        async def fetch():
            return "fetched"

        @hook(TurnHook.BEFORE_RUN, level="info", number=lambda: next(numbers), later=fetch)
        async def audit(turn, level, number, later):
            calls.append((turn, level, number, later))

        await audit("first")
        await audit("second")
        assert calls == [("first", "info", 0, "fetched"), ("second", "info", 1, "fetched")]

    async def test_warns_once_that_a_fixed_argument_is_overridden(self, caplog):
        calls = []

        @hook(TurnHook.BEFORE_RUN, level="info")
        async def audit(turn, level):
            calls.append(level)

        with caplog.at_level(logging.WARNING, "pygents"):
            await audit(None, level="debug")
        assert calls == ["debug"]
        (record,) = caplog.records
        assert "overridden" in record.getMessage()
        assert "hook 'audit'" in record.getMessage()

    async def test_runs_one_invocation_at_a_time_under_its_lock(self):
        running, most = 0, 0

        @hook(TurnHook.BEFORE_RUN, lock=True)
        async def audit(turn):
            nonlocal running, most
            running += 1
            most = max(most, running)
            assert audit.lock.locked()
            await asyncio.sleep(1)
            running -= 1

        await asyncio.gather(*(audit(None) for _ in range(3)))
        assert most == 1
        assert not audit.lock.locked()

    async def test_gives_its_lock_back_when_it_raises(self):
        @hook(TurnHook.BEFORE_RUN, lock=True)
        async def audit(turn):
            raise LookupError("nothing there")

        with pytest.raises(LookupError, match="nothing there"):
            await audit(None)
        assert not audit.lock.locked()

    @pytest.mark.parametrize("fails", [False, True])
    async def test_notes_start_and_end_on_the_same_metadata_however_it_ends(self, fails):
        seen = []

        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn):
            seen.append((audit.metadata.start_time, audit.metadata.end_time))
            if fails:
                raise LookupError

        metadata, before = audit.metadata, datetime.now() - timedelta(seconds=1)  # noqa: DTZ005
        for _ in range(2):
            try:
                await audit(None)
            except LookupError:
                assert fails
        assert audit.metadata is metadata
        (first_start, first_end), (second_start, second_end) = seen
        assert first_end is None
        assert before <= first_start <= second_end <= second_start
        assert second_start == metadata.start_time <= metadata.end_time


class TestMetadata:
    def test_gives_plain_values_with_times_in_iso_format(self):
        start, end = datetime(2024, 5, 17, 10, 30), datetime(2024, 5, 17, 10, 31, 0, 5)  # noqa: DTZ001
        assert HookMetadata("audit", None, start, end).dict() == {
            "name": "audit",
            "description": None,
            "start_time": "2024-05-17T10:30:00",
            "end_time": "2024-05-17T10:31:00.000005",
        }

    def test_has_no_times_before_the_first_run(self):
        assert HookMetadata("audit", "Write a line.").dict() == {
            "name": "audit",
            "description": "Write a line.",
            "start_time": None,
            "end_time": None,
        }

    def test_can_be_set_and_compared(self):
        metadata, time = HookMetadata("audit", None), datetime(2024, 5, 17)  # noqa: DTZ001
        metadata.start_time = time
        assert metadata.start_time == time
        assert metadata == HookMetadata("audit", None, start_time=time)
        assert metadata != HookMetadata("audit", None)
        assert "name='audit'" in repr(metadata)
