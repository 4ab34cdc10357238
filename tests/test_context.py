"""What is running here, and the context variables that tools and hooks see."""

import asyncio
import threading
from contextlib import aclosing
from contextvars import ContextVar

import pytest

from pygents.agent import Agent
from pygents.context import current_agent, current_turn
from pygents.errors import TurnTimeoutError
from pygents.hooks import AgentHook, ToolHook, TurnHook, hook
from pygents.tool import tool
from pygents.turn import Turn

user = ContextVar("user", default="nobody")


@pytest.fixture
def seen():
    return []


@pytest.fixture
def note(seen):
    def note(event):
        async def fn(*args):
            seen.append((event.name, current_turn()))

        fn.__name__ = f"note_{event}"
        return hook(event)(fn)

    return note


def test_nothing_runs_outside_a_turn():
    assert current_turn() is None
    assert current_agent() is None


class TestCurrentTurn:
    async def test_is_the_turn_in_its_tool_arguments_and_hooks(self, seen, note):
        @tool(hooks=[note(event) for event in ToolHook])
        async def work(argument):
            await asyncio.sleep(1)
            seen.append(("tool", current_turn()))

        turn = Turn(
            work,
            [lambda: seen.append(("argument", current_turn()))],
            hooks=[note(event) for event in TurnHook],
        )
        await turn.returning()
        assert seen == [
            (name, turn) for name in ("BEFORE_RUN", "argument", "BEFORE_INVOKE", "tool", "AFTER_INVOKE", "AFTER_RUN")
        ]
        assert current_turn() is None

    async def test_is_none_between_two_values(self, seen, note):
        @tool(hooks=[note(ToolHook.ON_YIELD)])
        async def count():
            for _ in range(2):
                seen.append(("tool", current_turn()))
                yield
                await asyncio.sleep(1)

        turn = Turn(count, hooks=[note(event) for event in TurnHook])
        async for _ in turn.yielding():
            seen.append(("consumer", current_turn()))
        step = [("tool", turn), ("ON_YIELD", turn), ("ON_VALUE", turn), ("consumer", None)]
        assert seen == [("BEFORE_RUN", turn), *step, *step, ("AFTER_RUN", turn)]
        assert current_turn() is None

    async def test_is_the_turn_in_the_hooks_for_its_failure(self, seen, note):
        @tool()
        async def fail(seconds):
            await asyncio.sleep(seconds)
            raise LookupError

        hooks = [note(TurnHook.ON_ERROR), note(TurnHook.ON_TIMEOUT)]
        error, late = Turn(fail, [1], hooks=hooks), Turn(fail, [100], timeout=5, hooks=hooks)
        with pytest.raises(LookupError):
            await error.returning()
        with pytest.raises(TurnTimeoutError):
            await late.returning()
        assert seen == [("ON_ERROR", error), ("ON_TIMEOUT", late)]
        assert current_turn() is None

    async def test_is_the_turn_while_its_generator_is_closed(self, seen):
        @tool()
        async def count():
            try:
                yield
            finally:
                await asyncio.sleep(1)
                seen.append(current_turn())

        turn = Turn(count)
        async with aclosing(turn.yielding()) as values:
            await anext(values)
        assert seen == [turn]
        assert current_turn() is None

    async def test_is_the_inner_turn_inside_a_turn_and_the_outer_one_after_it(self, seen):
        @tool()
        async def inner():
            seen.append(current_turn())
            yield
            seen.append(current_turn())

        @tool()
        async def outer():
            async for _ in turns[1].yielding():
                seen.append(current_turn())
            seen.append(current_turn())

        turns = Turn(outer), Turn(inner)
        await turns[0].returning()
        assert seen == [turns[1], turns[0], turns[1], turns[0]]

    async def test_is_each_tasks_own(self, seen):
        @tool()
        async def work(seconds):
            await asyncio.sleep(seconds)
            return current_turn()

        turns = [Turn(work, [seconds]) for seconds in (3, 1, 2)]
        assert await asyncio.gather(*(turn.returning() for turn in turns)) == turns

    async def test_is_known_in_tasks_and_threads_that_the_tool_starts(self, seen):
        async def child():
            seen.append(current_turn())

        @tool()
        async def work():
            await asyncio.create_task(child())
            context = asyncio.current_task().get_context()
            thread = threading.Thread(target=lambda: seen.append(context.copy().run(current_turn)))
            thread.start()
            thread.join()

        turn = Turn(work)
        await turn.returning()
        assert seen == [turn, turn]

    async def test_is_not_left_behind_by_a_consumer_that_breaks_off(self):
        @tool()
        async def count():
            yield 1
            yield 2

        async for _ in Turn(count).yielding():
            break
        assert current_turn() is None
        await asyncio.sleep(1)
        assert current_turn() is None


class TestCurrentAgent:
    async def test_is_the_agent_whose_tool_or_hook_runs(self, seen):
        @hook([AgentHook.BEFORE_PUT, TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN])
        async def audit(*args):
            seen.append(current_agent())

        @tool()
        async def work():
            seen.append(current_agent())

        agent, turn = Agent("a", "", [work]), Turn(work, hooks=[audit])
        agent.hooks.append(audit)
        await agent.put(turn)
        async for _ in agent.run():
            assert (current_agent(), current_turn()) == (None, None)
        assert seen == [agent] * 4
        await agent.stop()

    async def test_is_known_in_a_turn_that_the_tool_runs_by_itself(self, seen):
        @tool()
        async def inner():
            seen.append((current_agent(), current_turn()))

        @tool()
        async def outer():
            await turn.returning()
            seen.append((current_agent(), current_turn()))

        agent, turn, outer_turn = Agent("a", "", [outer]), Turn(inner), Turn(outer)
        await agent.put(outer_turn)
        async for _ in agent.run():
            pass
        assert seen == [(agent, turn), (agent, outer_turn)]
        await agent.stop()

    async def test_is_none_in_a_turn_that_no_agent_runs(self):
        @tool()
        async def work():
            return current_agent()

        assert await Turn(work).returning() is None


class TestContextVariables:
    @pytest.mark.parametrize("suspends", [False, True])
    async def test_of_the_consumer_are_visible_in_a_coroutine_tool_and_its_hooks(self, seen, suspends):
        @hook([TurnHook.BEFORE_RUN, ToolHook.AFTER_INVOKE])
        async def audit(_):
            seen.append(user.get())

        @tool(hooks=[audit])
        async def work(name):
            if suspends:
                await asyncio.sleep(1)
            seen.append(name)

        token = user.set("ada")
        try:
            await Turn(work, [lambda: user.get()], hooks=[audit]).returning()  # noqa: PLW0108 (a plain function)
        finally:
            user.reset(token)
        assert seen == ["ada"] * 3

    async def test_of_the_consumer_are_visible_in_a_generator_tool_as_they_change(self):
        @tool()
        async def who():
            while True:
                yield user.get()

        async def consumer():
            async with aclosing(Turn(who).yielding()) as values:
                for name in ("ada", "grace"):
                    user.set(name)
                    yield await anext(values)

        async def collect():
            return [name async for name in consumer()]

        assert await asyncio.create_task(collect()) == ["ada", "grace"]
        assert user.get() == "nobody"

    async def test_that_a_coroutine_tool_sets_are_its_own(self):
        @tool()
        async def work():
            user.set("tool")

        await Turn(work).returning()
        assert user.get() == "nobody"


async def test_hooks_for_a_turn_that_failed_after_its_value_know_their_turn_and_agent():
    @tool()
    async def work(): ...

    @hook(AgentHook.AFTER_TURN)
    async def fail(agent, turn):
        raise LookupError

    @hook([TurnHook.ON_ERROR, AgentHook.ON_TURN_ERROR])
    async def note(*args):
        known.append((current_turn(), current_agent()))

    known = []
    agent = Agent("a", "d", [work])
    agent.hooks += [fail, note]
    turn = Turn(work, hooks=[note])
    await agent.put(turn)
    with pytest.raises(LookupError):
        async for _ in agent.run():
            pass
    assert known == [(turn, agent), (turn, agent)]
    assert (current_turn(), current_agent()) == (None, None)


async def test_a_hook_that_the_tool_itself_has_added_knows_its_turn_and_agent():
    @tool()
    async def work():
        agent.hooks.append(note)

    @hook(AgentHook.ON_TURN_VALUE)
    async def note(*args):
        known.append((current_turn(), current_agent()))

    known = []
    agent = Agent("a", "d", [work])
    turn = Turn(work)
    await agent.put(turn)
    async for _ in agent.run():
        assert current_turn() is None
    assert known == [(turn, agent)]
