"""What plain pykka does, and what ours does instead, side by side. One class for each fact."""

import asyncio
import queue
import threading
from contextlib import suppress

import pytest
from pykka import ActorDeadError, ActorRegistry, ThreadingActor, ThreadingFuture, Timeout
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.actors import ActorFailedError, AsyncActor, Mailbox, Reply
from pygents.actors.registry import RefSet
from tests.actors.helpers import PATIENCE, Echo, Life, hang, in_thread, messages_of, until


class Plain(ThreadingActor):
    """pykka's own actor, with its thread for us to wait for; does with a message what `Life` does."""

    def __init__(self, log):
        super().__init__()
        self.log = log
        self.running = threading.Event()

    def on_start(self):
        self.thread = threading.current_thread()
        self.running.set()

    def on_stop(self):
        self.log.append("stop")

    def on_failure(self, exception_type, exception_value, traceback):
        self.log.append(("failure", exception_value))

    def on_receive(self, message):
        self.log.append(message)
        if isinstance(message, BaseException):
            raise message
        return message() if callable(message) else message

    @classmethod
    def launch(cls, log):
        actor = cls.start(log)._actor_weakref()
        assert actor.running.wait(PATIENCE)
        return actor

    def wait_until_ended(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("fault", [asyncio.CancelledError(), SystemExit(3), KeyboardInterrupt()], ids=repr)
class TestABaseExceptionOutOfOneHandler:
    def test_of_pykkas_stops_every_actor_and_leaves_the_asker_waiting(self, fault):
        bystander, failing = Plain.launch([]), Plain.launch([])
        asked = failing.actor_ref.ask(fault, block=False)
        failing.wait_until_ended()
        bystander.wait_until_ended()
        assert ActorRegistry.get_all() == []
        with pytest.raises(Timeout):
            asked.get(timeout=0)

    def test_of_ours_is_that_messages_outcome(self, fault):
        bystander, ours = Plain.launch([]), Echo.start()
        with pytest.raises(ActorFailedError) as caught:
            ours.ask(fault)
        assert caught.value.__cause__ is fault
        assert [ref.ask("alive") for ref in [bystander.actor_ref, ours]] == ["alive"] * 2


class TestAwaitingAFuture:
    async def test_of_pykkas_yields_once_and_then_blocks_the_loop_in_get(self):
        future = ThreadingFuture()
        future.set_get_hook(lambda timeout: (asyncio.get_running_loop(), timeout))
        steps = future.__await__()
        assert next(steps) is None
        with pytest.raises(StopIteration) as done:
            next(steps)
        assert done.value.value == (asyncio.get_running_loop(), None), "it is on the loop's thread, with no limit"

    @pytest.mark.real_time
    async def test_of_ours_suspends_until_the_value_is_there(self):
        reply, hooked = Reply(), Reply()
        hooked.set_get_hook(lambda timeout: asyncio._get_running_loop())
        asyncio.get_running_loop().call_soon(reply.set, "set by the loop that waits")
        assert await reply == "set by the loop that waits"
        assert await hooked is None, "it is on a thread without a loop"


def is_late(envelope):
    return envelope.message == "late"


class TestAMessagePutBehindTheLastDrain:
    """The sender has seen the actor alive; before it goes on, the actor ends."""

    def test_is_lost_by_pykka_and_its_ask_hangs(self):
        class Inbox(queue.Queue):
            def put(self, envelope):
                if is_late(envelope):
                    super().put(Envelope(_ActorStop()))
                    actor.wait_until_ended()
                super().put(envelope)

        class Late(Plain):
            @staticmethod
            def _create_actor_inbox():
                return Inbox()

        actor = Late.launch([])
        asked = actor.actor_ref.ask("late", block=False)
        with pytest.raises(Timeout):
            asked.get(timeout=0)
        assert actor.actor_inbox.qsize() == 1
        assert actor.log == ["stop"]

    @pytest.mark.parametrize("verb", ["tell", "ask"])
    def test_is_refused_by_ours(self, verb):
        class LateMailbox(Mailbox):
            def put(self, envelope):
                if is_late(envelope):
                    stopped = Reply()
                    self.put_stop(Envelope(_ActorStop(), reply_to=stopped))
                    assert stopped.get(timeout=PATIENCE) is True
                super().put(envelope)

        class Late(Life):
            @staticmethod
            def _create_actor_inbox():
                return LateMailbox()

        log = []
        ref = Late.start(log)
        with pytest.raises(ActorDeadError):
            ref.tell("late") if verb == "tell" else ref.ask("late", timeout=PATIENCE)
        assert ref.actor_inbox.empty()
        assert log == ["start", "stop"]


class TestACrashOnTell:
    def test_of_pykkas_drops_the_rest_of_the_queue_without_a_word(self, caplog):
        opened = threading.Event()
        actor = Plain.launch([])
        for message in [lambda: opened.wait(PATIENCE), KeyError("gone"), "lost", "lost"]:
            actor.actor_ref.tell(message)
        opened.set()
        actor.wait_until_ended()
        assert "lost" not in actor.log
        assert not messages_of(caplog, "lost")
        assert messages_of(caplog, "Unhandled exception")

    async def test_of_ours_says_how_many_it_has_left(self, caplog):
        log = []
        ref = Life.start(log)
        for message in [KeyError("gone"), "lost", "lost"]:
            ref.tell(message)
        await until(lambda: ref.actor_inbox.closed and ref.actor_inbox.empty())
        assert messages_of(caplog, "lost") == [f"{ref} ended without handling 2 of its messages, the oldest: 'lost'"]


class TestAFailingOnStart:
    def test_of_pykkas_runs_neither_on_failure_nor_on_stop(self):
        class Fails(Plain):
            def on_start(self):
                super().on_start()
                raise KeyError("gone")

        actor = Fails.launch([])
        actor.wait_until_ended()
        assert actor.log == []

    async def test_of_ours_runs_on_failure(self):
        class Fails(Life):
            def on_start(self):
                raise error

        error = KeyError("gone")
        log = []
        ref = Fails.start(log)
        await until(lambda: log)
        assert log == [("failure", error)]
        assert not ref.is_alive()


class TestAStop:
    def test_of_pykkas_comes_last_and_nothing_interrupts_a_handler(self):
        opened = threading.Event()
        actor = Plain.launch([])
        actor.actor_ref.tell(lambda: opened.wait(PATIENCE))
        actor.actor_ref.tell("queued")
        with pytest.raises(Timeout):
            actor.actor_ref.stop(timeout=0)
        assert actor.thread.is_alive()
        opened.set()
        actor.wait_until_ended()
        assert actor.log[1:] == ["queued", "stop"]

    def test_of_ours_comes_last_too_but_the_end_of_the_loop_interrupts_a_handler(self):
        async def main():
            ref = Life.start(log)
            ref.tell("handled")
            ref.tell(hang)
            ref.tell("queued")
            ref.stop(block=False)
            await until(lambda: hang in log)

        log = []
        in_thread(lambda: asyncio.run(main()))()
        assert log == ["start", "handled", hang, "stop"]


class CountsComparisons:
    """A ref that counts how often it is compared with another one."""

    comparisons = 0

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        CountsComparisons.comparisons += 1
        return self is other

    def __hash__(self):
        return self.number


class TestUnregistering:
    """Of a hundred refs, in either order: in steps, not in seconds."""

    @pytest.fixture
    def comparisons(self, monkeypatch):
        def count(table_type, order, number):
            refs = [CountsComparisons(index) for index in range(number)]
            monkeypatch.setattr(ActorRegistry, "_actor_refs", table_type(refs))
            CountsComparisons.comparisons = 0
            for ref in refs[::order]:
                ActorRegistry.unregister(ref)
            assert ActorRegistry.get_all() == []
            return CountsComparisons.comparisons

        return count

    def test_takes_pykka_steps_by_the_square_when_the_youngest_goes_first(self, comparisons):
        assert comparisons(list, 1, 100) == 0
        assert comparisons(list, -1, 100) == 100 * 99
        assert comparisons(list, -1, 200) == 200 * 199

    @pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "youngest first"])
    def test_takes_ours_one_step_for_each(self, comparisons, order):
        assert comparisons(RefSet, order, 100) == 0, "it is found by its hash, and never searched for"


class TestStartingActors:
    def test_of_pykkas_takes_a_thread_for_each(self):
        before = threading.active_count()
        actors = [Plain.launch([]) for _ in range(5)]
        assert threading.active_count() == before + 5
        assert len({actor.thread for actor in actors}) == 5

    def test_of_ours_takes_one_background_thread_for_all(self):
        class Where(AsyncActor):
            def on_receive(self, message):
                return threading.current_thread()

        before = set(threading.enumerate())
        threads = {Where.start().ask("?") for _ in range(50)}
        assert [thread.name for thread in threads] == ["pygents-background"]
        assert set(threading.enumerate()) - before <= threads


def test_a_stop_of_everything_after_a_fault_of_pykkas_reaches_ours_too():
    """Not ours to prevent: pykka stops all actors from the failing one's thread, and ours are stopped in order."""
    log = []
    ours, failing = Life.start(log), Plain.launch([])
    failing.actor_ref.tell(SystemExit(3))
    failing.wait_until_ended()
    assert not ours.is_alive()
    assert log == ["start", "stop"]
    with suppress(ActorDeadError):
        ours.tell("late")
