"""Loops that are closed by hand, without the courtesies of asyncio.run: their actors are dead for who sends next."""

import asyncio
import gc
import logging
import pickle
import threading
import weakref

import pytest
from pykka import ActorRegistry, Timeout

from pygents.actors import ActorDeadError, LoopDispatcher, Mailbox, WouldDeadlockError
from tests.actors.helpers import (
    PATIENCE,
    Echo,
    Life,
    assert_dead_to_everyone,
    cell_of,
    close_before_scheduling,
    hang,
    in_thread,
    messages_of,
    until,
)


class ClosedByHand:
    """A loop that is run and closed without the courtesies of ``asyncio.run``."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def run(self, function):
        async def call():
            return function()

        return self.loop.run_until_complete(call())

    def run_until(self, condition):
        self.loop.run_until_complete(until(condition))

    def close(self):
        self.loop.close()

    def close_under(self, ref):
        """Close it while the actor is suspended, of which asyncio would rightly complain."""
        cell_of(ref).activation._log_destroy_pending = False
        self.close()


async def use_another_loop():
    assert await Echo.start().ask_async(1) == 1


@pytest.fixture
def by_hand():
    loop = ClosedByHand()
    yield loop
    loop.close()


class TestClosedByHand:
    def test_an_idle_actor_is_dead_for_the_one_who_tells_it(self, by_hand, caplog):
        ref = by_hand.run(Echo.start)
        by_hand.close()
        with pytest.raises(ActorDeadError):
            ref.tell("late")
        assert_dead_to_everyone(ref)
        assert messages_of(caplog, "closed before") == [
            f"{ref} ends without on_stop: its event loop was closed before it was stopped"
        ]

    @pytest.mark.parametrize("block", [True, False])
    def test_an_idle_actor_is_dead_for_the_one_who_asks_it(self, by_hand, block):
        ref = by_hand.run(Echo.start)
        by_hand.close()
        with pytest.raises(ActorDeadError):
            ref.ask("late") if block else ref.ask("late", block=False).get(timeout=0)
        assert_dead_to_everyone(ref)

    def test_an_idle_actor_can_be_stopped(self, by_hand):
        first, second = by_hand.run(Echo.start), by_hand.run(Echo.start)
        by_hand.close()
        assert first.stop() in {True, False}
        assert ActorRegistry.stop_all() == [], "they are dead, and not stopped now"
        for ref in [first, second]:
            assert_dead_to_everyone(ref)

    def test_whoever_looks_notices(self, by_hand, caplog):
        ref = by_hand.run(Echo.start)
        assert ref.is_alive()
        by_hand.close()
        assert not ref.is_alive()
        assert len(messages_of(caplog, "closed before")) == 1
        assert_dead_to_everyone(ref)

    @pytest.mark.parametrize("wait", ["block", "await"])
    def test_whoever_waits_for_an_answer_only_now_is_told(self, by_hand, wait):
        ref = by_hand.run(Echo.start)
        asked, stopped = ref.ask("asked", block=False), ref.stop(block=False)
        by_hand.close()
        with pytest.raises(ActorDeadError, match="stopped before handling"):
            in_thread(asked.get if wait == "block" else lambda: asyncio.run(asked.get_async()))()
        assert (stopped.get() if wait == "block" else asyncio.run(stopped.get_async())) is True

    def test_a_thread_that_waits_while_it_is_closed_is_told_soon(self, by_hand, monkeypatch):
        monkeypatch.setattr("pygents.actors.reply._SLICE", 0.001)
        log = []
        ref = by_hand.run(lambda: Life.start(log))
        waiting = in_thread(lambda: ref.ask(hang))
        by_hand.run_until(lambda: hang in log)
        by_hand.close_under(ref)
        with pytest.raises(ActorDeadError, match="stopped before handling"):
            waiting()

    @pytest.mark.parametrize("wait", ["ask", "stop", "map"])
    def test_a_task_that_waits_while_it_is_closed_is_told_soon(self, by_hand, monkeypatch, wait):
        monkeypatch.setattr("pygents.actors.reply._SLICE", 0.001)
        log = []
        ref = by_hand.run(lambda: Life.start(log))
        waits = {
            "ask": lambda: ref.ask_async("behind"),
            "stop": ref.stop_async,
            "map": lambda: ref.ask("behind", block=False).map(str).get_async(),
        }
        ref.tell(hang)
        waiting = in_thread(lambda: asyncio.run(waits[wait]()))
        by_hand.run_until(lambda: hang in log and len(ref.actor_inbox) == 1)
        by_hand.close_under(ref)
        if wait == "stop":
            assert waiting() is True
        else:
            with pytest.raises(ActorDeadError, match="stopped before handling"):
                waiting()

    def test_a_message_that_was_handled_is_not_refused(self, by_hand, monkeypatch):
        """Between the put and the sender's look at the loop the message is handled and the loop closed."""

        class SlowSender(Mailbox):
            def put(self, envelope):
                super().put(envelope)
                by_hand.run_until(lambda: "told" in log)
                by_hand.close()

        class Slow(Life):
            @staticmethod
            def _create_actor_inbox():
                return SlowSender()

        log = []
        ref = by_hand.run(lambda: Slow.start(log))
        ref.tell("told")
        assert log == ["start", "told"]
        assert_dead_to_everyone(ref)

    def test_a_message_that_was_begun_is_not_refused(self, by_hand):
        """Between the put and the sender's look at the loop the message is begun and the loop closed."""

        class SlowSender(Mailbox):
            def put(self, envelope):
                super().put(envelope)
                by_hand.run_until(lambda: hang in log)
                by_hand.close_under(ref)

        class Slow(Life):
            @staticmethod
            def _create_actor_inbox():
                return SlowSender()

        log = []
        ref = by_hand.run(lambda: Slow.start(log))
        asked = ref.ask(hang, block=False)
        with pytest.raises(ActorDeadError, match="stopped before handling"):
            asked.get(timeout=0)
        assert_dead_to_everyone(ref)

    def test_a_broadcast_reaches_the_others(self, by_hand):
        log = []
        dead, living = by_hand.run(lambda: Life.start([])), Life.start(log)
        by_hand.close()
        ActorRegistry.broadcast("hello", target_class=Life)
        living.ask("next")
        assert log == ["start", "hello", "next"]
        assert ActorRegistry.get_by_class(Life) == [living]
        assert not dead.is_alive()

    def test_its_actors_are_ended_by_the_next_start_on_another_loop(self, by_hand, caplog):
        ref = by_hand.run(Echo.start)
        asked = ref.ask("asked", block=False)
        by_hand.close()
        asyncio.run(use_another_loop())
        assert asked.done
        assert len(messages_of(caplog, "closed before")) == 1

    def test_a_message_that_is_refused_is_not_counted_as_accepted_too(self, by_hand, caplog):
        idle, busy = by_hand.run(Echo.start), by_hand.run(Echo.start)
        busy.tell("accepted")
        by_hand.close()
        for ref in [idle, busy]:
            with pytest.raises(ActorDeadError):
                ref.tell("refused")
        assert messages_of(caplog, "without handling") == [
            f"{busy} ended without handling 1 of its messages, the oldest: 'accepted'"
        ]

    @pytest.mark.parametrize("verb", ["tell", "ask", "stop"])
    def test_a_loop_that_is_closed_while_somebody_sends_loses_nothing(self, by_hand, verb, monkeypatch, caplog):
        """The sender has seen the loop open; before its message is scheduled, the loop is closed."""
        ref = by_hand.run(Echo.start)
        close_before_scheduling(by_hand, monkeypatch)
        if verb == "tell":
            ref.tell("late")
        elif verb == "stop":
            assert ref.stop(block=False).get(timeout=0) is True
        else:
            with pytest.raises(ActorDeadError, match="stopped before handling"):
                ref.ask("late", block=False).get(timeout=0)
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: 'late'"
        ] * (verb == "tell")
        assert_dead_to_everyone(ref)

    def test_an_activation_that_never_ran_loses_nothing(self, by_hand, caplog):
        ref = by_hand.run(Echo.start)
        ref.tell("told")
        asked = ref.ask("asked", block=False)
        stopped = ref.stop(block=False)
        by_hand.close()
        assert not asked.done
        with pytest.raises(ActorDeadError):
            ref.ask("late")
        with pytest.raises(ActorDeadError, match="stopped before handling"):
            asked.get(timeout=0)
        assert stopped.get(timeout=0) is True
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: 'told'"
        ]
        assert_dead_to_everyone(ref)

    @pytest.mark.parametrize("verb", ["tell", "stop", "stop_all"])
    def test_an_asker_whose_message_was_in_hand_is_answered(self, by_hand, verb):
        log = []
        ref = by_hand.run(lambda: Life.start(log))
        asked = ref.ask(hang, block=False)
        by_hand.run_until(lambda: hang in log)
        by_hand.close_under(ref)
        if verb == "tell":
            with pytest.raises(ActorDeadError):
                ref.tell("late")
        else:
            ref.stop() if verb == "stop" else ActorRegistry.stop_all()
        with pytest.raises(ActorDeadError, match="stopped before handling"):
            asked.get(timeout=0)
        assert_dead_to_everyone(ref)
        assert log == ["start", hang]

    def test_whoever_waits_for_an_on_stop_that_was_cut_is_answered_too(self, by_hand):
        class Slow(Life):
            async def on_stop(self):
                self._log.append("stop")
                await hang()

        log = []
        ref = by_hand.run(lambda: Slow.start(log))
        stopped, behind = ref.stop(block=False), ref.ask("behind", block=False)
        by_hand.run_until(lambda: "stop" in log)
        by_hand.close_under(ref)
        assert ref.stop() is False
        assert stopped.get(timeout=0) is True
        with pytest.raises(ActorDeadError):
            behind.get(timeout=0)

    def test_a_handler_that_never_ended_is_collected_with_its_actor(self, by_hand, caplog):
        caplog.set_level("CRITICAL", "pygents.actors")  # a log record would keep the actor
        log = []
        ref = by_hand.run(lambda: Life.start(log))
        actor = weakref.ref(ref._actor_weakref())
        ref.tell(hang)
        by_hand.run_until(lambda: hang in log)
        by_hand.close_under(ref)
        ref.stop()
        gc.collect()
        assert actor() is None
        assert log == ["start", hang], "neither on_failure nor on_stop"

    @pytest.mark.parametrize("verb", ["ask", "stop"])
    def test_a_sender_whose_message_another_thread_has_answered_gets_that_answer(self, by_hand, verb, monkeypatch):
        def notice():
            in_thread(ref.stop)()  # which answers what has just been put

        ref = by_hand.run(Echo.start)
        close_before_scheduling(by_hand, monkeypatch, notice)
        if verb == "stop":
            assert ref.stop(block=False).get(timeout=0) is True
        else:
            with pytest.raises(ActorDeadError, match="stopped before handling"):
                ref.ask("accepted", block=False).get(timeout=0)
        assert_dead_to_everyone(ref)

    def test_a_failure_that_was_being_dealt_with_is_not_counted_as_unhandled(self, by_hand, caplog):
        class Slow(Life):
            async def on_failure(self, *args):
                self._log.append("failure")
                await hang()

        log = []
        ref = by_hand.run(lambda: Slow.start(log))
        ref.tell(KeyError("gone"))
        ref.tell("behind")
        by_hand.run_until(lambda: "failure" in log)
        by_hand.close_under(ref)
        assert_dead_to_everyone(ref)
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: 'behind'"
        ]

    def test_two_threads_that_notice_at_once_do_not_trip_over_each_other(self, by_hand, monkeypatch):
        """One has taken what is queued and is about to answer it, when the other finds the actor dead."""

        class LetsTheOtherGoFirst(logging.Filter):
            def filter(self, record):
                if "closed before it was stopped" in record.msg and not noticed.is_set():
                    noticed.set()
                    answered.append(asking())
                return True

        def ended(dispatcher):
            if threading.current_thread() is not threading.main_thread():
                looking.set()
                assert noticed.wait(PATIENCE)
            return True

        looking, noticed, answered = threading.Event(), threading.Event(), []
        ref = by_hand.run(Echo.start)
        ref.actor_inbox.claim()  # as if an activation were scheduled
        by_hand.close()
        monkeypatch.setattr(LoopDispatcher, "ended", property(ended))
        first = LetsTheOtherGoFirst()
        logger = logging.getLogger("pygents.actors")
        logger.addFilter(first)
        try:
            asking = in_thread(lambda: ref.ask("from another thread", block=False))
            looking.wait(PATIENCE)
            reply = ref.ask("from this one", block=False)
        finally:
            logger.removeFilter(first)
        for each in [reply, *answered]:
            with pytest.raises(ActorDeadError):
                each.get(timeout=0)


class TestNotRunning:
    """A loop that is not closed and not running: whether anybody can run it depends on who waits."""

    @pytest.mark.parametrize("verb", ["ask", "stop", "get", "stop_all"])
    def test_a_wait_on_the_thread_that_has_to_run_it_is_refused_and_nothing_is_sent(self, by_hand, verb):
        refs = by_hand.run(lambda: [Echo.start(), Echo.start()])
        by_hand.run_until(lambda: True)
        reply = refs[0].ask("asked", block=False) if verb == "get" else None
        sent = len(refs[0].actor_inbox)
        verbs = {
            "ask": lambda: refs[0].ask("message"),
            "stop": lambda: refs[0].stop(timeout=5),
            "get": getattr(reply, "get", None),
            "stop_all": ActorRegistry.stop_all,
        }
        with pytest.raises(WouldDeadlockError, match="its event loop is not running, and only this thread"):
            verbs[verb]()
        assert all(ref.is_alive() for ref in refs)
        assert len(refs[0].actor_inbox) == sent
        assert refs[1].stop(block=False).done is False
        by_hand.run_until(lambda: not refs[1].is_alive())

    def test_a_wait_for_what_a_dead_thread_would_have_to_run_is_refused(self, by_hand):
        ref = in_thread(lambda: by_hand.run(Echo.start))()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and thread is cell_of(ref).dispatcher._shared._thread:
                thread.join(PATIENCE)
        with pytest.raises(WouldDeadlockError, match="or one that has ended") as caught:
            ref.ask("message")
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        assert ref.ask("message", block=False).done is False

    def test_another_thread_may_wait_until_it_is_run_again(self, by_hand):
        ref = by_hand.run(Echo.start)
        answers = []
        asking = in_thread(lambda: answers.append(ref.ask("message")))
        by_hand.run_until(lambda: answers)
        asking()
        assert answers == ["message"]

    def test_a_look_that_takes_no_time_is_allowed(self, by_hand):
        ref = by_hand.run(Echo.start)
        with pytest.raises(Timeout):
            ref.ask("message", timeout=0)
