"""Replies made from others: map, filter, join and reduce; blocking and awaited; lazily, and once."""

import asyncio
import math
import operator
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pykka import Future, ThreadingFuture, Timeout

from pygents.actors import Reply
from tests.actors.helpers import PATIENCE, Echo, in_thread


def blocking(reply):
    return reply.get(timeout=0)


def awaited(reply):
    return asyncio.run(reply.get_async())


both = pytest.mark.parametrize("outcome", [blocking, awaited])


def done(value):
    reply = Reply()
    reply.set(value)
    return reply


def failed(error):
    reply = Reply()
    reply.fail(error)
    return reply


@both
class TestDerived:
    def test_map_passes_the_value_through_a_function(self, outcome):
        assert outcome(done(30).map(lambda x: x + 10)) == 40
        assert outcome(done({"foo": "bar"}).map(lambda x: x["foo"])) == "bar"

    def test_filter_without_a_function_keeps_the_items_that_are_true(self, outcome):
        assert outcome(done([0, 1, "", "a"]).filter(None)) == [1, "a"]

    def test_filter_keeps_the_items_that_pass(self, outcome):
        assert outcome(done(range(5, 15)).filter(lambda x: x > 10)) == [11, 12, 13, 14]

    def test_reduce_folds_the_items(self, outcome):
        assert outcome(done([1, 2, 3]).reduce(operator.add)) == 6
        assert outcome(done(["a", "b"]).reduce(operator.add, "c")) == "cab"
        assert outcome(done([]).reduce(operator.add, 5)) == 5

    def test_join_collects_the_values_in_order(self, outcome):
        assert outcome(done("abc").join(done(123), done(False))) == ["abc", 123, False]

    def test_join_takes_futures_of_any_kind(self, outcome):
        foreign = ThreadingFuture()
        foreign.set(5)
        assert outcome(done(1).join(foreign)) == [1, 5]

    def test_wrap_makes_a_reply_of_any_future(self, outcome):
        foreign = ThreadingFuture()
        foreign.set(5)
        assert outcome(Reply.wrap(foreign)) == 5
        assert outcome(Reply.wrap(foreign).map(lambda x: x + 1)) == 6

    def test_they_chain(self, outcome):
        joined = done([1, 2, 3]).map(lambda items: [item * 10 for item in items]).join(done([4]))
        assert outcome(joined.reduce(operator.add).filter(lambda x: x != 20).map(tuple)) == (10, 30, 4)

    @pytest.mark.parametrize(
        "derive",
        [
            lambda reply: reply.map(str),
            lambda reply: reply.filter(bool),
            lambda reply: reply.reduce(operator.add),
            lambda reply: reply.join(done(1)),
            lambda reply: done(1).join(reply),
            Reply.wrap,
        ],
    )
    def test_the_failure_of_a_source_is_theirs(self, outcome, derive):
        with pytest.raises(KeyError, match="gone"):
            outcome(derive(failed(KeyError("gone"))))

    @pytest.mark.parametrize("derive", [lambda reply: reply.filter(bool), lambda reply: reply.reduce(operator.add)])
    def test_what_is_no_iterable_is_a_type_error(self, outcome, derive):
        with pytest.raises(TypeError):
            outcome(derive(done(1)))

    def test_a_function_runs_only_when_it_is_asked_for_and_then_once(self, outcome):
        calls = []
        mapped = done(1).map(calls.append)
        assert calls == []
        assert not mapped.done
        for _ in range(3):
            outcome(mapped)
        assert calls == [1]
        assert mapped.done

    def test_a_function_that_fails_is_tried_again_as_in_pykka(self, outcome):
        results = iter([ZeroDivisionError("first"), "second"])

        def function(_):
            result = next(results)
            if isinstance(result, Exception):
                raise result
            return result

        mapped = done(1).map(function)
        with pytest.raises(ZeroDivisionError):
            outcome(mapped)
        assert outcome(mapped) == "second"


@settings(deadline=None)
@given(st.lists(st.integers()), st.integers(), st.booleans())
def test_they_compute_what_the_builtins_do(items, start, wait_async):
    outcome = awaited if wait_async else blocking
    assert outcome(done(items).map(sorted)) == sorted(items)
    assert outcome(done(items).filter(lambda x: x % 2)) == [item for item in items if item % 2]
    assert outcome(done(items).reduce(operator.add, start)) == sum(items, start)
    assert outcome(done(items).join(*map(done, items))) == [items, *items]


def test_blocking_for_several_has_one_deadline_for_all(monkeypatch):
    class TakesThreeSeconds(Future):
        def get(self, *, timeout=None):
            allowed.append(timeout)
            clock.now += 3
            return len(allowed)

    allowed, clock = [], SimpleNamespace(now=0, monotonic=lambda: clock.now)
    monkeypatch.setattr("pygents.actors.reply.time", clock)
    joined = done(0).join(*[TakesThreeSeconds() for _ in range(3)])
    assert joined.get(timeout=5) == [0, 1, 2, 3]
    assert allowed == [5, 2, 0]
    with pytest.raises(Timeout):
        done(1).join(Reply()).get(timeout=0)


def test_a_function_runs_once_even_if_a_second_thread_asks_while_it_runs():
    class Source(Reply):
        def get(self, *, timeout=None):
            if running.is_set():
                second.set()
            return super().get(timeout=timeout)

    def function(value):
        calls.append(value)
        running.set()
        assert second.wait(PATIENCE)
        return "mapped"

    running, second, calls = threading.Event(), threading.Event(), []
    source = Source()
    source.set(1)
    mapped = source.map(function)
    first = in_thread(mapped.get)
    assert running.wait(PATIENCE)
    assert mapped.get() == "mapped"
    assert first() == "mapped"
    assert calls == [1]


@pytest.mark.parametrize(
    "derive",
    [
        lambda reply: reply.map(3),
        lambda reply: reply.filter(3),
        lambda reply: reply.reduce(3),
        lambda reply: reply.join(3),
        lambda _: Reply.wrap(3),
    ],
)
def test_what_cannot_be_derived_is_refused_at_the_call(derive):
    with pytest.raises(TypeError, match=r"3 is no (function|pykka future)"):
        derive(done([1]))


async def test_awaiting_a_join_waits_for_its_sources_without_blocking():
    ref = Echo.start()
    joined = ref.ask(1, block=False).join(ref.ask(2, block=False), ref.ask(3, block=False))
    assert await joined == [1, 2, 3]
    assert await joined.reduce(operator.add) == 6


async def test_the_answer_to_a_stop_can_be_derived_from_and_awaited():
    refs = [Echo.start() for _ in range(3)]
    first, *others = [ref.stop(block=False) for ref in refs]
    assert await first.join(*others) == [True, True, True]


async def test_a_derived_wait_times_out_on_the_loop():
    with pytest.raises(Timeout, match="5 seconds"):
        await done(1).join(Reply()).get_async(timeout=5)


@pytest.mark.real_time
async def test_a_function_that_runs_on_another_thread_does_not_block_the_loop_that_awaits_it():
    began, go_on = threading.Event(), threading.Event()

    def function(value):
        began.set()
        assert go_on.wait(2), "the loop was blocked"
        return value

    mapped = done(1).map(function)
    blocked = in_thread(mapped.get)
    began.wait()
    awaiting = asyncio.ensure_future(mapped.get_async())
    asyncio.get_running_loop().call_soon(go_on.set)
    assert await awaiting == 1
    assert blocked() == 1


def test_an_infinite_time_limit_is_none():
    assert done(1).map(str).get(timeout=math.inf) == "1"
