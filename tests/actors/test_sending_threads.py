"""Senders on threads of their own at a full mailbox: they wait there, and for no longer than the policy says."""

import asyncio
import sys
import threading

import pytest
from pykka.messages import _ActorStop

from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    MailboxFullError,
    MailboxPolicy,
    Overflow,
    Reply,
    ThreadDispatcher,
    Timeout,
)
from pygents.actors.system import ActorSystem
from tests.actors.helpers import PATIENCE, Gate, in_thread

pytestmark = pytest.mark.real_time

PATIENT = MailboxPolicy(capacity=1, timeout=PATIENCE)
FOR_EVER = MailboxPolicy(capacity=1, timeout=None)
IMPATIENT = MailboxPolicy(capacity=1, timeout=0.01)


class OnThread(Gate):
    dispatcher = ThreadDispatcher


def full(system, policy):
    """Return a ref with a message in hand and a full mailbox, and its actor."""
    ref = system.spawn(OnThread, name="reader", mailbox=policy)
    actor = ref._actor_weakref()
    ref.tell("wait")
    assert actor.entered.wait(PATIENCE)
    ref.tell("queued")
    return ref, actor


def wait_for_line(ref, length):
    """Wait until so many senders wait; they need nothing of this thread."""
    while len(ref.actor_inbox._room.line) < length:
        threading.Event().wait(0)


def test_a_tell_waits_until_there_is_room():
    with ActorSystem("s") as system:
        ref, actor = full(system, PATIENT)
        telling = in_thread(lambda: ref.tell("waits"))
        wait_for_line(ref, 1)
        actor.opened.set()
        telling()
    assert actor.seen == ["wait", "queued", "waits"]


@pytest.mark.parametrize("block", [True, False])
def test_an_ask_waits_until_there_is_room(block):
    with ActorSystem("s") as system:
        ref, actor = full(system, PATIENT)
        asking = in_thread(lambda: ref.ask("waits", block=block))
        wait_for_line(ref, 1)
        actor.opened.set()
        answer = asking()
        assert (answer if block else answer.get(timeout=PATIENCE)) == "waits"


def test_a_tell_gives_up_after_the_time_of_the_policy():
    with ActorSystem("s") as system:
        ref, actor = full(system, IMPATIENT)
        with pytest.raises(MailboxFullError):
            ref.tell("in vain")
        assert not ref.actor_inbox._room.line
        actor.opened.set()
    assert actor.seen == ["wait", "queued"]


def test_an_ask_gives_up_after_its_own_time_if_that_is_shorter():
    with ActorSystem("s") as system:
        ref, actor = full(system, PATIENT)
        with pytest.raises(MailboxFullError):
            ref.ask("in vain", timeout=0.01)
        with pytest.raises(MailboxFullError):
            ref.ask("in vain", timeout=0)
        assert isinstance(in_thread(lambda: ref.ask("in vain", block=False, timeout=0.01))(), Reply)
        actor.opened.set()
    assert actor.seen == ["wait", "queued"]


def test_an_ask_that_was_let_in_waits_for_the_answer_in_what_is_left_of_its_time():
    with ActorSystem("s") as system:
        ref, actor = full(system, MailboxPolicy(capacity=2))
        with pytest.raises(Timeout):
            ref.ask("in time", timeout=0.01)
        assert ref.statistics().accepted == 3
        actor.opened.set()
    assert actor.seen == ["wait", "queued"], "nobody waits for the third any more"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_who_waits_is_told_of_the_end(end):
    with ActorSystem("s") as system:
        ref, actor = full(system, PATIENT)
        telling = [in_thread(lambda: ref.tell("waits")) for _ in range(3)]
        wait_for_line(ref, 3)
        if end == "kill":
            ref.kill()
        else:
            ref.stop(block=False)
        actor.opened.set()
        outcomes = []
        for told in telling:
            try:
                outcomes.append(told())
            except ActorDeadError:
                outcomes.append("dead")
    assert outcomes.count("dead") == (3 if end == "kill" else 2)
    assert ref.statistics().accepted == (2 if end == "kill" else 3)


def test_a_loop_thread_that_tells_never_waits():
    async def tell():
        with pytest.raises(MailboxFullError):
            ref.tell("from another loop")

    with ActorSystem("s") as system:
        ref, actor = full(system, FOR_EVER)
        asyncio.run(tell())
        actor.opened.set()


def test_a_task_of_another_loop_waits():
    with ActorSystem("s") as system:
        ref, actor = full(system, PATIENT)
        telling = in_thread(lambda: asyncio.run(ref.tell_async("from another loop")))
        wait_for_line(ref, 1)
        actor.opened.set()
        telling()
    assert actor.seen == ["wait", "queued", "from another loop"]


def test_a_thread_that_would_have_to_run_the_loop_is_refused_at_once():
    loop = asyncio.new_event_loop()
    system = ActorSystem("s")

    async def enter():
        await system.__aenter__()
        system._body.leave(None)
        return system.spawn(Gate, mailbox=FOR_EVER)

    ref = loop.run_until_complete(enter())
    ref.tell("fits")
    with pytest.raises(MailboxFullError):
        ref.tell("does not")
    loop.run_until_complete(system.shutdown())
    loop.close()


@pytest.mark.parametrize("on_a_loop", [True, False])
def test_who_waits_is_told_when_the_loop_was_closed(on_a_loop, caplog):
    loop = asyncio.new_event_loop()
    system = ActorSystem("s")

    async def enter():
        await system.__aenter__()
        return system.spawn(Gate, mailbox=PATIENT)

    def tell():
        if on_a_loop:
            asyncio.run(ref.tell_async("waits"))
        else:
            ref.tell("waits")

    ref = loop.run_until_complete(enter())
    ref.tell("queued")
    telling = in_thread(tell)
    wait_for_line(ref, 1)
    loop.close()
    with pytest.raises(ActorDeadError):
        telling()
    caplog.clear()


def test_an_interrupt_of_who_waits_leaves_the_line(monkeypatch):
    def interrupted(self, *, timeout=None):
        raise KeyboardInterrupt

    with ActorSystem("s") as system:
        ref, actor = full(system, PATIENT)
        with monkeypatch.context() as patch:
            patch.setattr(Reply, "get", interrupted)
            with pytest.raises(KeyboardInterrupt):
                ref.tell("interrupted")
        assert not ref.actor_inbox._room.line
        actor.opened.set()
    assert actor.seen == ["wait", "queued"]


def test_what_tells_inside_the_lock_never_waits():
    """A finalizer, say, that runs in the midst of what the mailbox does."""
    with ActorSystem("s") as system:
        ref, actor = full(system, FOR_EVER)
        with ref.actor_inbox._lock, pytest.raises(MailboxFullError):
            ref.tell("inside")
        actor.opened.set()


class Slow(AsyncActor):
    """Lets other threads go on before it handles a message, and looks how much is queued."""

    dispatcher = ThreadDispatcher

    def __init__(self):
        super().__init__()
        self.seen = []
        self.most = 0

    async def on_receive(self, message):
        await asyncio.sleep(0)
        _, queued = self.actor_inbox.contents()  # at one moment
        self.most = max(self.most, sum(not isinstance(one.message, _ActorStop) for one in queued))
        self.seen.append(message)


@pytest.fixture
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("capacity", [1, 3])
def test_eight_threads_that_tell_at_once_are_all_heard_in_order(capacity, eager_switching):
    def tell(sender):
        barrier.wait(PATIENCE)
        for number in range(100):
            ref.tell((sender, number))

    barrier = threading.Barrier(8)
    with ActorSystem("s") as system:
        ref = system.spawn(Slow, mailbox=MailboxPolicy(capacity=capacity, timeout=PATIENCE))
        actor = ref._actor_weakref()
        telling = [in_thread(lambda sender=sender: tell(sender)) for sender in range(8)]
        for told in telling:
            told()
    assert actor.most <= capacity
    assert sorted(actor.seen) == [(sender, number) for sender in range(8) for number in range(100)]
    for sender in range(8):
        assert [number for who, number in actor.seen if who == sender] == [*range(100)]
    assert ref.statistics().accepted == ref.statistics().handled == 800


@pytest.mark.parametrize("overflow", [Overflow.REJECT, Overflow.DROP_NEWEST, Overflow.DROP_OLDEST, Overflow.COALESCE])
def test_eight_threads_that_overflow_it_are_each_told_or_their_messages_dead(overflow, eager_switching):
    def tell(sender):
        barrier.wait(PATIENCE)
        for number in range(200):
            try:
                ref.tell((sender, number))
            except MailboxFullError:
                refused[sender].append(number)

    barrier, refused = threading.Barrier(8), [[] for _ in range(8)]
    key = None if overflow is not Overflow.COALESCE else lambda message: message[1] % 4
    with ActorSystem("s") as system:
        ref = system.spawn(Slow, mailbox=MailboxPolicy(capacity=3, overflow=overflow, key=key))
        actor = ref._actor_weakref()
        telling = [in_thread(lambda sender=sender: tell(sender)) for sender in range(8)]
        for told in telling:
            told()
        ref.stop()
        dead = [letter.message for letter in system.dead_letters]
    assert actor.most <= 3
    counts = ref.statistics()
    assert counts.accepted == counts.handled + counts.dead_lettered == 1600 - sum(map(len, refused))
    assert (len(actor.seen), len(dead)) == (counts.handled, counts.dead_lettered)
    everything = [*actor.seen, *dead, *((sender, number) for sender in range(8) for number in refused[sender])]
    assert sorted(everything) == [(sender, number) for sender in range(8) for number in range(200)]
    if overflow is not Overflow.COALESCE:  # what takes another's place is ahead of its time
        for sender in range(8):
            own = [number for who, number in actor.seen if who == sender]
            assert own == sorted(own)
