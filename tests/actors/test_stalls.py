"""A system whose event loop stands still: who is told of it and how, what is none, and the life of the watchdog.

A test that says when something is told takes the watchdog's looks itself, in the place of the thread.
"""

import asyncio
import logging
import sys
import threading
import time

import pytest

from pygents.actors import Supervision, ThreadDispatcher
from pygents.actors import stalls as module
from pygents.actors.stalls import Stalls
from pygents.actors.stuck import Stuck
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from tests.actors.helpers import PATIENCE, Echo, hang, messages_of
from tests.actors.stalled import Block, Blocked, Watched, stalls_in
from tests.actors.test_supervisor import Worker, boom

SOON = 0.01


class OnThread(Blocked):
    """Has a thread of its own for that."""

    dispatcher = ThreadDispatcher


class Release(logging.Handler):
    """Releases a block when the actor is reported that enters it."""

    def __init__(self, block):
        super().__init__(logging.ERROR)
        self.block = block

    def emit(self, record):
        if "in blocked with" in record.getMessage():
            self.block.released.set()


class Clocks:
    """Stands in for the clocks of `time`, so many seconds later."""

    def __init__(self, seconds, *, worked):
        real, used = time.monotonic() + seconds, time.process_time() + (seconds if worked else 0)
        self.monotonic = lambda: real
        self.process_time = lambda: used


@pytest.fixture
def told(block):
    """Return a block that is released when it is reported."""
    handler = Release(block)
    logging.getLogger("pygents.actors").addHandler(handler)
    yield block
    logging.getLogger("pygents.actors").removeHandler(handler)


def threads_of(name):
    return [thread for thread in threading.enumerate() if thread.name == f"pygents-stalls-{name}"]


class TestABlockedLoop:
    @pytest.mark.real_time
    async def test_is_reported_while_it_lasts(self, told):
        async with ActorSystem("s", stall_after=SOON) as system:
            events = system.events()
            await system.spawn(Blocked, name="blocked").ask_async(told)
        assert "blocked" in [event.path for event in await stalls_in(events)]

    async def test_is_reported_on_virtual_time_too(self, told):
        async with ActorSystem("s", stall_after=SOON) as system:
            events = system.events()
            await asyncio.sleep(1)
            await system.spawn(Blocked, name="blocked").ask_async(told)
        assert "blocked" in [event.path for event in await stalls_in(events)]
        assert asyncio.get_running_loop().time() == 1

    async def test_is_reported_while_its_system_ends(self, told):
        async with ActorSystem("s", stall_after=SOON) as system:
            events = system.events()
            system.spawn(Blocked, name="blocked").tell(told)
        assert "blocked" in [event.path for event in await stalls_in(events)]
        assert threads_of("s") == []

    def test_is_reported_without_a_loop_of_the_callers(self, told):
        with ActorSystem("s", stall_after=SOON) as system:
            events = system.events()
            system.spawn(Blocked, name="blocked").ask(told)
        assert "blocked" in [event.path for event in asyncio.run(stalls_in(events))]


class TestItsReport:
    def test_comes_when_a_beat_has_not_been_answered_for_the_time_and_once(self, watched, block, caplog):
        caplog.set_level("INFO", "pygents.actors")
        watched.system.spawn(Blocked, name="blocked").tell(block)
        assert block.entered.wait(PATIENCE)
        watched.look(4)  # the first one sends the beat
        assert messages_of(caplog, "stands still") == []
        watched.look()
        assert len(messages_of(caplog, "stands still")) == 1
        watched.look(20)
        assert watched.watchdog._reported.calls == ()  # nothing that the handler uses is kept
        block.released.set()
        watched.pass_by()
        assert messages_of(caplog, "goes on") == []
        watched.look()
        watched.pass_by()
        watched.look()
        assert [event.path for event in watched.told()] == ["blocked"]
        assert len(messages_of(caplog, "goes on after")) == 1

    def test_tells_of_who_blocks_it_next_in_the_same_stall_as_well(self, watched, block):
        blocks = block, Block("next")
        refs = [watched.system.spawn(Blocked, name=name) for name in ("first", "next")]
        watched.system.call(lambda: [ref.tell(one) for ref, one in zip(refs, blocks, strict=True)])
        for one in blocks:
            watched.look_into(one)
        assert [event.path for event in watched.told()] == ["first", "next"]

    def test_is_dropped_if_the_loop_goes_on_while_it_is_made(self, watched, block, monkeypatch, caplog):
        def find(system, thread_id):
            block.released.set()
            watched.pass_by()
            return Stuck(path="blocked", calls=((sys._getframe(), 1),))

        monkeypatch.setattr(module, "find_stuck", find)
        watched.system.spawn(Blocked, name="blocked").tell(block)
        assert block.entered.wait(PATIENCE)
        watched.look(5)
        assert watched.told() == []
        assert messages_of(caplog, "stands still") == []

    @pytest.mark.parametrize("looks", [0, 1])
    def test_comes_afterwards_if_the_watchdog_was_kept_from_looking(self, watched, block, monkeypatch, caplog, looks):
        caplog.set_level("INFO", "pygents.actors")
        watched.system.spawn(Blocked, name="blocked").tell(block)
        assert block.entered.wait(PATIENCE)
        watched.look(looks)
        monkeypatch.setattr(module, "time", Clocks(3600, worked=True))
        watched.look()
        block.released.set()
        watched.pass_by()
        watched.look()
        (event,) = watched.told()
        assert event.path == "blocked"
        assert event.seconds == pytest.approx(3600, abs=60)
        assert "in enter" in event.stack
        assert len(messages_of(caplog, "goes on after 36")) == 1


class TestNoStall:
    def test_is_a_handler_that_waits(self, watched):
        waits = watched.system.spawn(Worker, [], "a")
        waits.tell(hang)
        for _ in range(20):
            watched.look()
            watched.pass_by()
        waits.kill()
        assert watched.told() == []

    def test_is_a_loop_that_is_only_slow_to_answer(self, watched, block):
        for _ in range(5):
            one = Block()
            watched.system.call(one.enter)
            assert one.entered.wait(PATIENCE)
            watched.look(4)
            one.released.set()
            watched.pass_by()
            watched.look()
            watched.pass_by()
        assert watched.told() == []

    def test_is_an_actor_that_blocks_a_thread_of_its_own(self, watched, block):
        watched.system.spawn(OnThread).tell(block)
        assert block.entered.wait(PATIENCE)
        for _ in range(20):
            watched.look()
            watched.pass_by()
        block.released.set()
        assert watched.told() == []

    @pytest.mark.parametrize("looks", [0, 2])
    def test_is_a_process_that_was_halted(self, watched, block, monkeypatch, looks):
        watched.system.call(block.enter)
        assert block.entered.wait(PATIENCE)
        watched.look(looks)
        monkeypatch.setattr(module, "time", Clocks(3600, worked=False))
        watched.look()
        block.released.set()
        watched.pass_by()
        watched.look()
        assert watched.told() == []

    def test_is_a_loop_that_does_not_run_for_a_while(self):
        loop = asyncio.new_event_loop()
        system = ActorSystem("s", stall_after=None)
        loop.run_until_complete(system.__aenter__())
        watched = Watched(system)
        watched.look(9)
        loop.call_soon(loop.stop)
        loop.call_soon(watched.look)  # its beat comes too late for this iteration, the last one
        loop.run_forever()
        watched.look(9)
        loop.run_until_complete(system.__aexit__(None, None, None))
        loop.close()
        assert watched.told() == []

    def test_is_a_watchdog_that_looks_late_itself(self, watched, monkeypatch):
        monkeypatch.setattr(module, "time", Clocks(1, worked=True))
        watched.look()
        assert watched.told() == []

    async def test_is_virtual_time_that_waits_for_other_threads_and_is_not_woken(self, monkeypatch):
        def idle(timeout, poll):
            def wait(seconds):
                if loop.is_waiting:
                    watchdog.look()
                    sent.append(watchdog._due)
                return poll(seconds)

            return waits(timeout, wait)

        sent = []
        loop = asyncio.get_running_loop()
        selector = loop._selector
        waits = selector._wait
        async with ActorSystem("s", stall_after=None) as system:
            watchdog = Stalls(system, 1.0)
            monkeypatch.setattr(selector, "_wait", idle)
            await asyncio.sleep(1)
            assert sent == [False]
            watchdog.look()
            assert watchdog._due


class TestTheWatchdog:
    @pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "soon", True])
    def test_refuses_what_is_no_time(self, wrong):
        with pytest.raises((TypeError, ValueError), match="stall_after must be a number of seconds above zero"):
            ActorSystem("s", stall_after=wrong)

    async def test_has_a_thread_by_default_and_none_if_it_is_off(self):
        async with ActorSystem("on"), ActorSystem("off", stall_after=None):
            assert [thread.daemon for thread in threads_of("on")] == [True]
            assert threads_of("off") == []
        assert threads_of("on") == []

    def test_begins_when_the_system_is_entered(self):
        ActorSystem("s")
        assert threads_of("s") == []

    async def test_ends_with_an_explicit_shutdown(self):
        async with ActorSystem("s") as system:
            await system.shutdown()
            assert threads_of("s") == []

    async def test_has_ended_before_the_events_do(self, monkeypatch):
        def end(watchdog):
            watchdog._system.news.stalled("late", None, 1.0, "")

        monkeypatch.setattr(Stalls, "end", end)
        async with ActorSystem("s", stall_after=None) as system:
            events = system.events()
        assert [event.path for event in await stalls_in(events)] == ["late"]

    @pytest.mark.real_time
    async def test_may_itself_wait_for_the_end_in_a_handler_of_the_log(self, block, monkeypatch):
        class EndsIt(logging.Handler):
            def emit(self, record):
                if "in blocked with" in record.getMessage():
                    block.released.set()
                    reports.append(asyncio.run(system.shutdown()))

        reports, handler = [], EndsIt()
        monkeypatch.setattr(logging.getLogger("pygents.actors"), "handlers", [handler])
        async with ActorSystem("s", stall_after=SOON) as system:
            system.spawn(Blocked, name="blocked").tell(block)
        assert len(reports) == 1
        assert threads_of("s") == []

    async def test_ends_with_a_body_that_fails(self):
        with pytest.raises(KeyError):
            async with ActorSystem("s"):
                raise KeyError
        assert threads_of("s") == []

    async def test_ends_with_a_system_that_fails(self):
        with pytest.raises(SystemFailedError):  # noqa: PT012 (it comes out of the async with)
            async with ActorSystem("s", supervision=Supervision(max_restarts=0)) as system:
                system.spawn(Worker, [], "a").tell(boom())
                await hang()
        assert threads_of("s") == []

    async def test_ends_when_who_leaves_is_cancelled(self):
        async def body():
            async with ActorSystem("s") as system:
                system.spawn(Worker, [], "a", shutdown=1).tell(hang)

        leaving = asyncio.create_task(body())
        await asyncio.sleep(1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert threads_of("s") == []

    def test_ends_with_a_system_without_a_loop_of_the_callers(self):
        with ActorSystem("s") as system:
            assert system.spawn(Echo).ask(1) == 1
            assert len(threads_of("s")) == 1
        assert threads_of("s") == []

    def test_ends_when_the_loop_has_died(self):
        async def die():
            raise SystemExit(3)

        with pytest.raises(SystemFailedError), ActorSystem("s", stall_after=SOON) as system:  # noqa: PT012 (at the end)
            system.submit(die)
            for thread in threads_of("s"):
                thread.join(PATIENCE)
            assert threads_of("s") == []

    def test_ends_when_the_loop_is_closed_by_hand(self):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ActorSystem("s", stall_after=SOON).__aenter__())
        (thread,) = threads_of("s")
        loop.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    def test_bears_a_loop_that_is_closed_while_it_looks(self, watched):
        loop = asyncio.new_event_loop()
        loop.close()
        loop.is_running = lambda: True
        system = ActorSystem("s")
        system._loop = loop
        Stalls(system, 1.0).look()

    async def test_is_done_without_if_no_thread_can_be_started(self, monkeypatch, caplog):
        def refuse(thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            system = await ActorSystem("s").__aenter__()
        assert await system.spawn(Echo).ask_async(1) == 1
        await system.__aexit__(None, None, None)
        assert messages_of(caplog, "has no watchdog: can't start new thread")

    async def test_says_so_if_it_fails_and_its_system_goes_on(self, monkeypatch, caplog):
        monkeypatch.setattr(Stalls, "look", lambda self: 1 / 0)
        async with ActorSystem("s", stall_after=SOON) as system:
            for thread in threads_of("s"):
                thread.join(PATIENCE)
            assert await system.spawn(Echo).ask_async(1) == 1
        assert messages_of(caplog, "its watchdog has failed")
        caplog.clear()
