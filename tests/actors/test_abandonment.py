"""A handler that ignores its cancellation is abandoned. When it ends at last, nothing of it reaches its actor."""

import asyncio
import threading

import pytest

from pygents.actors import ActorDeadError, AsyncActor, DeadLetterReason, Ended, Strategy, Supervision, ThreadDispatcher
from pygents.actors.system import ActorSystem
from pygents.testing import run
from tests.actors.helpers import PATIENCE, messages_of

GROUP = Supervision(strategy=Strategy.ONE_FOR_ALL, max_restarts=9)


class Fails(AsyncActor):
    def on_receive(self, message):
        raise ValueError(message)


class Stubborn(AsyncActor):
    """Ignores, in its first run of "stubborn", that it is cancelled, until it is released; writes down what it does."""

    def __init__(self, log: list, released: asyncio.Event, late: BaseException | None = None) -> None:
        super().__init__()
        log.append("made")
        self._log = log
        self._released = released
        self._late = late
        self._busy = False
        self._life = log.count("made")

    async def on_receive(self, message):
        assert not self._busy, "two at once"
        self._busy = True
        run = self._log.count(("begins", message)) + 1
        self._log.append(("begins", message))
        if message == "stubborn" and run == 1:
            while not self._released.is_set():
                try:
                    await self._released.wait()
                except asyncio.CancelledError:
                    continue
            self._log.append("late")
            self._busy = False
            if self._late is not None:
                raise self._late
            return "late"
        await asyncio.sleep(10)
        self._busy = False
        return self._life, message, run

    def on_failure(self, kind, error, traceback):
        self._log.append("on_failure")

    def on_stop(self):
        self._log.append(f"on_stop {self._life}")


async def in_time(condition) -> None:
    """Let time pass until `condition` is true."""
    while not condition():  # noqa: ASYNC110 (a condition of any kind has no event)
        await asyncio.sleep(0.1)


async def abandoned(system, log, released, late=None):
    """Return a ref of an actor whose first handler has been abandoned, and who has asked; the second run is on."""
    failing = system.spawn(Fails, name="failing")
    ref = system.spawn(Stubborn, log, released, late, name="stubborn", shutdown=1.0)
    asked = ref.ask("stubborn", block=False)
    await in_time(lambda: ("begins", "stubborn") in log)
    behind = ref.ask("behind", block=False)
    failing.tell("now")
    await in_time(lambda: log.count(("begins", "stubborn")) == 2)
    return ref, asked, behind


@pytest.mark.parametrize("late", [None, ValueError("late"), asyncio.CancelledError(), SystemExit()], ids=repr)
async def test_what_it_ends_in_changes_nothing_while_its_message_is_run_again(late, caplog):
    log, released = [], asyncio.Event()
    async with ActorSystem("s", supervision=GROUP) as system:
        ref, asked, behind = await abandoned(system, log, released, late)
        counts, restarts = system.statistics(), system.tree()
        released.set()
        await in_time(lambda: "late" in log)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asked.done, "the late result is dropped"
        assert (system.statistics(), system.tree()) == (counts, restarts)
        assert log.count(("begins", "behind")) == 0, "one at a time"
        assert await asked == (2, "stubborn", 2)
        assert await behind == (2, "behind", 1)
        assert "on_failure" not in log
        assert ref.is_alive()
        report = await system.shutdown()
    assert report.abandoned == ("stubborn",)
    counts = system.statistics()
    assert (counts.handled, counts.dead_lettered, counts.queued) == (2, 1, 0)
    assert log.count("on_stop 2") == 1
    assert not messages_of(caplog, "machinery")


async def test_what_it_ends_in_changes_nothing_when_its_actor_is_idle_again():
    log, released = [], asyncio.Event()
    async with ActorSystem("s", supervision=GROUP) as system:
        ref, asked, behind = await abandoned(system, log, released)
        assert await asked == (2, "stubborn", 2)
        assert await behind == (2, "behind", 1)
        await system.wait_idle()
        counts = system.statistics()
        released.set()
        await in_time(lambda: "late" in log)
        await system.wait_idle()
        assert system.statistics() == counts
        assert await ref.ask_async("next") == (2, "next", 1)


async def test_what_it_ends_in_changes_nothing_when_its_actor_was_killed():
    log, released = [], asyncio.Event()
    system = ActorSystem("s")
    async with system:
        ref = system.spawn(Stubborn, log, released, name="stubborn", shutdown=1.0)
        asked = ref.ask("stubborn", block=False)
        ref.tell("behind")
        await in_time(lambda: ("begins", "stubborn") in log)
        ref.kill()
        assert await ref.wait_stopped() is Ended.KILLED
        counts = system.statistics()
        released.set()
        await in_time(lambda: "late" in log)
        for _ in range(20):
            await asyncio.sleep(0)
        with pytest.raises(ActorDeadError):
            await asked
        assert system.statistics() == counts
        assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.STOPPED, DeadLetterReason.CUT]
        assert ("begins", "behind") not in log
        assert asyncio.all_tasks() == {asyncio.current_task()}


class Plain(AsyncActor):
    """Calls what it is sent."""

    async def on_receive(self, message):
        result = message()
        return await result if asyncio.iscoroutine(result) else result


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
            async with ActorSystem("s", supervision=GROUP) as system:
                first = system.spawn(Fails, name="a")
                second = system.spawn(Plain, name="b", shutdown=0.01, dispatcher=ThreadDispatcher)
                asked = second.ask(blocks, block=False)
                await asyncio.to_thread(blocks.begun.wait, PATIENCE)
                old = second.serving_loop
                first.tell("now")
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
            async with ActorSystem("s", supervision=GROUP) as system:
                first = system.spawn(Fails, name="a")
                log, released = [], asyncio.Event()
                second = system.spawn(Stubborn, log, released, name="b", shutdown=1.0, dispatcher=ThreadDispatcher)
                asked = second.ask("stubborn", block=False)
                await asyncio.sleep(0.5)
                first.tell("now")
                await asyncio.sleep(0.5)
                second.serving_loop.call_soon_threadsafe(released.set)
                assert await asked == "late"
                assert (await system.shutdown()).abandoned == ()

        run(main(), patience=0.05)
