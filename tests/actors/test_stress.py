"""Eight senders that are switched as often as Python can, a stop in their midst: every message is counted."""

import sys
import threading
from dataclasses import dataclass, field

import pytest

from pygents.actors import ActorDeadError, AsyncActor, CallerDispatcher, ThreadDispatcher
from tests.actors.helpers import PATIENCE, in_thread

SENDERS = 8
MESSAGES = 3000  # of each sender


@pytest.fixture(autouse=True)
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Counts(AsyncActor):
    """Handles every other message without suspending; notes whether two were ever in hand at once."""

    def __init__(self):
        super().__init__()
        self.handled = []
        self.stopped = 0
        self._inside = False

    def on_receive(self, message):
        assert not self._inside
        self.handled.append(message)
        return self._answer(message) if message[1] % 2 else message

    async def _answer(self, message):
        self._inside = True
        await self.wait()
        self._inside = False
        return message

    async def wait(self):
        pass

    def on_stop(self):
        self.stopped += 1


class OnThread(Counts):
    dispatcher = ThreadDispatcher


class Undrained(Counts):
    dispatcher = CallerDispatcher


@dataclass
class Sender:
    """What one sender has done, and what came of it."""

    ref: object
    name: int
    told: list = field(default_factory=list)
    asked: dict = field(default_factory=dict)
    stops: list = field(default_factory=list)
    refused: int = 0
    sent: int = 0

    def send(self):
        message = (self.name, self.sent)
        self.sent += 1
        try:
            if self.sent % 3:
                self.ref.tell(message)
                self.told.append(message)
            else:
                self.asked[message] = self.ref.ask(message, block=False)
        except ActorDeadError:
            self.refused += 1

    def send_until_refused(self):
        while self.refused < 100:
            self.send()
            if self.sent == 300:
                self.stops.append(self.ref.stop(block=False))

    def send_all(self):
        for _ in range(MESSAGES):
            self.send()

    def count_answers(self):
        """Return how many asks were answered, and how many accepted ones failed; the others were refused."""
        answered = failed = 0
        for message, reply in self.asked.items():
            try:
                assert reply.get(timeout=PATIENCE) == message
                answered += 1
            except ActorDeadError as error:
                failed += "stopped before handling" in str(error)
        self.refused += len(self.asked) - answered - failed
        return answered, failed


def run_senders(ref, method):
    barrier = threading.Barrier(SENDERS)

    def run(sender):
        barrier.wait(PATIENCE)
        method(sender)

    senders = [Sender(ref, name) for name in range(SENDERS)]
    for wait in [in_thread(lambda sender=sender: run(sender)) for sender in senders]:
        wait()
    return senders


def total(numbers):
    return [sum(column) for column in zip(*numbers, strict=True)]


@pytest.mark.parametrize("round_", range(5))
@pytest.mark.parametrize("kind", [Counts, OnThread, Undrained])
def test_every_message_is_handled_or_answered_or_logged_or_refused(kind, round_, caplog):
    ref = kind.start()
    actor = ref._actor_weakref()
    senders = run_senders(ref, Sender.send_until_refused)
    stops = [stop.get(timeout=PATIENCE) for sender in senders for stop in sender.stops]
    assert any(stops)
    answered, failed = total(sender.count_answers() for sender in senders)
    told, refused, sent = total((len(sender.told), sender.refused, sender.sent) for sender in senders)

    handled = len(actor.handled)
    logged = sum(record.args[1] for record in caplog.records if "without handling" in record.msg)
    assert handled + failed + logged + refused == sent
    assert handled == answered + told - logged
    assert actor.stopped == 1
    for sender in senders:
        own = [number for name, number in actor.handled if name == sender.name]
        assert own == list(range(len(own))), "in the order sent, and none left out"
    assert not ref.is_alive()
    assert ref.actor_inbox.contents() == (None, [])


@pytest.mark.parametrize("kind", [Counts, OnThread])
def test_nothing_is_lost_while_nobody_stops(kind):
    ref = kind.start()
    actor = ref._actor_weakref()
    senders = run_senders(ref, Sender.send_all)
    assert [sender.count_answers() for sender in senders] == [(MESSAGES // 3, 0)] * SENDERS
    assert ref.stop(timeout=PATIENCE) is True
    assert sorted(actor.handled) == [(name, number) for name in range(SENDERS) for number in range(MESSAGES)]


def test_many_actors_tell_each_other_around_a_ring_from_many_threads():
    class Node(AsyncActor):
        next = None

        def on_receive(self, hops):
            if self.next is not None and hops:
                self.next.tell(hops - 1)
            elif not hops:
                arrived.append(threading.current_thread().name)
                if len(arrived) == SENDERS:
                    all_arrived.set()

    class OwnThread(Node):
        dispatcher = ThreadDispatcher

    arrived, all_arrived = [], threading.Event()
    nodes = [(OwnThread if number % 3 == 0 else Node).start() for number in range(9)]
    for node, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        node._actor_weakref().next = following
    for sender in [in_thread(lambda node=node: node.tell(200)) for node in nodes[:SENDERS]]:
        sender()
    assert all_arrived.wait(PATIENCE)
    assert len(arrived) == SENDERS
