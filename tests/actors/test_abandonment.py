"""A handler that ignores its cancellation is left behind: what it still does counts for nothing, wherever it runs."""

import asyncio
import threading

import pytest

from pygents.actors import AsyncActor, DeadLetterReason, Ended, Strategy, Supervision, ThreadDispatcher
from pygents.actors.system import ActorSystem
from pygents.testing import run
from tests.actors.helpers import PATIENCE, until

ALL = Supervision(strategy=Strategy.ONE_FOR_ALL)


class Plain(AsyncActor):
    """Calls what it is sent."""

    async def on_receive(self, message):
        result = message()
        return await result if asyncio.iscoroutine(result) else result


def boom():
    raise ValueError


class Stubborn:
    """A handler that ignores its cancellation the first time that it runs, until it is released."""

    def __init__(self) -> None:
        self.runs = 0
        self.ended: list[str] = []
        self.released = asyncio.Event()

    async def __call__(self):
        self.runs += 1
        run_number = self.runs
        while run_number == 1 and not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue
        self.ended.append(f"run {run_number}")
        return f"run {run_number}"


class TestOnTheSystemsLoop:
    @pytest.mark.parametrize("end", ["returns", "raises"])
    async def test_a_late_end_after_a_siblings_restart_answers_nobody_and_takes_no_message(self, end):
        stubborn, handled = Stubborn(), []
        again, go_on = asyncio.Event(), asyncio.Event()

        async def ends():
            result = await stubborn()
            if result == "run 2":
                again.set()
                await go_on.wait()
            elif end == "raises":
                raise ValueError(result)
            return result

        async with ActorSystem("s", supervision=ALL) as system:
            first = system.spawn(Plain, name="a")
            second = system.spawn(Plain, name="b", shutdown=1.0)
            asked = second.ask(ends, block=False)
            await until(lambda: stubborn.runs)
            first.tell(boom)
            await again.wait()
            for number in range(3):
                second.tell(lambda number=number: handled.append(number))
            stubborn.released.set()
            await until(lambda: "run 1" in stubborn.ended)
            await asyncio.sleep(0.1)
            assert handled == [], "the late one has taken nothing: its successor has a message in hand"
            assert not asked.done
            go_on.set()
            assert await asked == "run 2"
            await system.wait_idle()
            assert handled == [0, 1, 2]
            counts_now = system.statistics()
            assert (counts_now.accepted, counts_now.handled, counts_now.dead_lettered) == (5, 4, 1)
            report = await system.shutdown()
        assert report.abandoned == ("b",)


class TestOnABlockedThread:
    """In real time: a thread that blocks is not on virtual time. What is waited for is a hundredth of a second."""

    @pytest.fixture
    def blocks(self):
        released = threading.Event()
        yield Blocks(released)
        released.set()

    def test_a_kill_does_not_wait_for_it(self, blocks):
        async def main():
            async with ActorSystem("s") as system:
                ref = system.spawn(Plain, name="a", shutdown=0.01, dispatcher=ThreadDispatcher)
                ref.tell(blocks)
                await asyncio.to_thread(blocks.begun.wait, PATIENCE)
                ref.kill()
                assert await ref.wait_stopped() is Ended.KILLED
                (letter,) = system.dead_letters
                assert letter.reason is DeadLetterReason.CUT
                report = await system.shutdown()
            assert report.abandoned == ("a",)

        asyncio.run(main())

    def test_a_shutdown_does_not_wait_for_it(self, blocks):
        async def main():
            system = ActorSystem("s")
            async with system:
                ref = system.spawn(Plain, name="a", shutdown=0.01, dispatcher=ThreadDispatcher)
                asked = ref.ask(blocks, block=False)
                await asyncio.to_thread(blocks.begun.wait, PATIENCE)
                report = await system.shutdown(drain=False)
            assert report.abandoned == ("a",)
            assert [letter.reason for letter in report.cut] == [DeadLetterReason.CUT]
            assert asked.done

        asyncio.run(main())

    def test_a_siblings_restart_goes_on_without_it_on_a_new_thread(self, blocks):
        async def main():
            async with ActorSystem("s", supervision=ALL) as system:
                first = system.spawn(Plain, name="a")
                second = system.spawn(Plain, name="b", shutdown=0.01, dispatcher=ThreadDispatcher)
                asked = second.ask(blocks, block=False)
                await asyncio.to_thread(blocks.begun.wait, PATIENCE)
                old = second.serving_loop
                first.tell(boom)
                assert await asked == 2
                assert second.serving_loop is not old
                blocks.released.set()
                await asyncio.to_thread(blocks.ended.wait, PATIENCE)
                assert await second.ask_async(threading.get_ident) != blocks.threads[0]
                await system.wait_idle()
                counts = system.statistics()
                assert (counts.accepted, counts.handled, counts.dead_lettered) == (3, 2, 1)

        asyncio.run(main())

    def test_one_that_ends_within_its_patience_is_left_alone(self):
        async def main():
            async with ActorSystem("s", supervision=ALL) as system:
                first = system.spawn(Plain, name="a")
                second = system.spawn(Plain, name="b", shutdown=1.0, dispatcher=ThreadDispatcher)
                stubborn = Stubborn()
                asked = second.ask(stubborn, block=False)
                await asyncio.sleep(0.5)
                first.tell(boom)
                await asyncio.sleep(0.5)
                second.serving_loop.call_soon_threadsafe(stubborn.released.set)
                assert await asked == "run 1"
                assert (await system.shutdown()).abandoned == ()

        run(main(), patience=0.05)


class Blocks:
    """Blocks its thread the first time that it is called, until it is released."""

    def __init__(self, released: threading.Event) -> None:
        self.released = released
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.threads: list[int] = []

    def __call__(self):
        self.threads.append(threading.get_ident())
        number = len(self.threads)
        if number == 1:
            self.begun.set()
            self.released.wait(PATIENCE)
            self.ended.set()
        return number
