"""A turn that was asked for, and that its agent comes to when the asker has given up: it is not run."""

import asyncio

import pytest

from pygents import ActorSystem, Agent, AgentHook, Replace, Turn
from pygents import hook as make_hook
from pygents import tool as make_tool
from pygents.actors import DeadLetterReason, Timeout
from tests.actors.helpers import messages_of


@pytest.fixture
def ran():
    return []


@pytest.fixture
def agent(ran):
    @make_tool()
    async def work(name, seconds=0):
        ran.append(name)
        await asyncio.sleep(seconds)
        return name

    @make_tool()
    async def stream(name):
        ran.append(name)
        yield name

    @make_tool()
    async def hand_on(name):
        ran.append(name)
        return Turn("work", args=[f"after {name}"])

    return Agent("a", "Works", [work, stream, hand_on])


def hook_for(kind):
    @make_hook(kind)
    async def ignore(*args):
        pass

    return ignore


def work(name, seconds=0, tool="work"):
    return Turn(tool, args=[name, seconds] if tool == "work" else [name])


async def results(agent):
    return [value async for _, value in agent.run()]


async def ask_in_vain(agent, turn, timeout=5):
    with pytest.raises(Timeout):
        await agent.ref.ask_async(turn, timeout=timeout)


class TestALiveAgent:
    @pytest.mark.parametrize("tool", ["work", "stream"])
    async def test_does_not_run_it(self, agent, ran, tool):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.tell(work("long", 10))
            turn = work("late", tool=tool)
            with pytest.raises(Timeout):
                await agent.ask(turn, timeout=5)
            await ask_in_vain(agent, work("later"), 4)
            await system.wait_idle()
            assert ran == ["long"]
            assert turn.stop_reason is None
            assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.EXPIRED] * 2
            assert agent.ref.statistics().dead_lettered == 2

    async def test_does_not_run_one_that_hooks_have_decided_on(self, agent, ran):
        @make_hook(AgentHook.BEFORE_PUT)
        async def replace(agent, turn):
            return Replace(args=["replaced"])

        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.tell(work("long", 10))
            agent.hooks.append(replace)
            with pytest.raises(Timeout):
                await agent.ask(work("late"), timeout=5)
            await system.wait_idle()
            assert ran == ["long"]

    @pytest.mark.parametrize("seconds", [16, 24])  # when the hook for AFTER_PUT is on, and after it
    async def test_counts_from_when_the_put_hooks_are_done_as_the_wait_does(self, agent, ran, seconds):
        @make_hook([AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT])
        async def slow(agent, turn):
            await asyncio.sleep(10)

        agent.hooks.append(slow)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.tell(work("long", seconds))
            assert await agent.ask(work("in time"), timeout=5) == "in time"

    async def test_finishes_one_that_it_has_begun(self, agent, ran):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            with pytest.raises(Timeout):
                await agent.ask(work("long", 10), timeout=5)
            await system.wait_idle()
            assert agent.ref.statistics().handled == 1


@pytest.mark.parametrize("hooked", [False, True])
class TestARun:
    async def test_passes_it_over(self, agent, ran, hooked, caplog):
        if hooked:
            agent.hooks.append(hook_for(AgentHook.BEFORE_TURN))
        await ask_in_vain(agent, work("late"))
        await agent.put(work("told"))
        await ask_in_vain(agent, work("late, too", tool="stream"))
        assert await results(agent) == ["told"]
        assert ran == ["told"]
        assert len(messages_of(caplog, "does not handle what nobody waits for now")) == 2

    async def test_fails_the_reply_of_who_has_not_looked_yet(self, agent, ran, hooked):
        if hooked:
            agent.hooks.append(hook_for(AgentHook.BEFORE_TURN))
        reply = agent.ref.ask(work("late"), block=False, timeout=5)
        await asyncio.sleep(5)
        assert await results(agent) == []
        with pytest.raises(Timeout, match="did not come to the message in time"):
            await reply

    async def test_runs_what_is_asked_for_in_time(self, agent, ran, hooked):
        if hooked:
            agent.hooks.append(hook_for(AgentHook.BEFORE_TURN))
        reply = agent.ref.ask(work("in time"), block=False, timeout=5)
        await asyncio.sleep(4.9)
        assert await results(agent) == ["in time"]
        assert await reply == "in time"

    async def test_finishes_one_that_it_has_begun(self, agent, ran, hooked):
        if hooked:
            agent.hooks.append(hook_for(AgentHook.BEFORE_TURN))
        asked = asyncio.ensure_future(agent.ref.ask_async(work("long", 10), timeout=5))
        await asyncio.sleep(0)
        assert await results(agent) == ["long"]
        with pytest.raises(Timeout):
            await asked

    async def test_passes_one_over_that_was_cut_and_has_no_time_left(self, agent, ran, hooked):
        if hooked:
            agent.hooks.append(hook_for(AgentHook.BEFORE_TURN))
        reply = agent.ref.ask(work("long", 10), block=False, timeout=5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await results(agent)
        assert agent.to_dict()["current_turn"] is not None
        await asyncio.sleep(1)
        assert await results(agent) == []
        assert ran == ["long"]
        with pytest.raises(Timeout):
            await reply
        assert agent.to_dict()["current_turn"] is None

    async def test_answers_a_message_that_is_no_turn_with_a_timeout_as_well(self, agent, ran, hooked):
        if hooked:
            agent.hooks.append(hook_for(AgentHook.BEFORE_TURN))
        await ask_in_vain(agent, "no turn")
        assert await results(agent) == []

    async def test_leaves_it_in_the_queue_while_it_is_paused(self, agent, ran, hooked):
        if hooked:
            agent.hooks.append(hook_for(AgentHook.BEFORE_TURN))
        await ask_in_vain(agent, work("late"))
        agent.pause()
        running = asyncio.ensure_future(results(agent))
        await asyncio.sleep(1)
        assert len(agent.to_dict()["queue"]) == 1
        agent.resume()
        assert await running == []


class TestOneWhoseToolHasCompleted:
    """It was come to in time: what is left of it is done, whenever that is."""

    async def cut_after_its_tool(self, agent):
        """Ask for a turn, and leave its consumer cut in a hook, when the turn that the tool has returned is put."""

        @make_hook(AgentHook.BEFORE_PUT)
        async def slow(agent, turn):
            await asyncio.sleep(10)

        agent.hooks.append(slow)
        reply = agent.ref.ask(work("first", tool="hand_on"), block=False, timeout=5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await results(agent)
        agent.hooks = []
        assert agent.to_dict()["current_turn_due"] == "put"
        await asyncio.sleep(4)
        return reply

    async def test_is_finished_by_the_next_run(self, agent, ran):
        reply = await self.cut_after_its_tool(agent)
        assert await results(agent) == ["after first"]
        assert isinstance(await reply, Turn)

    async def test_is_finished_by_a_system(self, agent, ran):
        reply = await self.cut_after_its_tool(agent)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            await system.wait_idle()
            assert ran == ["first", "after first"]
            assert isinstance(await reply, Turn)
            assert len(system.dead_letters) == 0
