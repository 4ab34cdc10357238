"""Agents that ask each other in a ring, from their tools and hooks: refused. What is not waited for is free to ask."""

import asyncio

import pytest

from pygents import ActorSystem, Agent, AgentHook, Replace, ToolHook, Turn, TurnHook, current_agent
from pygents import hook as make_hook
from pygents import tool as make_tool
from pygents.actors import (
    AskCycleError,
    AsyncActor,
    Directive,
    Supervision,
    ThreadDispatcher,
)
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


class TestARingOfAgents:
    @pytest.mark.parametrize("dispatcher", [None, ThreadDispatcher])
    @pytest.mark.parametrize("kind", ["call", "stream"])
    @pytest.mark.real_time
    async def test_is_refused_to_the_tool_that_closes_it(self, system, agents, kind, dispatcher):
        a, b, c = agents

        async def close():
            with pytest.raises(AskCycleError) as caught:
                await a.ask(Turn("answer"))
            return caught.value.cycle

        async with system:
            for agent in agents:
                system.spawn(agent, dispatcher=dispatcher)
            ask = by_tool(kind)
            outcome = await a.ask(ask(lambda: b.ask(ask(lambda: c.ask(ask(close))))))
            assert "('c', 'a', 'b')" in str(outcome)
            assert [agent.ref.statistics().accepted for agent in agents] == [1, 1, 1], "nothing was sent"

    @pytest.mark.parametrize("kind", ["call", "stream"])
    async def test_is_refused_if_it_is_one_agent_alone(self, system, agents, kind):
        a = agents[0]

        async with system:
            system.spawn(a)
            with pytest.raises(AskCycleError, match="'a' would wait for ever, for itself"):
                await a.ask(by_tool(kind)(lambda: a.ask(Turn("answer"))))
            with pytest.raises(AskCycleError):
                await a.ask(by_tool(kind)(lambda: a.ref.ask_async(Turn("answer"))))

    async def test_fails_the_turns_of_all_who_let_it_out(self, system, agents):
        a, b, _ = agents
        async with system:
            for agent in agents:
                system.spawn(agent)
            turns = [Turn("call"), Turn("call")]
            turns[1].args = [[lambda: a.ask(Turn("answer"))]]
            turns[0].args = [[lambda: b.ask(turns[1])]]
            with pytest.raises(AskCycleError):
                await a.ask(turns[0])
            assert [turn.stop_reason for turn in turns] == ["error", "error"]

    async def test_is_refused_with_plain_actors_in_it(self, system, agents):
        class Relay(AsyncActor):
            async def on_receive(self, function):
                return await function()

        a, b, _ = agents
        async with system:
            system.spawn(a)
            system.spawn(b)
            relay = system.spawn(Relay, name="relay")
            ask = by_tool("call")
            with pytest.raises(AskCycleError) as caught:
                await a.ask(ask(lambda: relay.ask_async(lambda: b.ask(ask(lambda: a.ask(Turn("answer")))))))
            assert caught.value.cycle == ("b", "a", "relay")
            with pytest.raises(AskCycleError) as caught:
                await relay.ask_async(lambda: a.ask(ask(lambda: relay.ask_async(None))))
            assert caught.value.cycle == ("a", "relay")

    @pytest.mark.parametrize("hook_timeout", [None, 50])
    @pytest.mark.parametrize("kind", [TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN, ToolHook.BEFORE_INVOKE])
    @pytest.mark.parametrize("streams", [False, True])
    async def test_is_refused_to_a_hook_of_a_turn_or_tool(self, agents, kind, hook_timeout, streams):
        a, b, _ = agents
        caught = []

        @make_hook(kind)
        async def ask_back(*args, **kwargs):
            try:
                await a.ask(Turn("answer"))
            except AskCycleError as error:
                caught.append(error.cycle)

        turn = Turn("stream" if streams else "call", [[lambda: asyncio.sleep(0, "fine")]])
        (turn.tool if isinstance(kind, ToolHook) else turn).hooks.append(ask_back)
        async with ActorSystem("s", hook_timeout=hook_timeout) as system:
            system.spawn(a)
            system.spawn(b)
            asked = Turn("call", [[lambda: b.ask(turn)]])
            if isinstance(kind, ToolHook) and not streams:  # of the one tool that both use
                asked = Turn("stream", [[lambda: b.ask(turn)]])
            assert await a.ask(asked)
            assert caught == [("b", "a")]

    @pytest.mark.parametrize("hook_timeout", [None, 50])
    @pytest.mark.parametrize("streams", [False, True])
    @pytest.mark.parametrize("kind", [AgentHook.BEFORE_TURN, AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN])
    async def test_is_refused_to_a_hook_of_an_agent(self, agents, kind, hook_timeout, streams):
        a, b, _ = agents
        caught = []

        @make_hook(kind)
        async def ask_back(*args):
            try:
                await a.ask(Turn("answer"))
            except AskCycleError as error:
                caught.append(error.cycle)

        b.hooks.append(ask_back)
        async with ActorSystem("s", hook_timeout=hook_timeout) as system:
            system.spawn(a)
            system.spawn(b)
            turn = Turn("stream" if streams else "call", [[lambda: asyncio.sleep(0, "fine")]])
            assert await a.ask(Turn("call", [[lambda: b.ask(turn)]]))
            assert caught == [("b", "a")]

    @pytest.mark.parametrize("hook_timeout", [None, 50])
    async def test_is_refused_to_a_put_hook_of_the_agent_that_is_asked(self, agents, hook_timeout):
        """It runs in the asker's tool, which waits for it, and so does the agent of that tool."""
        a, b, _ = agents
        caught = []

        @make_hook([AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT])
        async def ask_asker(agent, turn):
            try:
                await a.ask(Turn("answer"))
            except AskCycleError as error:
                caught.append(error.cycle)

        b.hooks.append(ask_asker)
        async with ActorSystem("s", hook_timeout=hook_timeout) as system:
            system.spawn(a)
            system.spawn(b)
            assert await a.ask(Turn("call", [[lambda: b.ask(Turn("answer"))]])) == "the end"
            assert caught == [("a",), ("a",)]

    async def test_is_noticed_when_the_hooks_after_a_put_have_asked_somebody_else(self, system, agents):
        a, b, c = agents

        @make_hook(AgentHook.AFTER_PUT)
        async def ask_other(agent, turn):
            await c.ask(Turn("answer"))

        b.hooks.append(ask_other)
        async with system:
            for agent in agents:
                system.spawn(agent)
            with pytest.raises(AskCycleError) as caught:
                await a.ask(Turn("call", [[lambda: b.ask(Turn("call", [[lambda: a.ask(Turn("answer"))]]))]]))
            assert set(caught.value.cycle) == {"a", "b"}
            await system.wait_idle()
            assert all(agent._actor.child.waits_for is None for agent in agents)

    async def test_is_refused_to_on_message_and_on_start(self, tools):
        class Own(Agent):
            async def on_start(self):
                await self.ask_back()

            async def on_message(self, message):
                return await self.ask_back()

            async def ask_back(self):
                with pytest.raises(AskCycleError) as caught:
                    await a.ask(Turn("answer"))
                return caught.value.cycle

        async def spawn_and_ask():
            return await current_agent().spawn(own).ask_async("hello")

        a, own = Agent("a", "Asks", tools), Own("own", "Asks back", tools)
        async with ActorSystem("s") as system:
            system.spawn(a)
            assert await a.ask(Turn("call", [[spawn_and_ask]])) == ("a/own", "a")

    async def test_is_refused_though_hooks_have_decided_on_an_ask(self, system, agents):
        a, b, _ = agents

        @make_hook(AgentHook.BEFORE_PUT)
        async def replace(agent, turn):
            return Replace(args=[[lambda: a.ask(Turn("answer"))]])

        b.hooks.append(replace)
        async with system:
            system.spawn(a)
            system.spawn(b)
            with pytest.raises(AskCycleError):
                await a.ask(Turn("call", [[lambda: b.ask(Turn("call", [[hang]]))]]))
