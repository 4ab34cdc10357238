"""A sender near the recursion limit gets the RecursionError, and whoever it would have woken is woken all the same."""

import asyncio
import sys
import threading

import pytest

from pygents.actors import LoopDispatcher, MailboxFullError, MailboxPolicy, Overflow, Reply
from pygents.actors.admission import call_all
from pygents.actors.system import ActorSystem
from tests.actors.helpers import PATIENCE, Echo, in_thread, until
from tests.actors.test_mailbox import opened

pytestmark = pytest.mark.real_time  # another thread does the waking

ROOM = range(1, 16)
"""Frames that are left: at the lower end nothing can be called, at the upper end everything succeeds."""


def at_depth(room, function):
    """Call `function` on a thread of its own where only `room` more frames fit; return its error or None."""

    def descend(frames):
        if frames:
            return descend(frames - 1)
        try:
            function()
        except RecursionError as error:
            return error
        return None

    def begin():
        used, frame = 0, sys._getframe()
        while frame is not None:
            used, frame = used + 1, frame.f_back
        return descend(sys.getrecursionlimit() - used - room - 2)

    return in_thread(begin)()


@pytest.mark.parametrize("verb", ["tell", "ask", "stop"])
@pytest.mark.parametrize("room", ROOM)
async def test_an_actor_goes_on_to_hear(verb, room):
    verbs = {
        "tell": lambda ref: lambda: ref.tell("near the limit"),
        "ask": lambda ref: lambda: ref.ask("near the limit", block=False),
        "stop": lambda ref: lambda: ref.stop(block=False),
    }
    ref = Echo.start()
    await ref.ask_async("before")
    at_depth(room, verbs[verb](ref))
    if verb == "stop":
        assert await ref.stop_async() in {True, False}
    else:
        assert await ref.ask_async("after") == "after"


@pytest.mark.parametrize("verb", ["put", "put_stop"])
def test_a_mailbox_that_cannot_wake_here_wakes_from_another_thread(verb):
    def wake():
        if threading.current_thread() is threading.main_thread():
            raise RecursionError
        woken.set()

    woken = threading.Event()
    mailbox = opened(wake)
    with pytest.raises(RecursionError):
        getattr(mailbox, verb)("item")
    assert woken.wait(PATIENCE)
    assert mailbox.take() == "item"


@pytest.mark.parametrize("room", ROOM)
async def test_whoever_waits_for_a_reply_that_was_set_is_woken(room):
    reply = Reply()
    waiting = [asyncio.ensure_future(reply.get_async()) for _ in range(3)]
    blocking = [in_thread(reply.get) for _ in range(2)]
    await until(lambda: len(reply._wakeups or ()) == 5)
    at_depth(room, lambda: reply.set("set"))
    if not reply.done:
        reply.set("set")
    assert await asyncio.gather(*waiting) == ["set"] * 3
    assert [get() for get in blocking] == ["set"] * 2


async def test_an_error_of_an_open_loop_is_no_end_of_the_loop():
    class Refuses(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *args, **kwargs):
            raise RecursionError

    loop = Refuses()
    try:
        with pytest.raises(RecursionError):
            LoopDispatcher(loop).schedule(list)
    finally:
        loop.close()


BOUNDED_ROOM = range(1, 36)
"""Frames that are left, for what goes deeper: a message that is dropped is made a dead letter."""


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("room", BOUNDED_ROOM)
async def test_a_bounded_mailbox_keeps_its_messages_and_its_places(room, overflow):
    def tell():
        try:  # noqa: SIM105 (`with` would take more frames)
            ref.tell("two")
        except MailboxFullError:
            pass

    key = None if overflow is not Overflow.COALESCE else len
    async with ActorSystem("s") as system:
        ref = system.spawn(Echo, mailbox=MailboxPolicy(capacity=1, overflow=overflow, timeout=0.01, key=key))
        await system.wait_idle()
        asked = ref.ask("one", block=False)
        at_depth(room, tell)
        outcome = await asyncio.gather(asked.get_async(), return_exceptions=True)
        assert outcome == ["one"] or isinstance(outcome[0], MailboxFullError)
        await until(lambda: len(system.dead_letters) >= ref.statistics().dead_lettered)
        assert await ref.ask_async("after") == "after"
        counts = ref.statistics()
        assert counts.accepted == counts.handled + counts.dead_lettered


@pytest.mark.parametrize("room", ROOM)
def test_whoever_waits_for_room_is_told(room):
    told = threading.Event()
    mailbox = opened(list)
    mailbox.bind(MailboxPolicy(capacity=1), None)
    mailbox.put("first")
    mailbox.claim()
    waiter = mailbox.stand_in_line("second", told.set)
    at_depth(room, mailbox.take)
    if not waiter.admitted:
        assert mailbox.take() == "first"
    assert told.wait(PATIENCE)
    assert mailbox.contents()[1] + [mailbox._items[0]] == ["second"]


def test_what_cannot_be_called_here_is_called_on_another_thread():
    def refuse():
        if threading.current_thread() is threading.main_thread():
            raise error

    called = threading.Event()
    for error in (RecursionError(), KeyboardInterrupt(), LookupError()):
        called.clear()
        if isinstance(error, RecursionError):
            call_all([refuse, called.set])
        else:
            with pytest.raises(type(error)):
                call_all([refuse, called.set])
        assert called.wait(PATIENCE)
