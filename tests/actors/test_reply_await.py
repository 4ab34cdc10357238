"""A reply that is awaited: on any loop, from several at once, and never blocking one."""

import asyncio
import queue
import threading

import pytest
from pykka import ThreadingActor, ThreadingFuture, Timeout

from pygents.actors import AsyncActor, Reply, ThreadDispatcher
from pygents.actors.loops import resolve_from_anywhere
from tests.actors.helpers import PATIENCE, Echo, Gate, in_thread, until


class Ticks:
    """A task that counts, as long as the loop is not blocked."""

    def __init__(self):
        self.count = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _tick(self):
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def after(self, more, then):
        """Call `then` when it has ticked `more` times from now on."""
        goal = self.count + more
        await until(lambda: self.count >= goal)
        then()


async def test_a_value_that_is_there_costs_no_suspension():
    reply = Reply()
    reply.set(1)
    with pytest.raises(StopIteration) as done:
        reply.__await__().send(None)
    assert done.value.value == 1
    assert await reply.get_async(timeout=0) == 1


async def test_waiting_lets_the_loop_go_on():
    reply = Reply()
    async with Ticks() as ticks, asyncio.TaskGroup() as group:
        group.create_task(ticks.after(3, lambda: reply.set("here")))
        assert await reply == "here"
        assert await reply == "here"


async def test_a_failure_is_raised_to_everyone_who_awaits():
    reply = Reply()
    waiting = [asyncio.ensure_future(reply.get_async()) for _ in range(3)]
    await asyncio.sleep(0)
    reply.fail(KeyError("gone"))
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, KeyError)


async def test_a_reply_works_where_asyncio_takes_awaitables():
    first, second = Reply(), Reply()
    both = asyncio.gather(first, asyncio.wait_for(second, 5))
    first.set(1)
    second.set(2)
    assert await both == [1, 2]


def test_many_loops_and_threads_may_wait_at_once():
    reply = Reply()
    barrier = threading.Barrier(7)

    async def wait_here():
        await asyncio.to_thread(barrier.wait)
        return await asyncio.gather(reply, reply.get_async(timeout=20), reply.map(str))

    def block():
        barrier.wait()
        return reply.get(timeout=20)

    results = [in_thread(lambda: asyncio.run(wait_here())) for _ in range(3)] + [in_thread(block) for _ in range(3)]
    barrier.wait()
    reply.set(7)
    assert [result() for result in results] == [[7, 7, "7"]] * 3 + [7] * 3


class TestTimeout:
    async def test_is_pykkas_and_takes_as_long_as_it_says(self):
        reply = Reply()
        with pytest.raises(Timeout, match="5 seconds"):
            await reply.get_async(timeout=5)
        assert asyncio.get_running_loop().time() == pytest.approx(5)
        assert not reply._wakeups

    async def test_is_not_confused_with_a_timeout_that_is_the_outcome(self):
        reply = Reply()
        reply.fail(TimeoutError("the handler's own"))
        with pytest.raises(TimeoutError, match="the handler's own"):
            await reply.get_async(timeout=5)

    async def test_does_not_swallow_a_cancellation(self):
        waiting = asyncio.ensure_future(Reply().get_async(timeout=5))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


class TestCancelling:
    async def test_cancels_only_the_wait(self):
        reply = Reply()
        waiting = asyncio.ensure_future(reply.get_async())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not reply._wakeups
        reply.set(1)
        assert await reply == 1

    @pytest.mark.real_time
    async def test_an_asker_leaves_the_actor_to_finish(self):
        ref = Gate.start()
        asking = asyncio.ensure_future(ref.ask_async("wait"))
        actor = ref._actor_weakref()
        await asyncio.to_thread(actor.entered.wait)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        actor.opened.set()
        assert await ref.ask_async("next") == "next"
        assert actor.seen == ["wait", "next"]

    async def test_in_the_moment_of_the_answer_is_still_a_cancellation(self):
        reply = Reply()
        waiting = asyncio.ensure_future(reply.get_async())
        await asyncio.sleep(0)
        waiting.cancel()
        reply.set(1)
        with pytest.raises(asyncio.CancelledError):
            await waiting


class TestPykkasOwnFutures:
    @pytest.mark.real_time
    async def test_are_awaited_without_blocking_the_loop(self):
        foreign = ThreadingFuture()
        async with Ticks() as ticks, asyncio.TaskGroup() as group:
            group.create_task(ticks.after(3, lambda: foreign.set(5)))
            assert await Reply.wrap(foreign) == 5

    @pytest.mark.real_time
    async def test_are_joined_with_replies_without_blocking_the_loop(self):
        foreign, reply = ThreadingFuture(), Echo.start().ask(1, block=False)
        async with Ticks() as ticks, asyncio.TaskGroup() as group:
            group.create_task(ticks.after(3, lambda: foreign.set(5)))
            assert await reply.join(foreign) == [1, 5]

    @pytest.mark.real_time
    @pytest.mark.parametrize("error", [KeyError("gone"), Timeout("its own")])
    async def test_raise_what_they_hold(self, error):
        foreign = ThreadingFuture()
        foreign.set_exception((type(error), error, None))
        with pytest.raises(type(error)) as caught:
            await Reply.wrap(foreign)
        assert caught.value is error

    @pytest.mark.real_time
    async def test_are_waited_for_longer_than_one_look(self, monkeypatch):
        monkeypatch.setattr("pygents.actors.blocking._POLL", 0.001)

        class Looked(ThreadingFuture):
            looks = 0

            def get(self, *, timeout=None):
                self.looks += 1
                if self.looks == 3:
                    self.set("here")
                return super().get(timeout=timeout)

        assert await Reply.wrap(Looked()) == "here"

    def test_that_are_never_set_do_not_keep_a_program_from_ending(self):
        async def main():
            asking = asyncio.ensure_future(Reply.wrap(ThreadingFuture()).get_async())
            await until(lambda: "pygents-wait" in {thread.name for thread in threading.enumerate()})
            return asking

        assert asyncio.run(main()).cancelled()

    def test_of_an_actor_with_a_thread_are_wrapped_too(self):
        class Plain(ThreadingActor):
            def on_receive(self, message):
                return message

        ref = Plain.start()
        assert Reply.wrap(ref.ask(1, block=False)).get() == 1
        assert asyncio.run(Reply.wrap(ref.ask(2, block=False)).get_async()) == 2


class TestGetHook:
    @pytest.mark.real_time
    async def test_runs_on_a_thread_when_it_is_awaited(self):
        reply = Reply()
        reply.set_get_hook(lambda timeout: threading.current_thread().name)
        assert await reply == "pygents-wait"
        assert await reply == "pygents-wait"

    @pytest.mark.real_time
    async def test_raises_what_it_raises(self):
        reply = Reply()

        def hook(timeout):
            raise SystemExit(3)

        reply.set_get_hook(hook)
        with pytest.raises(SystemExit):
            await reply

    @pytest.mark.real_time
    async def test_runs_once_however_long_it_takes_and_whoever_else_waits(self, monkeypatch):
        def hook(timeout):
            calls.append(timeout)
            assert let_go.wait(PATIENCE)
            return "made"

        monkeypatch.setattr("pygents.actors.blocking._POLL", 0.001)
        calls, let_go = [], threading.Event()
        reply = Reply()
        reply.set_get_hook(hook)
        blocked = [in_thread(reply.get) for _ in range(3)]
        awaiting = [asyncio.ensure_future(reply.get_async()) for _ in range(3)]
        await until(lambda: calls)
        foreign = ThreadingFuture()  # its wait is polled meanwhile, several times
        polled = asyncio.ensure_future(Reply.wrap(foreign).get_async())
        await asyncio.to_thread(lambda: [foreign._condition.acquire(), foreign._condition.release()])
        foreign.set("foreign")
        assert await polled == "foreign"
        with pytest.raises(Timeout):
            reply.get(timeout=0)
        let_go.set()
        assert await asyncio.gather(*awaiting) == ["made"] * 3
        assert [wait() for wait in blocked] == ["made"] * 3
        assert calls == [None]

    @pytest.mark.real_time
    async def test_of_pykkas_future_runs_once_and_its_timeout_is_its_outcome(self):
        def slow(value):
            calls.append(value)
            raise Timeout("mine")

        calls = []
        foreign = ThreadingFuture()
        foreign.set(1)
        with pytest.raises(Timeout, match="mine"):
            await Reply.wrap(foreign.map(slow)).get_async(timeout=PATIENCE)
        assert calls == [1]


async def test_awaiting_makes_no_lock_of_the_system(monkeypatch):
    class Forbidden:
        def __init__(self, *_):
            raise AssertionError("an asker that awaits needs none")

    ref = Echo.start()
    monkeypatch.setattr(threading, "Event", Forbidden)
    monkeypatch.setattr(threading, "Condition", Forbidden)
    try:
        assert await ref.ask_async(1) == 1
        assert await ref.ask(1, block=False).map(str).join(ref.ask(2, block=False)) == ["1", 2]
    finally:
        monkeypatch.undo()


def test_a_loop_that_is_closed_has_nobody_left_to_wake():
    reply = Reply()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(reply.get_async())
    loop.run_until_complete(asyncio.sleep(0))
    waiting._log_destroy_pending = False
    loop.close()
    reply.set(1)
    assert reply.get() == 1


def test_any_other_failure_to_wake_is_not_hidden():
    class Deaf:
        def call_soon_threadsafe(self, *_):
            raise RuntimeError("deaf")

        def is_closed(self):
            return False

    with pytest.raises(RuntimeError, match="deaf"):
        resolve_from_anywhere(Deaf(), None)


async def test_the_loop_is_woken_by_an_outcome_that_comes_outside_any_task(monkeypatch):
    """As from a signal handler, which may run on the loop's own thread while the loop is asleep."""

    def wake(*args):
        woken.append(args)
        return call_soon_threadsafe(*args)

    async def settle():
        replies[0].set("in a task")

    loop, woken, replies = asyncio.get_running_loop(), [], [Reply(), Reply()]
    call_soon_threadsafe = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", wake)
    settling = asyncio.create_task(settle())
    assert await replies[0] == "in a task"
    await settling
    assert woken == []
    loop.call_soon(replies[1].set, "outside")
    assert await replies[1] == "outside"
    assert len(woken) == 1


async def test_who_stops_waiting_is_found_in_one_step_however_many_wait():
    class Counted:
        looks = 0

        def __eq__(self, other):
            Counted.looks += 1
            return self is other

        __hash__ = object.__hash__

    reply, wakes = Reply(), [Counted() for _ in range(1000)]
    for wake in wakes:
        assert reply._add_wakeup(wake)
    for wake in reversed(wakes):
        reply._drop_wakeup(wake)
    assert not reply._wakeups
    assert Counted.looks < len(wakes)


async def test_waiting_for_an_actor_of_ones_own_loop_sets_no_timer():
    opened = asyncio.Event()

    class Waits(AsyncActor):
        async def on_receive(self, message):
            await opened.wait()

    ref = Waits.start()
    waiting = asyncio.ensure_future(ref.ask_async("wait"))
    await until(lambda: ref.actor_inbox.in_hand is not None)
    assert asyncio.get_running_loop()._scheduled == []
    opened.set()
    await waiting


async def test_an_asker_who_settles_the_reply_itself_does_the_actor_no_harm():
    ref = Echo.start()
    reply = ref.ask(1, block=False)
    reply.set("mine")
    failing = ref.ask(ValueError(), block=False)
    failing.set("mine, too")
    assert await ref.ask_async(2, timeout=5) == 2
    assert await reply == "mine"


def test_an_outcome_that_comes_just_before_the_wait_is_not_missed():
    class ComesAtTheLastMoment(Reply):
        def _add_wakeup(self, wake):
            self.set(1)
            return super()._add_wakeup(wake)

    assert ComesAtTheLastMoment().get() == 1
    assert asyncio.run(ComesAtTheLastMoment().get_async()) == 1


def test_it_is_the_future_of_every_actor_of_ours():
    class Blocking(AsyncActor):
        dispatcher = ThreadDispatcher

    ref = Blocking.start()
    reply = ref.stop(block=False)
    assert isinstance(reply, Reply)
    assert isinstance(Blocking._create_future(), Reply)
    assert reply.get() is True
    with pytest.raises(queue.Full):
        reply.set(False)
