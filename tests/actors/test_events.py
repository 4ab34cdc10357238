"""Events: a stream for any number of subscribers, bounded for each."""

import asyncio
import gc
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.actors.events import EventsLost, EventStream
from pygents.testing import VirtualTimeLoop


@pytest.fixture
def stream():
    return EventStream()


async def test_every_subscriber_gets_every_event_in_order_from_then_on(stream):
    stream.publish("before")
    first = stream.subscribe()
    stream.publish(1)
    second = stream.subscribe()
    stream.publish(2)
    stream.close()
    assert [event async for event in first] == [1, 2]
    assert [event async for event in second] == [2]


async def test_a_subscriber_waits_for_the_next_event(stream):
    events = stream.subscribe()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(1)
    assert not waiting.done()
    stream.publish("now")
    assert await waiting == "now"


async def test_one_that_waits_is_told_of_the_end(stream):
    events = stream.subscribe()
    waiting = asyncio.ensure_future(anext(events, "over"))
    await asyncio.sleep(1)
    stream.close()
    assert await waiting == "over"
    stream.publish("too late")
    assert await anext(events, "over") == "over"


def collect(events):
    async def all_of_them():
        return [event async for event in events]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(all_of_them())


@given(st.integers(1, 10), st.integers(0, 40))
def test_a_slow_one_loses_the_oldest_and_gets_their_count_in_their_place(capacity, published):
    stream = EventStream()
    events = stream.subscribe(capacity=capacity)
    for number in range(published):
        stream.publish(number)
    stream.close()
    lost = max(0, published - capacity)
    assert collect(events) == [EventsLost(count=lost)] * bool(lost) + list(range(lost, published))


async def test_cancelling_the_wait_loses_no_event(stream):
    events = stream.subscribe()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(1)
    stream.publish("kept")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await anext(events) == "kept"


async def test_one_that_is_dropped_is_gone(stream):
    async def look():
        async for _ in stream.subscribe():
            return

    stream.subscribe()
    gc.collect()
    assert not stream.has_subscribers
    looking = asyncio.create_task(look())
    await asyncio.sleep(1)
    assert stream.has_subscribers
    stream.publish("one")
    await looking
    assert not stream.has_subscribers


async def test_one_that_comes_after_the_end_is_told_so_at_once(stream):
    stream.publish("before")
    stream.close()
    assert [event async for event in stream.subscribe()] == []
    assert not stream.has_subscribers


@pytest.mark.parametrize(
    ("error", "capacity"),
    [(ValueError, 0), (ValueError, -1), (TypeError, True), (TypeError, 1.5), (TypeError, math.inf), (TypeError, "1")],
)
def test_a_capacity_that_is_none_is_refused(stream, error, capacity):
    with pytest.raises(error, match=f"capacity must be an integer of at least 1, not {capacity!r}"):
        stream.subscribe(capacity=capacity)
    assert not stream.has_subscribers


@pytest.mark.real_time
async def test_events_from_many_threads_all_arrive_and_those_of_one_in_order(stream):
    def publish(thread):
        for number in range(500):
            stream.publish((thread, number))

    events = stream.subscribe(capacity=5000)
    threads = [threading.Thread(target=publish, args=[thread]) for thread in range(8)]
    for thread in threads:
        thread.start()
    got = [await anext(events) for _ in range(8 * 500)]
    for thread in threads:
        thread.join()
    assert sorted(got) == [(thread, number) for thread in range(8) for number in range(500)]
    assert all([number for one, number in got if one == thread] == list(range(500)) for thread in range(8))


def test_a_subscriber_whose_loop_has_gone_disturbs_nobody(stream):
    events = stream.subscribe()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(_next(events))
    loop.run_until_complete(asyncio.sleep(0))
    waiting.cancel()
    loop.run_until_complete(asyncio.gather(waiting, return_exceptions=True))
    loop.close()
    stream.publish("one")
    stream.close()
    assert collect(events) == ["one"]


async def _next(events):
    return await anext(events)
