"""Where messages are handled: the running loop, the background loop, an own thread, or nowhere until drained."""

import asyncio
import logging
import threading
from types import SimpleNamespace

import pytest
from pykka import ActorRegistry

from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    CallerDispatcher,
    LoopDispatcher,
    ThreadDispatcher,
    loops,
)
from tests.actors.helpers import PATIENCE, Echo, Life, hang, in_thread, messages_of, until, until_idle

dies_loudly = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Where(AsyncActor):
    """Answers with the thread and the loop that it runs on, and starts children."""

    async def on_receive(self, message):
        if isinstance(message, type):
            return message.start()
        return threading.current_thread(), asyncio.get_running_loop()


class OnThread(Where):
    dispatcher = ThreadDispatcher


class TestLoopDispatcher:
    async def test_is_the_running_loop_inside_one(self):
        ref = Where.start()
        assert await ref.ask_async("?") == (threading.current_thread(), asyncio.get_running_loop())
        assert ref.serving_loop is asyncio.get_running_loop()

    def test_is_one_shared_background_loop_outside(self):
        (first, loop), (second, same) = Where.start().ask("?"), Where.start().ask("?")
        assert loop is same
        assert first is second
        assert first.name == "pygents-background"
        assert first.daemon

    def test_is_the_background_loop_on_every_thread_without_a_loop(self):
        assert in_thread(Where.start)().ask("?") == Where.start().ask("?")

    def test_serves_children_where_their_parent_is(self):
        for parent in [Where.start(), OnThread.start()]:
            child = parent.ask(Where)
            assert child.ask("?") == parent.ask("?")

    async def test_serves_all_actors_of_a_loop_as_one(self):
        assert Echo.start()._dispatcher is Echo.start()._dispatcher

    async def test_is_woken_by_a_tell_that_comes_outside_any_task(self, monkeypatch):
        """As from a signal handler, which may run on the loop's own thread while the loop is asleep."""

        def wake(*args):
            woken.append(args)
            return call_soon_threadsafe(*args)

        loop, woken = asyncio.get_running_loop(), []
        ref, call_soon_threadsafe = Echo.start(), loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", wake)
        ref.tell("in a task")
        await until_idle(ref)
        assert woken == []
        loop.call_soon(ref.tell, "outside")
        await until(lambda: woken)
        await until_idle(ref)
        assert len(woken) == 1

    async def test_says_how_many_it_serves(self):
        ref = Echo.start()
        Echo.start()
        assert repr(ref._dispatcher) == "<LoopDispatcher with 2 actors>"
        await ref.stop_async()
        assert repr(ref._dispatcher) == "<LoopDispatcher with 1 actors>"

    def test_follows_each_loop_of_a_program_with_several(self):
        async def use():
            return await Where.start().ask_async("?")

        assert asyncio.run(use())[1] is not asyncio.run(use())[1]

    def test_forgets_loops_that_are_closed(self):
        async def use():
            return await Echo.start().ask_async(1)

        for _ in range(5):
            asyncio.run(use())
        assert len([loop for loop in loops._loops if loop.is_closed()]) <= 1

    async def test_a_subclass_has_its_own_throughput_on_the_same_loop(self):
        class OneByOne(LoopDispatcher):
            throughput = 1

        class Notes(AsyncActor):
            dispatcher = OneByOne

            def on_receive(self, message):
                turns.append(message)

        turns = []
        first, second = Notes.start(), Notes.start()
        for _ in range(3):
            first.tell("a")
            second.tell("b")
        await until_idle(first, second)
        assert turns == ["a", "b"] * 3
        assert type(first._dispatcher) is OneByOne
        assert first._dispatcher is second._dispatcher
        assert repr(Echo.start()._dispatcher) == "<LoopDispatcher with 3 actors>", (
            "of the loop, whatever dispatches them"
        )

    def test_actors_of_several_dispatchers_of_a_loop_end_with_it_youngest_first(self):
        class Other(LoopDispatcher):
            pass

        class Elsewhere(Life):
            dispatcher = Other

            def on_stop(self):
                self._log.append("youngest")

        async def main():
            Life.start(log)
            Elsewhere.start(log)

        log = []
        asyncio.run(main())
        assert log == ["start", "start", "youngest", "stop"]

    @dies_loudly
    def test_a_background_loop_that_was_killed_is_replaced_at_the_next_start(self):
        """A task of a handler's own may raise SystemExit, which asyncio lets through to the thread."""

        class Kills(AsyncActor):
            async def on_receive(self, message):
                asyncio.get_running_loop().call_soon(self.kill)
                await hang()

            def kill(self):
                raise SystemExit(3)

        ref = Kills.start()
        loop = ref.serving_loop
        with pytest.raises(ActorDeadError):
            ref.ask("kill", timeout=PATIENCE)
        for thread in threading.enumerate():
            if thread.name == "pygents-background":
                thread.join(PATIENCE)
        assert loop.is_closed()
        assert Echo.start().ask(1) == 1


class Undrained(Life):
    dispatcher = CallerDispatcher


class TestCallerDispatcher:
    def test_handles_nothing_by_itself(self):
        log = []
        ref = Undrained.start(log)
        ref.tell(1)
        reply = ref.ask(2, block=False)
        assert ref.serving_loop is None
        assert repr(ref._dispatcher) == "<CallerDispatcher idle>"
        assert (log, reply.done) == ([], False)

    def test_a_stop_is_carried_out_where_it_is_asked_for(self, caplog):
        log = []
        ref = Undrained.start(log)
        ref.tell(1)
        reply = ref.ask(2, block=False)
        assert ref.stop() is True
        assert log == ["stop"]
        assert not ref.is_alive()
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: 1"
        ]
        assert ref.stop() is False

    async def test_it_stops_on_a_loop_without_waiting(self):
        assert Undrained.start([]).stop() is True
        assert await Undrained.start([]).stop_async() is True
        Undrained.start([])
        assert ActorRegistry.stop_all() == [True]

    def test_a_coroutine_that_does_not_suspend_is_a_fine_on_stop(self):
        class Async(Undrained):
            async def on_stop(self):
                self._log.append("stop")

        log = []
        assert Async.start(log).stop() is True
        assert log == ["stop"]

    @pytest.mark.parametrize("inside_a_loop", [False, True])
    @pytest.mark.parametrize("error", [KeyError("gone"), SystemExit(3), asyncio.CancelledError()], ids=repr)
    def test_an_on_stop_that_fails_is_logged_and_everyone_answered(self, caplog, error, inside_a_loop):
        class Fails(Undrained):
            def on_stop(self):
                raise error

        async def stop():
            return ref.stop()

        ref = Fails.start([])
        reply = ref.ask(1, block=False)
        assert (asyncio.run(stop()) if inside_a_loop else ref.stop()) is True
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)
        assert messages_of(caplog, "on_stop") == [f"Exception in on_stop of {ref}:"]

    def test_an_on_stop_that_suspends_is_cut_off_and_says_so(self, caplog):
        class Suspends(Undrained):
            async def on_stop(self):
                try:
                    await asyncio.sleep(0)
                finally:
                    self._log.append("cut")

        log = []
        ref = Suspends.start(log)
        reply = ref.ask(1, block=False)
        assert ref.stop() is True
        assert log == ["cut"]
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)
        assert messages_of(caplog, "cut off") == [
            f"on_stop of {ref} was cut off: it must not suspend when nobody drains the actor"
        ]

    def test_an_on_stop_that_leaks_a_generator_exit_stops_nobody(self):
        class Leaks(Undrained):
            def on_stop(self):
                raise GeneratorExit

        ref = Leaks.start([])
        reply = ref.ask(1, block=False)
        assert ref.stop() is True
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)

    def test_an_on_stop_that_will_not_be_cut_off_stops_nobody_either(self):
        class Stubborn(Undrained):
            async def on_stop(self):
                try:
                    await asyncio.sleep(0)
                finally:
                    await asyncio.sleep(0)

        ref = Stubborn.start([])
        reply = ref.ask(1, block=False)
        assert ref.stop() is True
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)

    def test_it_never_ends_by_itself(self):
        assert CallerDispatcher.open().ended is False


@pytest.mark.parametrize("kind", ["thread", None, ThreadDispatcher.open])
def test_what_is_no_dispatcher_class_is_refused_at_the_start(kind):
    class Wrong(Echo):
        dispatcher = kind

    with pytest.raises(TypeError, match=r"Wrong\.dispatcher is .*: it must be a dispatcher class"):
        Wrong.start()


@pytest.mark.parametrize("base", [LoopDispatcher, ThreadDispatcher, CallerDispatcher])
def test_a_throughput_of_nothing_is_refused_at_the_start(base):
    class Never(base):
        throughput = 0

    class Wrong(Echo):
        dispatcher = Never

    threads = threading.active_count()
    with pytest.raises(ValueError, match=r"Never\.throughput is 0: it must be at least 1 message"):
        Wrong.start()
    assert threading.active_count() == threads


def test_the_end_of_the_program_waits_for_all_threads_together(monkeypatch):
    class NeverEnds:
        def __init__(self):
            self.thread = self

        def end(self):
            pass

        def join(self, timeout):
            waits.append(timeout)
            clock.now += timeout

    waits, clock = [], SimpleNamespace(now=0, monotonic=lambda: clock.now)
    monkeypatch.setattr(loops, "time", clock)
    monkeypatch.setattr(loops, "_threads", [NeverEnds(), NeverEnds()])
    monkeypatch.setattr(loops, "_exiting", threading.Event())
    loops._end_threads()
    assert waits == [loops._EXIT_PATIENCE, 0]


def test_a_dispatcher_that_does_not_open_leaves_no_actor_behind():
    class Closed(CallerDispatcher):
        @classmethod
        def open(cls, name):
            raise RuntimeError("closed today")

    class Homeless(Echo):
        dispatcher = Closed

        def __init__(self):
            super().__init__()
            refs.append(self.actor_ref)

    refs = []
    with pytest.raises(RuntimeError, match="closed today"):
        Homeless.start()
    assert ActorRegistry.get_all() == []
    assert not refs[0].is_alive()
    with pytest.raises(ActorDeadError):
        refs[0].tell("nobody would ever handle it")


def test_an_actor_that_is_started_on_a_loop_that_has_just_been_closed_is_dead_at_once(caplog):
    class Closing(LoopDispatcher):
        @classmethod
        def open(cls, name):
            loop = asyncio.new_event_loop()
            loop.close()
            return cls(loop)

    class Late(Life):
        dispatcher = Closing

        def __init__(self, log):
            super().__init__(log)
            replies.append(self.actor_ref.ask("early", block=False))

    log, replies = [], []
    with pytest.raises(ActorDeadError):
        Late.start(log)
    assert ActorRegistry.get_all() == []
    assert log == []
    with pytest.raises(ActorDeadError):
        replies[0].get(timeout=0)


def test_the_log_is_the_runtimes_own(caplog):
    with caplog.at_level(logging.DEBUG, "pygents.actors"):
        ref = Undrained.start([])
        ref.tell(1)
        ref.stop()
    assert {record.name for record in caplog.records if "without handling" in record.message} == {"pygents.actors"}
