"""Steering: notes that a running turn reads, and what becomes of those that it does not."""

import asyncio

import pytest

from pygents import ActorSystem, Agent, NoTurnError, Turn, steering, tool
from pygents.actors import AsyncActor, DeadLetterReason
from tests.actors.helpers import messages_of


@pytest.fixture
def agent():
    @tool()
    async def listens():
        got = []
        async for note in steering():
            got.append(note)
            if note == "enough":
                break
        return got

    @tool()
    async def streams():
        for number in range(4):
            yield number, steering.take_nowait()
            await asyncio.sleep(1)

    @tool()
    async def works(seconds):
        await asyncio.sleep(seconds)

    return Agent("worker", "Works", [listens, streams, works])


class TestANote:
    async def test_reaches_the_tool_that_waits_for_it(self, agent):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            asked = asyncio.ensure_future(agent.ask(Turn("listens")))
            await asyncio.sleep(1)
            for note in ("one", "two", "enough"):
                await agent.steer(note)
            assert await asked == ["one", "two", "enough"]
            assert list(system.dead_letters) == []

    async def test_reaches_a_tool_that_looks_for_it(self, agent):
        turn = Turn("streams")
        async with ActorSystem("s") as system:
            system.spawn(agent)
            asked = asyncio.ensure_future(agent.ask(turn))
            await asyncio.sleep(1.5)
            await agent.steer("note")
            assert await asked == [(0, None), (1, None), (2, "note"), (3, None)]

    @pytest.mark.parametrize("name", ["listens", "streams"])
    async def test_reaches_a_turn_that_a_consumer_runs(self, agent, name):
        await agent.put(Turn(name))
        running = asyncio.ensure_future(anext(agent.run()))

        async def consume():
            return [value async for _, value in agent.run()]

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        consuming = asyncio.ensure_future(consume())
        await asyncio.sleep(0.5)
        await agent.steer("enough")
        got = await consuming
        assert got == ([["enough"]] if name == "listens" else [(0, None), (1, "enough"), (2, None), (3, None)])

    async def test_comes_from_any_thread(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            asked = asyncio.ensure_future(agent.ask(Turn("listens")))
            await asyncio.sleep(1)
            await asyncio.to_thread(lambda: ref.steer("enough").get(timeout=10))
            assert await asked == ["enough"]

    async def test_that_nobody_reads_is_a_dead_letter(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            asked = asyncio.ensure_future(agent.ask(Turn("works", args=[2])))
            await asyncio.sleep(1)
            await agent.steer("unread")
            assert list(system.dead_letters) == []
            await asked
            (letter,) = system.dead_letters
            assert (letter.message, letter.recipient, letter.reason) == ("unread", "worker", DeadLetterReason.UNHANDLED)
            assert ref.statistics().accepted == 1

    async def test_that_nobody_reads_outside_a_system_is_logged(self, agent, caplog):
        await agent.put(Turn("works", args=[2]))

        async def consume():
            async for _ in agent.run():
                pass

        consuming = asyncio.ensure_future(consume())
        await asyncio.sleep(1)
        await agent.steer("unread")
        await consuming
        assert messages_of(caplog, "did not read a note")

    async def test_of_a_turn_that_is_killed_is_a_dead_letter(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            agent.tell(turn := Turn("works", args=[100]))
            await asyncio.sleep(1)
            await agent.steer("unread")
            ref.kill()
            await ref.wait_stopped()
            assert {str(letter.message) for letter in system.dead_letters} == {"unread", str(turn)}

    async def test_needs_a_turn(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            for steer in (agent.steer, ref.steer):
                with pytest.raises(NoTurnError, match="handles nothing that could be steered now"):
                    await steer("note")
        with pytest.raises(NoTurnError):
            await agent.steer("note")

    async def test_needs_a_turn_of_a_consumer_too(self, agent):
        with pytest.raises(NoTurnError):
            await agent.steer("note")
        await agent.put(Turn("works", args=[0]))
        async for _ in agent.run():
            with pytest.raises(NoTurnError):
                await agent.steer("note")


class TestReading:
    async def test_ends_with_the_turn(self):
        heard = []

        async def hears():
            heard.extend([note async for note in steering()])
            heard.append("over")

        @tool()
        async def begins(seconds):
            heard.append(asyncio.create_task(hears()))
            await asyncio.sleep(seconds)

        agent = Agent("a", "Begins", [begins])
        async with ActorSystem("s") as system:
            system.spawn(agent)
            asked = asyncio.ensure_future(agent.ask(Turn("begins", args=[2])))
            await asyncio.sleep(1)
            await agent.steer("note")
            await asked
            await heard.pop(0)
            assert heard == ["note", "over"]

    async def test_outside_of_a_turn_gives_none(self):
        assert [note async for note in steering()] == []
        assert steering.take_nowait() is None

    async def test_gives_each_note_to_one_reader(self):
        @tool()
        async def two_read():
            async def read():
                return [note async for note in steering()]

            readers = [asyncio.create_task(read()) for _ in range(2)]
            await asyncio.sleep(2)
            return readers

        agent = Agent("a", "Reads", [two_read])
        async with ActorSystem("s") as system:
            system.spawn(agent)
            asked = asyncio.ensure_future(agent.ask(Turn(two_read)))
            await asyncio.sleep(1)
            for note in range(4):
                await agent.steer(note)
            got = [await reader for reader in await asked]
            assert sorted(got[0] + got[1]) == [0, 1, 2, 3]

    async def test_is_for_handlers_of_plain_actors_too(self):
        class Listens(AsyncActor):
            async def on_receive(self, message):
                return await anext(steering())

        async with ActorSystem("s") as system:
            ref = system.spawn(Listens)
            asked = ref.ask("go", block=False)
            await asyncio.sleep(1)
            await ref.steer("note")
            assert await asked == "note"

    async def test_of_a_later_turn_does_not_see_earlier_notes(self, agent):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            asked = asyncio.ensure_future(agent.ask(Turn("works", args=[2])))
            await asyncio.sleep(1)
            await agent.steer("early")
            await asked
            assert await agent.ask(Turn("streams")) == [(number, None) for number in range(4)]
