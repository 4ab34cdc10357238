"""Which code an agent waits for: tools and hooks it does, but not what they have begun, nor what was left alone."""

import asyncio
import gc
import weakref

import pytest

from pygents import ActorSystem, Agent, AgentHook, SafeExecutionError, Turn
from pygents import hook as make_hook
from pygents import tool as make_tool
from pygents.actors import AsyncActor, Directive, Supervision, Timeout, WouldDeadlockError
from tests.actors.helpers import hang

CARELESS = Supervision(decide=lambda _: Directive.RESUME)


@pytest.fixture
def system():
    return ActorSystem("s", supervision=CARELESS)


@pytest.fixture
def tools():
    @make_tool()
    async def call(functions):  # in a list: a function by itself would be a dynamic argument
        return await functions[0]()

    @make_tool()
    async def stream(functions):
        yield await functions[0]()

    @make_tool()
    async def answer():
        return "the end"

    return [call, stream, answer]


@pytest.fixture
def agents(tools):
    return [Agent(name, "Asks", tools) for name in "abc"]


def by_tool(name):
    """Return a way to have a function run in a tool."""

    def turn(function):
        return Turn(name, [[function]])

    return turn


class Listens(Agent):
    """Is busy for a second when it gets a message that is no turn."""

    async def on_message(self, message):
        await asyncio.sleep(1)


class TestWhatNobodyWaitsFor:
    @pytest.mark.parametrize("kind", ["call", "stream"])
    async def test_is_free_to_ask_its_own_agent(self, system, agents, kind):
        a = agents[0]
        tasks = []

        async def begin():
            tasks.append(asyncio.create_task(a.ask(Turn("answer"))))

        async with system:
            system.spawn(a)
            await a.ask(by_tool(kind)(begin))
            assert await tasks[0] == "the end"

    @pytest.mark.parametrize("kind", ["call", "stream"])
    async def test_is_free_to_though_it_runs_a_turn_by_itself(self, system, agents, kind):
        """Its tool has a task of our name, and the context of the handler that has begun it."""
        a = agents[0]
        tasks = []

        async def begin():
            own = Turn("call", [[lambda: a.ask(Turn("answer"))]])
            tasks.append(asyncio.create_task(own.returning()))

        async with system:
            system.spawn(a)
            await a.ask(by_tool(kind)(begin))
            a.tell(Turn("call", [[lambda: asyncio.sleep(1)]]))
            assert await tasks[0] == "the end"

    async def test_is_free_to_though_it_drains_an_agent_by_itself(self, system, agents):
        a, local, _ = agents
        tasks = []

        async def drain():
            await local.put(Turn("call", [[lambda: a.ask(Turn("answer"))]]))
            return [value async for _, value in local.run()]

        async def begin():
            tasks.append(asyncio.create_task(drain()))

        async with system:
            system.spawn(a)
            await a.ask(Turn("call", [[begin]]))
            a.tell(Turn("call", [[lambda: asyncio.sleep(1)]]))
            assert await tasks[0] == ["the end"]

    @pytest.mark.parametrize("kind", ["call", "stream"])
    async def test_is_a_tool_that_was_left_alone(self, system, tools, kind):
        a = Listens("a", "Listens", tools)
        asked = []

        async def ignore():
            try:
                await hang()
            except asyncio.CancelledError:
                await released.wait()
                asked.append(await a.ask(Turn("answer")))

        released = asyncio.Event()
        async with system:
            system.spawn(a, shutdown=1.0)
            turn = by_tool(kind)(ignore)
            turn.timeout = 1
            late = a.ref.ask(turn, block=False)
            busy = a.ref.ask("hello", block=False)  # which is handled next, without a pause
            with pytest.raises(TimeoutError):
                await late
            released.set()
            await busy
            await asyncio.sleep(1)
            assert asked == ["the end"]

    @pytest.mark.parametrize("kind", ["call", "stream"])
    async def test_is_a_tool_whose_handler_was_abandoned(self, system, tools, kind):
        a = Listens("a", "Listens", tools)
        asked = []

        async def ignore():
            if asked:
                return "again"
            asked.append(None)
            try:
                await hang()
            except asyncio.CancelledError:
                await released.wait()
                asked.append(await a.ask(Turn("answer")))

        released = asyncio.Event()
        async with system:
            system.spawn(a, shutdown=1.0)
            a.tell(by_tool(kind)(ignore))
            await asyncio.sleep(0.5)
            busy = a.ref.ask("hello", block=False)
            assert await a.cancel_turn()
            await asyncio.sleep(0.5)
            released.set()
            await busy
            await asyncio.sleep(1)
            assert asked == [None, "the end"]

    async def test_is_a_hook_that_was_left_alone(self, agents):
        a = agents[0]
        asked = []

        @make_hook(AgentHook.BEFORE_TURN)
        async def ignore(agent):
            if asked:
                return
            asked.append(None)
            try:
                await hang()
            except asyncio.CancelledError:
                await released.wait()
                asked.append(await a.ask(Turn("answer")))

        a.hooks.append(ignore)
        released = asyncio.Event()
        async with ActorSystem("s", hook_timeout=1, supervision=CARELESS) as system:
            system.spawn(a, shutdown=1.0)
            a.tell(Turn("answer"))
            await asyncio.sleep(3)
            busy = asyncio.ensure_future(a.ask(Turn("call", [[lambda: asyncio.sleep(1)]])))
            await asyncio.sleep(0.5)
            released.set()
            await busy
            await asyncio.sleep(1)
            assert asked == [None, "the end"]

    async def test_is_a_hook_whose_handler_was_abandoned(self, tools):
        a = Listens("a", "Listens", tools)
        asked = []

        @make_hook(AgentHook.BEFORE_TURN)
        async def ignore(agent):
            if asked:
                return
            asked.append(None)
            try:
                await hang()
            except asyncio.CancelledError:
                await released.wait()
                asked.append(await a.ask(Turn("answer")))

        a.hooks.append(ignore)
        released = asyncio.Event()
        async with ActorSystem("s", hook_timeout=1000, supervision=CARELESS) as system:
            system.spawn(a, shutdown=1.0)
            a.tell(Turn("answer"))
            await asyncio.sleep(0.5)
            assert await a.cancel_turn()
            busy = asyncio.ensure_future(a.ref.ask_async("hello"))
            await asyncio.sleep(0.5)
            released.set()
            await busy
            await asyncio.sleep(1)
            assert asked == [None, "the end"]

    async def test_is_the_task_of_a_generator_tool_whose_hook_was_abandoned(self, system, tools):
        a = Listens("a", "Listens", tools)
        asked = []

        @make_hook(AgentHook.ON_TURN_VALUE)
        async def ignore(agent, turn, value):
            if asked:
                return
            asked.append(None)
            try:
                await hang()
            except asyncio.CancelledError:
                await released.wait()
                asked.append(await a.ask(Turn("answer")))

        a.hooks.append(ignore)
        released = asyncio.Event()
        async with system:
            system.spawn(a, shutdown=1.0)
            a.tell(by_tool("stream")(lambda: asyncio.sleep(0)))
            await asyncio.sleep(0.5)
            busy = a.ref.ask("hello", block=False)
            assert await a.cancel_turn()
            released.set()
            await busy
            await asyncio.sleep(1)
            assert asked == [None, "the end"]

    async def test_is_an_on_start_that_was_left_alone(self, system):
        class Starts(AsyncActor):
            async def on_start(self):
                if not lives:
                    lives.append("first")
                    try:
                        await hang()
                    except asyncio.CancelledError:
                        await released.wait()
                        lives.append(await ref.ask_async("first"))

            async def on_receive(self, message):
                await asyncio.sleep(1)
                return message

        lives = []
        released = asyncio.Event()
        async with system:
            ref = system.spawn(Starts, start_timeout=1.0, shutdown=1.0)
            busy = asyncio.ensure_future(ref.ask_async("busy"))
            await asyncio.sleep(2.5)
            released.set()
            assert await busy == "busy"
            await system.wait_idle()
            assert lives == ["first", "first"]

    async def test_asks_in_vain_as_long_as_the_tool_waits_for_it(self, system, agents):
        a, b, _ = agents

        async def both():
            return await asyncio.gather(b.ask(Turn("call", [[back]])))

        async def back():
            with pytest.raises(Timeout):
                await a.ask(Turn("answer"), timeout=5)
            return "in vain"

        async with system:
            system.spawn(a)
            system.spawn(b)
            assert await a.ask(Turn("call", [[both]])) == ["in vain"]


class TestOwnCode:
    """What else is refused to a turn's own code, and is told in the same way."""

    @pytest.mark.parametrize("kind", ["call", "stream"])
    async def test_of_a_tool_cannot_cancel_its_turn_nor_wait_for_its_system(self, system, agents, kind):
        a = agents[0]

        async def refused():
            with pytest.raises(SafeExecutionError):
                await a.cancel_turn()
            with pytest.raises(WouldDeadlockError):
                await system.wait_idle()
            return "refused"

        async with system:
            system.spawn(a)
            assert "refused" in await a.ask(by_tool(kind)(refused))


async def test_an_agent_that_is_idle_does_not_hold_its_last_turn(system, agents):
    a = agents[0]
    async with system:
        system.spawn(a)
        for kind in ("call", "stream"):
            turn = by_tool(kind)(lambda: asyncio.sleep(1))
            a.tell(turn)
            found = weakref.ref(turn)
            del turn
            await system.wait_idle()
            gc.collect()
            assert found() is None
