"""A reply that is waited for by blocking, as any pykka future is, and how it is set."""

import asyncio
import contextlib
import pickle
import queue
import sys
import threading

import pytest
from pykka import Timeout

from pygents.actors import ActorFailedError, Reply, WouldDeadlockError, get_all
from tests.actors.helpers import Echo, in_thread


class TestGet:
    def test_gives_the_value_as_often_as_it_is_asked_for(self):
        reply = Reply()
        reply.set([1])
        assert reply.get() is reply.get()
        assert reply.get(timeout=0) == [1]

    def test_gives_none_if_it_was_set_to_nothing(self):
        reply = Reply()
        reply.set()
        assert reply.get() is None

    def test_waits_for_another_thread(self):
        reply = Reply()
        results = [in_thread(reply.get) for _ in range(3)]
        reply.set("here")
        assert [result() for result in results] == ["here"] * 3

    def test_times_out_with_pykkas_timeout_and_can_be_tried_again(self):
        reply = Reply()
        with pytest.raises(Timeout, match="0 seconds"):
            reply.get(timeout=0)
        with pytest.raises(Timeout, match=r"0\.001 seconds"):
            reply.get(timeout=0.001)
        reply.set(1)
        assert reply.get(timeout=0) == 1

    def test_a_wait_that_timed_out_leaves_nothing_behind(self):
        reply = Reply()
        for _ in range(3):
            with contextlib.suppress(Timeout):
                reply.get(timeout=0)
        assert not reply._wakeups

    def test_several_are_got_at_once_by_get_all(self):
        replies = [Reply() for _ in range(3)]
        for number, reply in enumerate(replies):
            reply.set(number)
        assert get_all(replies) == [0, 1, 2]
        with pytest.raises(Timeout):
            get_all([*replies, Reply()], timeout=0)


class TestSet:
    @pytest.mark.parametrize("first", [lambda reply: reply.set(1), lambda reply: reply.fail(ValueError())])
    @pytest.mark.parametrize(
        "second",
        [
            lambda reply: reply.set(2),
            lambda reply: reply.fail(ValueError()),
            lambda reply: reply.set_exception((ValueError, ValueError(), None)),
            lambda reply: reply.set_get_hook(lambda timeout: 2),
        ],
    )
    def test_happens_once(self, first, second):
        reply = Reply()
        first(reply)
        with pytest.raises(queue.Full):
            second(reply)

    def test_only_one_of_many_threads_can_set_it(self):
        reply = Reply()
        barrier = threading.Barrier(4)

        def settle():
            barrier.wait()
            try:
                reply.set(1)
            except queue.Full:
                return False
            return True

        results = [in_thread(settle) for _ in range(4)]
        assert sorted(result() for result in results) == [False, False, False, True]

    @pytest.mark.parametrize("derive", [lambda reply: reply.map(str), lambda reply: reply.join(reply)])
    def test_is_refused_for_a_reply_that_is_made_from_others(self, derive):
        with pytest.raises(queue.Full):
            derive(Reply()).set(1)

    def test_is_refused_for_a_reply_with_a_get_hook(self):
        reply = Reply()
        reply.set_get_hook(lambda timeout: 1)
        with pytest.raises(queue.Full):
            reply.set(1)

    def test_says_what_it_has_become(self):
        reply, failed = Reply(), Reply()
        assert (repr(reply), reply.done) == ("<Reply pending>", False)
        reply.set(1)
        assert (repr(reply), reply.done) == ("<Reply set>", True)
        failed.fail(ValueError())
        assert (repr(failed), failed.done) == ("<Reply failed>", True)


class TestSetException:
    def test_takes_the_one_being_handled(self):
        reply = Reply()
        try:
            {}["gone"]
        except KeyError:
            reply.set_exception()
        with pytest.raises(KeyError, match="gone"):
            reply.get()

    def test_takes_a_triple_with_its_traceback(self):
        reply = Reply()
        try:
            {}["gone"]
        except KeyError:
            traceback = sys.exc_info()[2]
        reply.set_exception((KeyError, KeyError("gone"), traceback))
        with pytest.raises(KeyError, match="gone") as caught:
            reply.get()
        assert caught.traceback[-1].name == "test_takes_a_triple_with_its_traceback"

    def test_takes_a_triple_without_a_value(self):
        reply = Reply()
        reply.set_exception((KeyError, None, None))
        with pytest.raises(KeyError):
            reply.get()

    def test_says_so_when_there_is_no_exception(self):
        reply = Reply()
        reply.set_exception()
        with pytest.raises(RuntimeError, match="called without an exception"):
            reply.get()

    def test_is_raised_each_time_and_keeps_nobody_who_was_told_of_it(self):
        reply = Reply()
        reply.fail(KeyError("gone"))
        depths = []
        for _ in range(3):
            with pytest.raises(KeyError, match="gone") as caught:
                reply.get()
            depths.append(len(caught.traceback))
        assert len(set(depths)) == 1, "its traceback does not grow by those who get it"


class TestGetHook:
    def test_gets_the_timeout_and_runs_once(self):
        calls = []
        reply = Reply()
        reply.set_get_hook(lambda timeout: calls.append(timeout) or 5)
        assert [reply.get(timeout=3), reply.get()] == [5, 5]
        assert calls == [3]

    def test_may_fail_and_is_then_tried_again(self):
        outcomes = iter([ValueError("not yet"), 5])

        def hook(timeout):
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        reply = Reply()
        reply.set_get_hook(hook)
        with pytest.raises(ValueError, match="not yet"):
            reply.get()
        assert reply.get() == 5

    def test_takes_the_place_of_what_a_derived_reply_would_do(self):
        reply = Reply().map(str)
        reply.set_get_hook(lambda timeout: 5)
        assert reply.get(timeout=0) == 5


class TestDeadlock:
    async def test_is_refused_naming_both_actors(self):
        class Asker(Echo):
            def on_receive(self, message):
                return message.ask("never sent")

        asker, target = Asker.start(), Echo.start()
        with pytest.raises(WouldDeadlockError) as caught:
            await asker.ask_async(target)
        assert (caught.value.waiting, caught.value.target) == (str(asker), str(target))
        assert str(caught.value).startswith(f"{asker} would wait for ever for {target}")
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    async def test_is_refused_to_code_outside_any_actor_too(self):
        reply = Echo.start().ask(1, block=False)
        with pytest.raises(WouldDeadlockError, match=r"^Code outside any actor would wait for ever for Echo"):
            reply.get()
        with pytest.raises(WouldDeadlockError):
            reply.map(str).get(timeout=5)
        assert await reply == 1

    async def test_a_look_that_takes_no_time_is_allowed(self):
        ref = Echo.start()
        reply = ref.ask(1, block=False)
        with pytest.raises(Timeout):
            reply.get(timeout=0)
        assert await reply == 1
        assert reply.get() == 1

    @pytest.mark.real_time
    async def test_waiting_for_an_actor_on_another_loop_is_allowed(self):
        background = in_thread(Echo.start)()
        assert background.ask(1) == 1


def test_no_lock_of_the_system_is_made_unless_somebody_blocks(monkeypatch):
    made = []
    for name in ["Event", "Condition"]:
        real = getattr(threading, name)
        monkeypatch.setattr(threading, name, lambda *args, real=real, name=name: made.append(name) or real(*args))
    reply = Reply()
    reply.set(1)
    assert reply.map(str).join(reply).get() == ["1", 1]
    assert made == []
    with contextlib.suppress(Timeout):
        Reply().get(timeout=0)
    assert "Event" in made


def test_the_error_for_what_is_no_ordinary_exception_keeps_it_as_its_cause():
    with pytest.raises(ActorFailedError) as caught:
        Echo.start().ask(SystemExit(3))
    assert isinstance(caught.value.__cause__, SystemExit)
    assert caught.value.failure == "SystemExit(3)"
    back = pickle.loads(pickle.dumps(caught.value))
    assert (str(back), back.actor, back.failure) == (str(caught.value), caught.value.actor, caught.value.failure)


def test_a_timeout_that_nobody_can_wait_is_refused():
    reply = Reply()
    reply.set(1)
    with pytest.raises(TypeError, match="timeout is a number of seconds or None, not 'x'"):
        reply.get(timeout="x")
    with pytest.raises(TypeError, match="timeout is a number"):
        asyncio.run(reply.get_async(timeout="x"))
    with pytest.raises(ValueError, match="timeout must be at least 0 seconds, not -1"):
        reply.get(timeout=-1)


def test_a_finalizer_may_set_it_on_a_thread_that_is_inside_its_lock():
    def interrupted():
        with reply._lock:
            reply.set("set")

    reply = Reply()
    in_thread(interrupted)()
    assert reply.get(timeout=0) == "set"
