"""Nothing of an actor, a reply or a loop is left when it has ended."""

import asyncio
import gc
import threading
import weakref

import pytest
from pykka import ActorRegistry

from pygents.actors import AsyncActor, CallerDispatcher, Reply, loops
from tests.actors.helpers import Echo, Life, in_thread, until_idle


class Undrained(Echo):
    dispatcher = CallerDispatcher


class Fails(Echo):
    def on_start(self):
        self.actor_ref.tell(KeyError("gone"))


def start_and_stop(kinds, number):
    """Return weak references to actors that have lived, and to their messages."""
    traces = []
    for index in range(number):
        ref = kinds[index % len(kinds)].start()
        traces += [weakref.ref(ref._actor_weakref()), weakref.ref(ref)]
        ref.stop()
        ref.actor_stopped.wait()
    return traces


def test_a_thousand_actors_that_have_stopped_leave_nothing():
    traces = start_and_stop([Echo, Undrained], 1000)
    gc.collect()
    assert [trace for trace in traces if trace() is not None] == []
    assert ActorRegistry.get_all() == []
    assert len(Echo.start()._dispatcher._shared.members) == 1, "and now it is the only one"


async def test_a_thousand_actors_on_this_loop_leave_nothing():
    refs = [Echo.start() for _ in range(1000)]
    traces = [weakref.ref(ref._actor_weakref()) for ref in refs]
    assert set(await asyncio.gather(*(ref.stop_async() for ref in refs))) == {True}
    members = refs[0]._dispatcher._shared.members
    del refs
    gc.collect()
    assert [trace for trace in traces if trace() is not None] == []
    assert members == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def quiet(caplog):
    """Keep log records from keeping what they tell of."""
    caplog.set_level("CRITICAL", "pygents.actors")


async def test_an_actor_that_has_failed_leaves_nothing(quiet):
    ref = Fails.start()
    trace = weakref.ref(ref._actor_weakref())
    await until_idle(ref)
    assert not ref.is_alive()
    del ref
    gc.collect()
    assert trace() is None


class Message:
    """Something that can be looked for."""


async def test_an_idle_actor_does_not_keep_its_last_message():
    class Forgets(AsyncActor):
        def on_receive(self, message):
            return None

    ref = Forgets.start()
    messages = [Message() for _ in range(ref._dispatcher.throughput)]
    traces = [weakref.ref(message) for message in messages]
    for message in messages:
        ref.tell(message)
    del messages, message
    await until_idle(ref)
    gc.collect()
    assert [trace for trace in traces if trace() is not None] == []
    assert ref.is_alive()


async def test_an_actor_that_has_ended_does_not_keep_what_was_left(quiet):
    ref = Life.start([])
    message = Message()
    trace = weakref.ref(message)
    stopped = ref.stop(block=False)
    ref.tell(message)
    assert await stopped is True
    del message
    gc.collect()
    assert trace() is None


async def test_a_reply_keeps_nobody_who_has_stopped_waiting():
    reply = Reply()
    waiting = [asyncio.ensure_future(reply.get_async()) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert reply._wakeups == {}


def test_loops_that_have_ended_are_let_go():
    async def use():
        await Echo.start().ask_async(1)
        return weakref.ref(asyncio.get_running_loop())

    ended = [asyncio.run(use()) for _ in range(5)]
    gc.collect()
    assert [loop for loop in ended[:-1] if loop() is not None] == []
    assert ended[-1]() in {None, *loops._loops}, "the last one goes with the next"


@pytest.mark.real_time
async def test_a_wait_for_a_foreign_future_ends_its_thread():
    wrapped = Reply()
    wrapped.set_get_hook(lambda timeout: "here")
    before = set(threading.enumerate())
    assert await wrapped == "here"
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before


def test_a_thread_that_started_actors_can_end_before_them():
    ref = in_thread(Echo.start)()
    assert ref.ask(1) == 1
