"""Refs: tell, ask and stop, blocking and awaited, from any thread, and what they say when the actor is dead."""

import asyncio
import threading

import pytest
from pykka import ActorRef as PykkaRef
from pykka import ActorRegistry, Timeout

from pygents.actors import ActorDeadError, ActorRef, AsyncActor, CallerDispatcher, Reply, WouldDeadlockError
from pygents.actors.registry import leave_behind
from tests.actors.helpers import Echo, Gate, Life, hang, in_thread, messages_of, until


class Counter(AsyncActor):
    def __init__(self):
        super().__init__()
        self.total = 0

    async def on_receive(self, message):
        self.total += message
        return self.total


class Never(AsyncActor):
    async def on_receive(self, message):
        await hang()


class TestOutsideAnyLoop:
    def test_the_blocking_verbs_are_pykkas(self):
        ref = Counter.start()
        assert ref.tell(1) is None
        assert ref.ask(2) == 3
        assert ref.ask(3, timeout=20) == 6
        assert ref.ask(4, block=False).get() == 10
        assert ref.proxy().total.get() == 10
        assert ref.stop() is True
        assert ref.stop() is False

    def test_asking_times_out_with_pykkas_timeout(self):
        ref = Gate.start()
        actor = ref._actor_weakref()
        ref.tell("wait")
        with pytest.raises(Timeout, match=r"0\.001 seconds"):
            ref.ask("late", timeout=0.001)
        with pytest.raises(Timeout):
            ref.stop(timeout=0)
        actor.opened.set()

    def test_a_ref_may_be_used_on_any_thread(self):
        ref = Counter.start()
        results = [in_thread(lambda: ref.ask(1)) for _ in range(4)]
        assert sorted(result() for result in results) == [1, 2, 3, 4]

    def test_the_async_verbs_work_on_a_loop_that_is_not_the_actors(self):
        ref = Counter.start()

        async def use():
            await ref.tell_async(1)
            return await ref.ask_async(2), await ref.stop_async()

        assert asyncio.run(use()) == (3, True)


class TestOnTheLoop:
    async def test_the_example_of_the_documentation_works(self):
        ref = Counter.start()
        ref.tell(1)
        assert await ref.ask_async(3, timeout=5) == 4
        assert await ref.ask(3, block=False) == 7
        await ref.tell_async(4)
        await ref.tell_async(4, timeout=5)
        assert await ref.proxy().total == 15
        assert await ref.stop_async() is True
        assert await ref.stop_async(timeout=5) is False

    async def test_a_failure_is_raised_to_the_asker(self):
        ref = Echo.start()
        with pytest.raises(KeyError, match="gone"):
            await ref.ask_async(KeyError("gone"))
        assert await ref.ask_async("alive") == "alive"

    @pytest.mark.parametrize("verb", ["ask", "stop"])
    async def test_blocking_it_is_refused_and_nothing_is_sent(self, verb):
        ref = Counter.start()
        with pytest.raises(WouldDeadlockError):
            ref.ask(1) if verb == "ask" else ref.stop()
        assert ref.is_alive()
        assert await ref.ask_async(1) == 1

    async def test_times_out_in_the_actors_verbs(self):
        ref = Never.start()
        loop = asyncio.get_running_loop()
        with pytest.raises(Timeout, match="5 seconds"):
            await ref.ask_async(1, timeout=5)
        assert loop.time() == pytest.approx(5)
        with pytest.raises(Timeout, match="2 seconds"):
            await ref.stop_async(timeout=2)
        assert loop.time() == pytest.approx(7)
        assert ref.is_alive(), "the wait has ended, the actor has not"

    @pytest.mark.real_time
    async def test_cancelling_a_stop_cancels_the_wait(self):
        ref = Gate.start()
        actor = ref._actor_weakref()
        ref.tell("wait")
        await asyncio.to_thread(actor.entered.wait)
        stopping = asyncio.ensure_future(ref.stop_async())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        actor.opened.set()
        await until(lambda: not ref.is_alive())

    @pytest.mark.real_time
    async def test_another_thread_may_block_for_it(self):
        ref = Counter.start()
        assert await asyncio.to_thread(ref.ask, 1) == 1
        assert await asyncio.to_thread(ref.stop) is True


class TestOrder:
    async def test_messages_of_one_sender_are_handled_in_the_order_sent(self):
        log = []
        ref = Life.start(log)
        for number in range(200):
            if number % 3:
                ref.tell(number)
            else:
                ref.ask(number, block=False)
        await ref.stop_async()
        assert log == ["start", *range(200), "stop"]

    async def test_only_one_message_is_handled_at_a_time(self):
        class Exclusive(AsyncActor):
            inside = 0

            async def on_receive(self, message):
                self.inside += 1
                assert self.inside == 1
                for _ in range(3):
                    await asyncio.sleep(0)
                self.inside -= 1

        ref = Exclusive.start()
        await asyncio.gather(*(ref.ask(number, block=False) for number in range(10)))


class TestStop:
    async def test_comes_after_what_is_queued(self):
        log = []
        ref = Life.start(log)
        ref.tell(1)
        answered = ref.ask(2, block=False)
        assert await ref.stop_async() is True
        assert await answered == 2
        assert log == ["start", 1, 2, "stop"]

    async def test_answers_and_logs_what_was_sent_behind_it(self, caplog):
        log = []
        ref = Life.start(log)
        stopped = ref.stop(block=False)
        asked = [ref.ask(number, block=False) for number in range(2)]
        ref.tell("a")
        ref.tell("b")
        second_stop = ref.stop(block=False)
        assert await stopped is True
        for reply in asked:
            with pytest.raises(ActorDeadError, match=r"^Life \(urn:.*\) stopped before handling the message$"):
                await reply
        assert await second_stop is True
        assert log == ["start", "stop"]
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 2 of its messages, the oldest: 'a'"
        ]

    async def test_says_nothing_when_nothing_was_behind_it(self, caplog):
        await Echo.start().stop_async()
        assert caplog.records == []

    async def test_in_a_handler_ends_the_actor_behind_the_message(self):
        class StopsItself(Life):
            async def on_receive(self, message):
                if message == "stop":
                    self.stop()
                return await super().on_receive(message)

        log = []
        ref = StopsItself.start(log)
        first, second, third = (ref.ask(message, block=False) for message in ["stop", 1, 2])
        assert [await first, await second, await third] == ["stop", 1, 2]
        await until(lambda: not ref.is_alive())
        assert log == ["start", "stop", 1, 2, "stop"]

    async def test_in_on_start_ends_the_actor_behind_what_is_queued(self):
        class StopsAtOnce(Life):
            def on_start(self):
                super().on_start()
                self.stop()

        log = []
        ref = StopsAtOnce.start(log)
        assert await ref.stop_async() is True
        assert log == ["start", "stop"]

    async def test_several_may_wait_for_the_same_end(self):
        ref = Echo.start()
        assert await asyncio.gather(*[ref.stop(block=False) for _ in range(3)]) == [True] * 3


class TestDead:
    @pytest.fixture
    def dead(self):
        ref = Echo.start()
        ref.stop()
        return ref

    def test_every_verb_says_so_and_returns_at_once(self, dead):
        expected = f"^Echo .{dead.actor_urn}. not found: it has stopped and takes no more messages$"
        with pytest.raises(ActorDeadError, match=expected):
            dead.tell(1)
        with pytest.raises(ActorDeadError, match=expected):
            dead.ask(1)
        reply = dead.ask(1, block=False)
        assert reply.done
        with pytest.raises(ActorDeadError, match=expected):
            reply.get()
        with pytest.raises(ActorDeadError):
            dead.proxy()
        assert dead.stop() is False
        assert dead.stop(block=False).get(timeout=0) is False

    async def test_so_do_the_async_ones(self):
        dead = Echo.start()
        await dead.stop_async()
        with pytest.raises(ActorDeadError):
            await dead.tell_async(1)
        with pytest.raises(ActorDeadError):
            await dead.ask_async(1)
        with pytest.raises(ActorDeadError):
            dead.ask(1)
        assert await dead.stop_async() is False
        assert dead.stop() is False, "there is nothing to wait for"

    async def test_it_is_closed_from_the_beginning_of_on_stop(self):
        class Late(AsyncActor):
            async def on_stop(self):
                entered.set()
                await leave.wait()

        entered, leave = asyncio.Event(), asyncio.Event()
        ref = Late.start()
        stopped = ref.stop(block=False)
        await entered.wait()
        assert not ref.is_alive()
        assert ref not in ActorRegistry.get_all()
        with pytest.raises(ActorDeadError):
            ref.tell(1)
        assert not stopped.done
        leave.set()
        assert await stopped is True


class TestTheRefItself:
    async def test_is_pykkas_with_more_verbs_and_properties(self):
        ref = Echo.start()
        assert isinstance(ref, ActorRef)
        assert isinstance(ref, PykkaRef)
        added = {name for name in dir(ActorRef) if not name.startswith("_")} - set(dir(PykkaRef))
        assert added == {
            *("ask_async", "cancel_turn", "is_paused", "kill", "pause", "resume", "serving_loop", "statistics"),
            *("steer", "stop_async", "stop_now", "tell_async", "wait_stopped", "watch"),
        }

    async def test_has_no_statistics_without_a_supervisor(self):
        with pytest.raises(RuntimeError, match="are not counted: spawn it in an ActorSystem"):
            Echo.start().statistics()

    async def test_knows_the_loop_that_serves_it(self):
        assert Echo.start().serving_loop is asyncio.get_running_loop()
        assert Echo().actor_ref.serving_loop is None

    async def test_looks_as_in_pykka(self):
        ref = Echo.start()
        assert str(ref) == f"Echo ({ref.actor_urn})"
        assert repr(ref) == f"<ActorRef for {ref}>"
        assert ref.actor_class is Echo
        assert ref._actor_weakref().actor_ref is ref

    def test_that_leaks_from_a_constructor_may_be_told_before_the_start(self):
        class Early(Life):
            def __init__(self, log):
                super().__init__(log)
                self.actor_ref.tell("early")

        log = []
        assert Early.start(log).stop() is True
        assert log == ["start", "early", "stop"]

    def test_that_leaks_from_a_constructor_may_even_be_stopped(self):
        class Stillborn(Echo):
            def __init__(self):
                super().__init__()
                self.stop()

        class Undrained(Stillborn):
            dispatcher = CallerDispatcher

        for kind in [Stillborn, Undrained]:
            ref = kind.start()
            ref.actor_stopped.wait(20)
            assert not ref.is_alive()
            assert ref not in ActorRegistry.get_all()


def test_asking_in_a_handler_without_blocking_gives_a_reply_to_await():
    class Asker(AsyncActor):
        async def on_receive(self, other):
            reply = other.ask(threading.get_ident(), block=False)
            assert isinstance(reply, Reply)
            return await reply == threading.get_ident()

    assert Asker.start().ask(Echo.start()) is True


@pytest.mark.parametrize(
    ("timeout", "error", "text"),
    [
        ("x", TypeError, "timeout is a number of seconds or None, not 'x'"),
        (-1, ValueError, "timeout must be at least 0 seconds, not -1"),
        (-0.001, ValueError, "timeout must be at least 0 seconds, not -0.001"),
        (float("nan"), ValueError, "timeout must be at least 0 seconds, not nan"),
    ],
)
@pytest.mark.parametrize("verb", ["ask", "stop", "ask_async", "stop_async", "tell_async"])
async def test_a_timeout_that_nobody_can_wait_is_refused_and_nothing_is_sent(verb, timeout, error, text):
    ref = Echo.start()
    message = [] if "stop" in verb else ["message"]

    async def send():
        result = getattr(ref, verb)(*message, timeout=timeout)
        await result

    with pytest.raises(error, match=f"^{text}$"):
        await send()
    assert ref.actor_inbox.contents() == (None, [])
    assert ref.is_alive()


class TestWatching:
    @pytest.mark.parametrize("other_lives", [True, False])
    async def test_is_refused_by_an_actor_that_has_ended(self, other_lives):
        ref, other = Echo.start(), Echo.start()
        await ref.stop_async()
        if not other_lives:
            await other.stop_async()
        with pytest.raises(ActorDeadError, match="takes no more messages"):
            await ref.watch(other)

    def test_is_refused_by_an_actor_whose_loop_is_closed(self):
        async def start():
            return Echo.start()

        loop = asyncio.new_event_loop()
        ref = loop.run_until_complete(start())
        loop.close()
        with pytest.raises(ActorDeadError, match="takes no more messages"):
            asyncio.run(ref.watch(Echo.start()))


class Undrained(Echo):
    dispatcher = CallerDispatcher


class TestLeftBehindInTheParent:
    """What a forked child does to the refs it has from its parent, whose other threads are gone."""

    async def test_it_is_dead_and_its_askers_are_answered_whoever_held_a_lock(self):
        ref = Echo.start()
        reply, stop = ref.ask("asked", block=False), ref.stop(block=False)
        ref.tell("told")
        for lock in [ref.actor_inbox._lock, reply._lock, stop._lock]:
            in_thread(lock.acquire)()
        leave_behind(ref)
        ActorRegistry.unregister(ref)
        for each in [reply, stop]:
            with pytest.raises(ActorDeadError, match="forked"):
                each.get(timeout=0)
        assert ref.stop() is False
        assert not ref.is_alive()
        with pytest.raises(ActorDeadError):
            ref.tell("late")

    def test_one_that_nobody_drains_lives_on(self):
        ref = Undrained.start()
        reply = ref.ask("asked", block=False)
        in_thread(ref.actor_inbox._lock.acquire)()
        leave_behind(ref)
        ref.tell("told")
        assert not reply.done
        assert ref.stop() is True
