"""What a trace shows: the same text in every process."""

import asyncio
import uuid
from collections import deque

import pytest

from pygents.testing.trace import Tracer, stable


async def nothing():
    """Do nothing."""


class Odd:
    def __init__(self, text="", error=None):
        self._text = text
        self._error = error

    def __repr__(self):
        if self._error is not None:
            raise self._error
        return self._text


class array:  # noqa: N801 (named like one that the standard library shows in a way of its own)
    def __repr__(self):
        return "my array"


class TestWhatIsShown:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("<object object at 0x7f170a3f50a0>", "<object object at 0x>"),
            ("<A at 0x00007F170A3F50A0>", "<A at 0x>"),
            ("0xff", "0xff"),
            ("urn:uuid:4c15e9a0-34b0-4a5e-a1f2-0123456789ab!", "urn:uuid:uuid!"),
            ("<Task pending name='Task-12' coro=<f()>>", "<Task pending name='Task' coro=<f()>>"),
            ("<coroutine f at /home/me/my.project/a_b.py:12>", "<coroutine f at a_b.py:12>"),
            (r"<coroutine f at C:\me\a.py:12>", "<coroutine f at a.py:12>"),
            ("File '/a.py'", "File 'a.py'"),
            ("https://host/a/b.py and 1/2 and c/d.py", "https://host/a/b.py and 1/2 and c/d.py"),
        ],
    )
    def test_is_the_same_in_every_process(self, text, shown):
        assert stable(Odd(text)) == shown

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ({"b", "a", "c"}, "{'a', 'b', 'c'}"),
            ([frozenset("ba")], "[frozenset({'a', 'b'})]"),
            ({"b": {2, 1}, "a": 0}, "{'a': 0, 'b': {1, 2}}"),
            (deque("ab"), "deque(['a', 'b'])"),
            (array(), "my array"),
            (Odd(error=ValueError()), "<Odd instance at 0x>"),
            (Odd(error=SystemExit()), "<Odd whose repr raises SystemExit>"),
        ],
    )
    def test_is_in_order_and_whatever_it_is(self, value, shown):
        assert stable(value) == shown

    def test_is_cut_where_it_is_long(self):
        assert len(stable("x" * 10_000)) == 1_000
        assert len(stable(Odd("x" * 10_000))) == 1_000
        assert stable(list(range(200))).endswith(", 99, ...]")

    def test_has_no_place_of_a_real_coroutine_or_actor(self):
        work = nothing()
        assert stable(work) == "<coroutine object nothing at 0x>"
        work.close()
        assert stable(uuid.uuid4()) == "UUID('uuid')"

    async def test_has_no_number_of_a_real_task(self):
        task = asyncio.create_task(nothing())
        assert stable(task).startswith("<Task pending name='Task' coro=<nothing() running at test_trace.py:")
        await task


def test_a_closed_trace_is_not_written_to():
    tracer = Tracer(lambda: 1.5)
    tracer.note_fault("a", "is there")
    tracer.close()
    tracer.note_fault("a", "is not")
    assert [str(record) for record in tracer.records] == ["1.500000 a fault is there"]
