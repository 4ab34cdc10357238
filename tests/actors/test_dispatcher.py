"""Where messages are handled: the running loop, the background loop, an own thread, or nowhere until drained."""

import asyncio
import logging
import threading

import pytest
from pykka import ActorRegistry

from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    CallerDispatcher,
    LoopDispatcher,
    Mailbox,
    ThreadDispatcher,
    dispatcher,
)
from tests.actors.helpers import PATIENCE, Echo, Life, hang, in_thread, messages_of

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
        assert len([loop for loop in dispatcher._dispatchers if loop.is_closed()]) <= 1

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


class TestThreadDispatcher:
    def test_gives_each_actor_a_thread_of_its_own(self):
        (first, loop), (second, other) = OnThread.start().ask("?"), OnThread.start().ask("?")
        assert first is not second
        assert loop is not other
        assert (first.name, first.daemon) == ("pygents-actor", True)

    @pytest.mark.real_time
    async def test_does_so_inside_a_running_loop_too(self):
        thread, loop = await OnThread.start().ask_async("?")
        assert thread is not threading.current_thread()
        assert loop is not asyncio.get_running_loop()

    @pytest.mark.real_time
    async def test_a_handler_that_blocks_blocks_nobody_else(self):
        class Blocks(AsyncActor):
            dispatcher = ThreadDispatcher

            def on_receive(self, event):
                return event.wait(PATIENCE)

        event = threading.Event()
        reply = Blocks.start().ask(event, block=False)
        assert await Echo.start().ask_async("meanwhile") == "meanwhile"
        event.set()
        assert await reply is True

    def test_ends_its_thread_and_closes_its_loop_with_the_actor(self):
        ref = OnThread.start()
        thread, loop = ref.ask("?")
        assert ref.stop() is True
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert loop.is_closed()

    def test_ends_its_thread_when_the_actor_fails(self):
        class Fails(AsyncActor):
            dispatcher = ThreadDispatcher

            def on_start(self):
                threads.append(threading.current_thread())
                raise KeyError("gone")

        threads = []
        ref = Fails.start()
        assert ref.actor_stopped.wait(PATIENCE)
        threads[0].join(PATIENCE)
        assert not threads[0].is_alive()

    def test_ends_the_children_on_its_loop_with_it(self):
        parent = OnThread.start()
        child = parent.ask(Echo)
        thread, _ = parent.ask("?")
        parent.stop()
        thread.join(PATIENCE)
        assert not child.is_alive()
        assert ActorRegistry.get_all() == []

    def test_a_message_that_was_handled_is_not_refused_because_its_actor_ended_at_once(self):
        """The sender goes on only when the actor has handled the message, stopped and closed its loop."""

        class SlowSender(Mailbox):
            def put(self, envelope):
                super().put(envelope)
                threads[0].join(PATIENCE)

        class OnlyOnce(OnThread):
            @staticmethod
            def _create_actor_inbox():
                return SlowSender()

            def on_start(self):
                threads.append(threading.current_thread())
                started.set()

            def on_receive(self, message):
                self.stop()
                handled.append(message)

        threads, started, handled = [], threading.Event(), []
        ref = OnlyOnce.start()
        assert started.wait(PATIENCE)
        ref.tell("once")
        assert handled == ["once"]
        assert not ref.is_alive()

    @dies_loudly
    def test_a_dead_thread_is_noticed_by_whoever_sends(self, caplog):
        class Dies(Life):
            dispatcher = ThreadDispatcher

            def on_receive(self, message):
                asyncio.get_running_loop().call_soon(self.die)
                return threading.current_thread()

            def die(self):
                raise SystemExit(3)

        ref = Dies.start([])
        ref.ask("die").join(PATIENCE)
        with pytest.raises(ActorDeadError):
            ref.tell("anybody?")
        assert ref.stop() is False
        assert ActorRegistry.get_all() == []

    def test_a_thread_that_cannot_be_started_leaves_nothing_behind(self, monkeypatch):
        class Exhausted(threading.Thread):
            def start(self):
                raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading, "Thread", Exhausted)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                OnThread.start()
        assert ActorRegistry.get_all() == []


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
        assert messages_of(caplog, "not handled") == [f"{ref} ended with 1 messages not handled, the oldest: 1"]
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


def test_a_dispatcher_that_does_not_open_leaves_no_actor_behind():
    class Closed(CallerDispatcher):
        @classmethod
        def open(cls):
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
        def open(cls):
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
    assert {record.name for record in caplog.records if "not handled" in record.message} == {"pygents.actors"}
