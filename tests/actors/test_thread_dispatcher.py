"""A loop thread of the actor's own: what it serves, and how it ends."""

import asyncio
import threading

import pytest
from pykka import ActorRegistry

from pygents.actors import ActorDeadError, AsyncActor, Mailbox, ThreadDispatcher
from tests.actors.helpers import PATIENCE, Echo, Life, cell_of
from tests.actors.test_dispatcher import OnThread, dies_loudly


class TestThreadDispatcher:
    def test_gives_each_actor_a_thread_of_its_own(self):
        (first, loop), (second, other) = OnThread.start().ask("?"), OnThread.start().ask("?")
        assert first is not second
        assert loop is not other
        assert (first.name, first.daemon) == ("pygents-actor-OnThread", True)

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

    def test_a_subclass_of_it_is_used(self):
        class OneByOne(ThreadDispatcher):
            throughput = 1

        class Own(Echo):
            dispatcher = OneByOne

        ref = Own.start()
        assert type(ref._dispatcher) is OneByOne
        assert ref.stop() is True

    def test_its_loop_takes_no_child_any_more_when_it_is_ending(self):
        class Parent(OnThread):
            async def on_receive(self, message):
                ended.append(threading.current_thread())
                cell_of(self.actor_ref).dispatcher._thread.end()

            def on_stop(self):
                try:
                    Echo.start()
                except RuntimeError as error:
                    ended.append(str(error))

        ended = []
        Parent.start().tell("end")
        while not ended:
            ActorRegistry.get_all()[0].actor_stopped.wait(PATIENCE)
        ended[0].join(PATIENCE)
        assert ended[1:] == ["this event loop is closing down: start actors before it does"]
        assert ActorRegistry.get_all() == []

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
