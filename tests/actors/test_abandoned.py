"""A handler that ignores its cancellation is abandoned. When it ends at last, nothing of it reaches its actor."""

import asyncio
import threading

import pytest

from pygents.actors import ActorDeadError, AsyncActor, DeadLetterReason, Ended, Strategy, Supervision, ThreadDispatcher
from pygents.actors.system import ActorSystem
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


@pytest.mark.parametrize("late", [ValueError("late"), asyncio.CancelledError(), SystemExit()], ids=repr)
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


class Blocks(AsyncActor):
    """Blocks the loop of its own thread, in its first run of "block"."""

    dispatcher = ThreadDispatcher

    def __init__(self, log: list, entered: threading.Event, released: threading.Event) -> None:
        super().__init__()
        log.append("made")
        self._log = log
        self._entered = entered
        self._released = released

    def on_receive(self, message):
        self._log.append(("begins", message))
        if message == "block" and self._log.count(("begins", "block")) == 1:
            self._entered.set()
            self._released.wait(PATIENCE)
            self._log.append("late")
            return "late"
        return self._log.count("made"), message


@pytest.mark.real_time
async def test_a_handler_that_blocks_its_thread_is_abandoned_when_its_actor_is_killed():
    log, entered, released = [], threading.Event(), threading.Event()
    async with ActorSystem("s") as system:
        ref = system.spawn(Blocks, log, entered, released, name="blocks", shutdown=0.02)
        asked = ref.ask("block", block=False)
        behind = ref.ask("behind", block=False)
        await asyncio.to_thread(entered.wait, PATIENCE)
        ref.kill()
        with pytest.raises(ActorDeadError):
            await behind
        with pytest.raises(ActorDeadError):
            await asked
        counts = system.statistics()
        released.set()
        assert await ref.wait_stopped() is Ended.KILLED
        assert system.statistics() == counts
        assert ("begins", "behind") not in log
    assert (counts.handled, counts.dead_lettered, counts.queued) == (0, 2, 0)
