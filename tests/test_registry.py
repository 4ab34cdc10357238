"""Registries: one table each of tools, agents and hooks, with unique names."""

import re
import threading
import time
from contextlib import suppress
from enum import StrEnum
from functools import partial
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from pygents.errors import UnregisteredAgentError, UnregisteredHookError, UnregisteredToolError
from pygents.hooks import AgentHook, TurnHook, hook
from pygents.registry import AgentRegistry, HookRegistry, ToolRegistry
from pygents.tool import ToolMetadata, tool


def agent(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, ref=SimpleNamespace(is_alive=lambda: True))


class TestToolRegistry:
    def test_finds_a_tool_by_its_name(self):
        @tool()
        async def greet(): ...

        assert ToolRegistry.get("greet") is greet

    def test_lists_all_tools_in_the_order_of_their_registration(self):
        @tool()
        async def zebra(): ...

        @tool()
        async def ant(): ...

        assert ToolRegistry.all() == [zebra, ant]

    def test_gives_a_list_that_is_the_callers_own(self):
        ToolRegistry.all().append("junk")
        assert ToolRegistry.all() == []

    @pytest.mark.parametrize("name", ["nobody", "", 5, None, [1]])
    def test_says_that_an_unknown_name_was_not_found(self, name):
        with pytest.raises(UnregisteredToolError, match=f"^Tool {re.escape(repr(name))} not found"):
            ToolRegistry.get(name)

    def test_refuses_a_taken_name_and_keeps_the_first(self):
        def make():
            @tool()
            async def greet(): ...

            return greet

        first = make()
        with pytest.raises(ValueError, match="Tool 'greet' already registered"):
            make()
        assert ToolRegistry.all() == [first]

    def test_refuses_the_same_tool_again(self):
        @tool()
        async def greet(): ...

        with pytest.raises(ValueError, match="Tool 'greet' already registered"):
            ToolRegistry.register(greet)

    @pytest.mark.parametrize(("name", "error"), [("", ValueError), (None, TypeError), (5, TypeError)])
    def test_refuses_a_name_that_is_none(self, name, error):
        class Own:
            metadata = ToolMetadata("own", None)
            __name__ = name

            def __call__(self): ...

        with pytest.raises(error, match=r"the name of .*Own object.* must"):
            ToolRegistry.register(Own())
        assert ToolRegistry.all() == []

    @pytest.mark.parametrize("wrong", [5, "x", len, SimpleNamespace(metadata=ToolMetadata("x", None))], ids=repr)
    def test_refuses_what_is_no_tool(self, wrong):
        with pytest.raises(TypeError, match=f"^{re.escape(repr(wrong))} is not a tool: decorate an async function"):
            ToolRegistry.register(wrong)
        assert ToolRegistry.all() == []


class TestAgentRegistry:
    def test_finds_an_agent_by_its_name(self):
        ada = agent("ada")
        AgentRegistry.register(ada)
        assert AgentRegistry.get("ada") is ada

    def test_says_that_an_unknown_name_was_not_found(self):
        with pytest.raises(UnregisteredAgentError, match="Agent 'ada' not found"):
            AgentRegistry.get("ada")

    def test_refuses_a_taken_name_and_keeps_the_first(self):
        first = agent("ada")
        AgentRegistry.register(first)
        with pytest.raises(ValueError, match="Agent 'ada' already registered"):
            AgentRegistry.register(agent("ada"))
        assert AgentRegistry.get("ada") is first

    @pytest.mark.parametrize("wrong", [5, "x", SimpleNamespace(name=5)], ids=repr)
    def test_refuses_what_is_no_agent(self, wrong):
        for refused in (lambda: AgentRegistry.register(wrong), lambda: AgentRegistry.rename(wrong, "ada")):
            with pytest.raises(TypeError, match=f"^{re.escape(repr(wrong))} is not an agent"):
                refused()

    def test_is_empty_after_clear(self):
        AgentRegistry.register(agent("ada"))
        AgentRegistry.clear()
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("ada")

    def test_moves_an_agent_to_another_name(self):
        ada = agent("ada")
        AgentRegistry.register(ada)
        AgentRegistry.rename(ada, "lovelace")
        assert AgentRegistry.get("lovelace") is ada
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("ada")

    def test_refuses_to_move_an_agent_to_a_taken_name(self):
        ada, grace = agent("ada"), agent("grace")
        AgentRegistry.register(ada)
        AgentRegistry.register(grace)
        with pytest.raises(ValueError, match="Agent 'grace' already registered"):
            AgentRegistry.rename(ada, "grace")
        assert (AgentRegistry.get("ada"), AgentRegistry.get("grace")) == (ada, grace)

    def test_does_not_bring_a_forgotten_agent_back_under_a_new_name(self):
        ada = agent("ada")
        AgentRegistry.rename(ada, "lovelace")
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("lovelace")

    def test_gives_up_only_the_name_of_that_very_agent(self):
        ada = agent("ada")
        AgentRegistry.register(ada)
        AgentRegistry.discard(agent("ada"))
        assert AgentRegistry.get("ada") is ada
        AgentRegistry.discard(ada)
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("ada")

    def test_gives_a_name_to_one_of_many_threads(self):
        class Name(str):
            """A name whose look-up lets other threads go on in the middle."""

            __slots__ = ()

            def __hash__(self):
                time.sleep(0)
                return super().__hash__()

        def register(names):
            start.wait(10)
            for name in names:
                contender = agent(name)
                with suppress(ValueError):
                    AgentRegistry.register(contender)
                    won.append(contender)

        start, won = threading.Barrier(4), []
        names = [Name(number) for number in range(50)]
        threads = [threading.Thread(target=register, args=(names,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(one.name for one in won) == sorted(names)
        assert all(AgentRegistry.get(one.name) is one for one in won)


class TestHookRegistry:
    def test_takes_a_plain_async_function_and_stores_what_it_is_for(self):
        async def audit(turn): ...

        HookRegistry.register(audit, hook_type=TurnHook.BEFORE_RUN)
        assert HookRegistry.get("audit") is audit
        assert audit.type is audit.hook_type is TurnHook.BEFORE_RUN

    def test_takes_a_hook_under_another_name(self):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        HookRegistry.register(audit, "second")
        assert HookRegistry.get("second") is HookRegistry.get("audit") is audit
        assert audit.type is TurnHook.BEFORE_RUN

    def test_changes_what_a_hook_is_for_if_told(self):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(*args): ...

        for hook_type in (AgentHook.BEFORE_TURN, (TurnHook.AFTER_RUN, TurnHook.ON_ERROR)):
            HookRegistry.register(audit, hook_type=hook_type)
            assert audit.type == audit.hook_type == hook_type

    def test_takes_the_same_hook_again(self):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        HookRegistry.register(audit)
        assert HookRegistry.get("audit") is audit

    def test_refuses_another_hook_under_a_taken_name_and_leaves_it_as_it_was(self):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        async def other(turn): ...

        with pytest.raises(ValueError, match="Hook 'audit' already registered"):
            HookRegistry.register(other, "audit", TurnHook.AFTER_RUN)
        assert HookRegistry.get("audit") is audit
        assert not hasattr(other, "type")

    def test_refuses_a_function_that_nothing_says_the_event_of(self):
        async def audit(turn): ...

        with pytest.raises(ValueError, match="Hook 'audit' has no type: give hook_type"):
            HookRegistry.register(audit)
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("audit")

    @pytest.mark.parametrize("wrong", ["before_run", 5, [], [TurnHook.BEFORE_RUN, "after_run"]])
    def test_refuses_a_type_that_is_none(self, wrong):
        async def audit(turn): ...

        with pytest.raises((TypeError, ValueError), match="type"):
            HookRegistry.register(audit, hook_type=wrong)
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("audit")
        assert not hasattr(audit, "type")

    @pytest.mark.parametrize("wrong", [5, "audit", None])
    def test_refuses_what_cannot_be_called(self, wrong):
        with pytest.raises(TypeError, match=repr(wrong)):
            HookRegistry.register(wrong, "audit", TurnHook.BEFORE_RUN)
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("audit")

    @pytest.mark.parametrize(("name", "error"), [("", ValueError), (5, TypeError)])
    def test_refuses_a_name_that_is_none(self, name, error):
        async def audit(turn): ...

        with pytest.raises(error, match="a hook's name must"):
            HookRegistry.register(audit, name, TurnHook.BEFORE_RUN)

    def test_says_that_an_unknown_name_was_not_found(self):
        with pytest.raises(UnregisteredHookError, match="Hook 'audit' not found"):
            HookRegistry.get("audit")

    def test_is_empty_after_clear(self):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        HookRegistry.clear()
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("audit")

    def test_gives_the_first_of_a_list_that_is_for_a_type(self):
        @hook(AgentHook.BEFORE_TURN)
        async def other(agent): ...

        @hook([TurnHook.AFTER_RUN, TurnHook.BEFORE_RUN])
        async def both(*args): ...

        @hook(TurnHook.BEFORE_RUN)
        async def single(turn): ...

        assert HookRegistry.get_by_type(TurnHook.BEFORE_RUN, [other, both, single]) is both
        assert HookRegistry.get_by_type(TurnHook.BEFORE_RUN, [single, both]) is single

    def test_gives_nothing_for_a_type_that_no_hook_of_the_list_is_for(self):
        @hook(TurnHook.BEFORE_RUN)
        async def single(turn): ...

        async def untyped(turn): ...

        assert HookRegistry.get_by_type(TurnHook.AFTER_RUN, [single, untyped]) is None
        assert HookRegistry.get_by_type(TurnHook.BEFORE_RUN, []) is None

    def test_knows_the_name_that_a_hook_is_found_under(self):
        async def audit(turn): ...

        @hook(TurnHook.BEFORE_RUN)
        async def other(turn): ...

        HookRegistry.register(audit, "trail", TurnHook.BEFORE_RUN)
        assert HookRegistry.name_of(audit) == "trail"
        HookRegistry.register(audit)
        assert HookRegistry.name_of(audit) == "audit"

    def test_calls_a_hook_that_it_does_not_have_by_its_own_name(self):
        @hook(TurnHook.BEFORE_RUN)
        async def audit(turn): ...

        HookRegistry.clear()
        assert HookRegistry.name_of(audit) == "audit"

    @pytest.mark.parametrize(
        "wrong", [lambda turn: None, print, dict, SimpleNamespace(), partial(print), 5, "audit"], ids=repr
    )
    def test_refuses_what_is_not_async(self, wrong):
        with pytest.raises(TypeError, match=r"^Hook must be async"):
            HookRegistry.register(wrong, "audit", TurnHook.BEFORE_RUN)
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("audit")

    def test_takes_any_async_callable(self):
        class Audit:
            async def __call__(self, turn): ...

        async def audit(turn, level): ...

        for name, given in (("object", Audit()), ("partial", partial(audit, level=1)), ("mock", AsyncMock())):
            HookRegistry.register(given, name, TurnHook.BEFORE_RUN)
            assert HookRegistry.get(name) is given
            assert given.type is TurnHook.BEFORE_RUN

    @pytest.mark.parametrize("wrong", [5, None, "before_run", (TurnHook.BEFORE_RUN,)], ids=repr)
    def test_does_not_look_for_a_type_that_is_none(self, wrong):
        with pytest.raises(TypeError, match=r"^hook_type must be a hook type such as TurnHook\.BEFORE_RUN") as caught:
            HookRegistry.get_by_type(wrong, [])
        assert repr(wrong) in str(caught.value)

    @pytest.mark.parametrize("wrong", [5, None, "audit"], ids=repr)
    def test_does_not_look_in_what_is_no_list_of_hooks(self, wrong):
        with pytest.raises(TypeError, match=r"^hooks must be a list of hooks"):
            HookRegistry.get_by_type(TurnHook.BEFORE_RUN, wrong)

    def test_refuses_what_cannot_be_given_a_type_and_forgets_its_name(self):
        class Audit:
            async def method(self, turn): ...

        with pytest.raises(TypeError, match="cannot be given a type: decorate"):
            HookRegistry.register(Audit().method, hook_type=TurnHook.BEFORE_RUN)
        with pytest.raises(UnregisteredHookError):
            HookRegistry.get("method")

    def test_takes_a_list_of_types_as_the_decorator_does(self):
        async def audit(*args): ...

        HookRegistry.register(audit, hook_type=[TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN])
        assert audit.type == audit.hook_type == (TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN)

    def test_refuses_a_type_of_another_enumeration(self):
        class Mine(StrEnum):
            EVENT = "before_run"

        async def audit(turn): ...

        with pytest.raises(TypeError, match="must be a hook type"):
            HookRegistry.register(audit, hook_type=Mine.EVENT)
