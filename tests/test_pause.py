"""Pausing an agent: what waits, what goes on, what is kept, and whom the hooks tell."""

import asyncio
import threading

import pytest

from pygents import ActorSystem, Agent, AgentHook, Turn, hook, tool
from pygents.actors import AsyncActor, DeadLetterReason, Ended
from tests.actors.helpers import PATIENCE, in_thread, messages_of


@pytest.fixture
def agent():
    @tool()
    async def after(seconds):
        await asyncio.sleep(seconds)
        return seconds

    return Agent("worker", "Works", [after])


def after(seconds):
    return Turn("after", args=[seconds])


def now():
    return asyncio.get_running_loop().time()


@pytest.fixture
def told(agent):
    """Return what the hooks for the gate are told, when."""
    told = []

    @hook([AgentHook.ON_PAUSE, AgentHook.ON_RESUME])
    async def tells(agent):
        told.append((now(), agent.is_paused))

    agent.hooks.append(tells)
    return told


class TestALiveAgent:
    async def test_finishes_the_turn_in_hand_and_takes_no_other_until_it_is_resumed(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            first, second = asyncio.ensure_future(agent.ask(after(2))), asyncio.ensure_future(agent.ask(after(1)))
            await asyncio.sleep(1)
            agent.pause()
            agent.pause()
            assert agent.is_paused
            assert await first == 2
            await asyncio.sleep(10)
            assert not second.done()
            assert ref.statistics().queued == 1
            assert "paused, 1 queued" in system.tree()
            agent.resume()
            agent.resume()
            assert not agent.is_paused
            assert await second == 1
            assert now() == 13

    async def test_is_idle_when_nothing_waits(self, agent, told):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.pause()
            await system.wait_idle()
            agent.tell(after(1))
            waiting = asyncio.ensure_future(system.wait_idle())
            await asyncio.sleep(10)
            assert not waiting.done()
            agent.resume()
            await waiting
            assert now() == 11

    async def test_tells_its_hooks_when_it_reaches_the_gate_and_when_it_leaves_it(self, agent, told):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.tell(after(2))
            await asyncio.sleep(1)
            agent.pause()
            await asyncio.sleep(9)
            agent.tell(after(1))
            agent.resume()
            await system.wait_idle()
            agent.pause()
            await asyncio.sleep(1)
        assert told == [(2, True), (10, False), (11, True)]

    async def test_that_is_resumed_before_the_gate_tells_nobody(self, agent, told):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.tell(after(2))
            await asyncio.sleep(1)
            agent.pause()
            agent.resume()
            await system.wait_idle()
        assert told == []

    async def test_goes_on_if_a_hook_for_the_gate_raises(self, agent, caplog):
        @hook(AgentHook.ON_PAUSE)
        async def raising(agent):
            raise ValueError

        agent.hooks.append(raising)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.pause()
            await asyncio.sleep(1)
            agent.resume()
            assert await agent.ask(after(1)) == 1
        assert messages_of(caplog, "A hook for on_pause of worker raised")

    async def test_ends_when_it_is_stopped_and_nothing_waits(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            agent.pause()
            await asyncio.sleep(1)
            assert await agent.stop()
            assert await ref.wait_stopped() is Ended.STOPPED

    async def test_is_stopped_after_what_waits(self, agent):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.pause()
            asked = asyncio.ensure_future(agent.ask(after(1)))
            await asyncio.sleep(1)
            stopping = asyncio.ensure_future(agent.stop())
            await asyncio.sleep(5)
            assert not stopping.done()
            agent.resume()
            assert await asked == 1
            assert await stopping

    @pytest.mark.parametrize("end", ["kill", "stop_now", "root"])
    async def test_ends_at_once_by_what_is_stronger(self, agent, end):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            agent.pause()
            agent.tell(after(1))
            await asyncio.sleep(1)
            if end == "root":
                await system.root.stop("worker")
            else:
                getattr(ref, end)()
            await ref.wait_stopped()
            assert now() == 1
            assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.STOPPED]

    async def test_does_not_hold_up_the_end_of_its_system(self, agent):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            agent.tell(after(2))
            agent.tell(after(1))
            await asyncio.sleep(1)
            agent.pause()
            report = await system.shutdown()
        assert [letter.message.args for letter in report.cut] == [[1]]
        assert now() == 2

    async def test_stays_paused_over_a_restart(self, agent):
        class Fails(AsyncActor):
            async def on_receive(self, message):
                await asyncio.sleep(1)
                raise ValueError(message)

        async with ActorSystem("s") as system:
            ref = system.spawn(Fails)
            ref.tell("one")
            ref.tell("two")
            await asyncio.sleep(0.5)
            ref.pause()
            await asyncio.sleep(10)
            assert ref.statistics().queued == 1
            assert "1 restart" in system.tree()
            ref.resume()

    async def test_can_be_spawned_paused(self, agent, told):
        agent.pause()
        await agent.put(after(1))
        async with ActorSystem("s") as system:
            system.spawn(agent)
            await asyncio.sleep(5)
            assert told == [(0, True)]
            agent.resume()
            await system.wait_idle()
            assert system.statistics().handled == 1


class TestARun:
    async def test_waits_at_the_gate(self, agent, told):
        agent.pause()
        await agent.put(after(1))
        running = asyncio.ensure_future(anext(agent.run()))
        await asyncio.sleep(5)
        assert not running.done()
        agent.resume()
        assert (await running)[1] == 1
        assert told == [(0, True), (5, False)]

    async def test_finishes_the_turn_in_hand(self, agent):
        await agent.put(after(2))
        await agent.put(after(1))
        got = []

        async def consume():
            async for _, value in agent.run():
                got.append((now(), value))

        running = asyncio.ensure_future(consume())
        await asyncio.sleep(1)
        agent.pause()
        await asyncio.sleep(9)
        agent.resume()
        await running
        assert got == [(2, 2), (11, 1)]

    async def test_ends_if_nothing_waits(self, agent):
        agent.pause()
        assert [result async for result in agent.run()] == []

    async def test_can_be_left_at_the_gate(self, agent):
        agent.pause()
        await agent.put(after(1))
        running = asyncio.ensure_future(anext(agent.run()))
        await asyncio.sleep(5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(agent.to_dict()["queue"]) == 1
        agent.resume()
        assert [value async for _, value in agent.run()] == [1]

    async def test_ends_when_the_agent_is_killed(self, agent):
        agent.pause()
        await agent.put(after(1))

        async def consume():
            return [value async for _, value in agent.run()]

        running = asyncio.ensure_future(consume())
        await asyncio.sleep(5)
        agent.ref.kill()
        assert await running == []

    async def test_goes_on_when_another_thread_resumes(self, agent):
        agent.pause()
        await agent.put(after(0))
        running = asyncio.ensure_future(anext(agent.run()))
        await asyncio.sleep(1)
        await asyncio.to_thread(agent.resume)
        assert (await running)[1] == 0


class TestASnapshot:
    def test_keeps_it(self, agent):
        assert "paused" not in agent.to_dict()
        agent.pause()
        data = agent.to_dict()
        assert data["paused"] is True
        asyncio.run(agent.stop())
        assert Agent.from_dict(data).is_paused

    def test_refuses_what_is_no_bool(self, agent):
        data = agent.to_dict() | {"paused": "yes"}
        asyncio.run(agent.stop())
        with pytest.raises(TypeError, match="paused"):
            Agent.from_dict(data)


class TestThreads:
    def test_a_paused_system_of_plain_code_goes_on(self):
        class Counts(AsyncActor):
            def __init__(self):
                super().__init__()
                self.seen = []

            def on_receive(self, message):
                self.seen.append(message)
                return len(self.seen)

        with ActorSystem("s") as system:
            ref = system.spawn(Counts)
            ref.pause()
            replies = [ref.ask(number, block=False) for number in range(10)]
            assert not any(reply.done for reply in replies)
            ref.resume()
            assert replies[-1].get(timeout=PATIENCE) == 10

    def test_pausing_and_resuming_while_eight_threads_tell_loses_nothing(self):
        class Counts(AsyncActor):
            seen = 0

            def on_receive(self, message):
                type(self).seen += 1

        go_on = threading.Event()

        def tell():
            for number in range(300):
                ref.tell(number)

        def flicker():
            while not go_on.is_set():
                ref.pause()
                ref.resume()

        with ActorSystem("s") as system:
            ref = system.spawn(Counts)
            flickering = in_thread(flicker)
            for done in [in_thread(tell) for _ in range(8)]:
                done()
            go_on.set()
            flickering()
            assert not ref.is_paused
        assert Counts.seen == 2400


async def test_an_unsupervised_actor_is_paused_too():
    class Echo(AsyncActor):
        def on_receive(self, message):
            return message

    ref = Echo.start()
    ref.pause()
    reply = ref.ask("hello", block=False)
    await asyncio.sleep(1)
    assert not reply.done
    ref.resume()
    assert await reply == "hello"
    ref.pause()
    assert await ref.stop_async()
