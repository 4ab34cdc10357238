"""What an actor may not wait for while it handles a message: its own system to have handled that."""

import asyncio
import re

import pytest

from pygents import Agent, Turn, tool
from pygents.actors import AsyncActor, WouldDeadlockError
from pygents.actors.system import ActorSystem


class Waits(AsyncActor):
    """Waits for what the message makes, in its handler."""

    async def on_receive(self, message):
        return await message()


def waits_of(system):
    return [system.wait_idle, system.shutdown, lambda: system.shutdown(timeout=5)]


@pytest.mark.parametrize("number", range(3))
async def test_a_handler_that_waits_for_its_own_system_is_told_that_it_would_wait_for_ever(number):
    async with ActorSystem("s") as system:
        ref = system.supervisor("team").spawn(Waits, name="waits")
        with pytest.raises(WouldDeadlockError, match=re.escape("Waits (team/waits) would wait for ever for")):
            await asyncio.wait_for(ref.ask_async(waits_of(system)[number]), 100)
        assert not system.closed


async def test_a_tool_that_does_is_told_so_too():
    @tool
    async def leave():
        await system.shutdown()

    async with ActorSystem("s") as system:
        agent = Agent("a", "Leaves", [leave])
        system.spawn(agent)
        with pytest.raises(WouldDeadlockError, match=r"create_task\(system\.shutdown\(\)\)"):
            await asyncio.wait_for(agent.ask(Turn(leave)), 100)


async def test_a_generator_tool_that_does_is_told_so_too():
    @tool
    async def leave():
        await system.wait_idle()
        yield "left"

    async with ActorSystem("s") as system:
        agent = Agent("a", "Leaves", [leave])
        system.spawn(agent)
        with pytest.raises(WouldDeadlockError):
            await asyncio.wait_for(agent.ask(Turn(leave)), 100)


async def test_on_start_is_told_so_too():
    class Starts(AsyncActor):
        async def on_start(self):
            try:
                await system.wait_idle()
            except WouldDeadlockError as error:
                told.append(error.target)

    told = []
    async with ActorSystem("s") as system:
        system.spawn(Starts)
        await system.wait_idle()
    assert told == ["<ActorSystem 's' open> to be idle"]


async def test_a_task_that_a_handler_has_begun_may_wait():
    class Begins(AsyncActor):
        def on_receive(self, message):
            self.task = asyncio.create_task(message())

    async with ActorSystem("s") as system:
        system.spawn(Begins).tell(system.shutdown)
        async with asyncio.timeout(100):
            await system.serve()
    assert system.statistics().handled == 1


async def test_a_handler_may_wait_for_another_system_whose_actors_have_the_same_names():
    async with ActorSystem("one") as one, ActorSystem("other") as other:
        for system in (one, other):
            system.spawn(Waits, name="waits")
        for make in waits_of(other):
            async with asyncio.timeout(100):
                await one.whereis("waits").ask_async(make)


async def test_a_handler_may_shut_its_system_down_without_waiting_for_what_is_queued():
    async with ActorSystem("s") as system:
        system.spawn(Waits, shutdown=1.0).tell(lambda: system.shutdown(drain=False))
        await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() == pytest.approx(1)
