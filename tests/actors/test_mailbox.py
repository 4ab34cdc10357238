"""The mailbox's laws, against a model; then what only threads can show."""

import sys
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pykka import ActorDeadError

from pygents.actors import Mailbox
from tests.actors.helpers import PATIENCE, in_thread

STOP = ("stop", 0)
senders = st.integers(0, 2)


class MailboxMachine(RuleBasedStateMachine):
    """Puts by three senders, one reader, a stop, and a close at any moment, against lists."""

    def __init__(self):
        super().__init__()
        self.mailbox = Mailbox()
        self.numbers = [0, 0, 0]
        self.queued, self.in_hand, self.replaced = [], None, False
        self.accepted, self.taken, self.returned, self.dropped = [], [], [], []
        self.closed, self.claimed, self.stopping = False, True, False
        self.wakes, self.expected_wakes = 0, 0

    @initialize(wake_for_items=st.booleans(), early=st.lists(senders, max_size=2))
    def open(self, wake_for_items, early):
        self.wake_for_items = wake_for_items
        for sender in early:
            self.put(sender)
        self.mailbox.open(self.wake, wake_for_items=wake_for_items)
        self.release()

    def wake(self):
        assert self.mailbox.claimed, "whoever is woken has the claim"
        self.wakes += 1

    def next_item(self, sender):
        self.numbers[sender] += 1
        return (sender, self.numbers[sender])

    def append(self, put, item, *, wakes):
        if self.closed:
            with pytest.raises(ActorDeadError, match="the mailbox is closed"):
                put(item)
            return
        if wakes and not self.claimed:
            self.claimed = True
            self.expected_wakes += 1
        put(item)
        self.accepted.append(item)
        self.queued.append(item)

    @rule(sender=senders)
    def put(self, sender):
        self.append(self.mailbox.put, self.next_item(sender), wakes=self.wake_for_items)

    @rule()
    def put_stop(self):
        self.stopping = self.stopping or not self.closed
        self.append(self.mailbox.put_stop, ("stop", len(self.accepted)), wakes=True)

    @precondition(lambda self: self.claimed and self.in_hand is not None)
    @rule(sender=senders)
    def put_in_place(self, sender):
        self.append(self.mailbox.put_in_place, self.next_item(sender), wakes=False)
        self.replaced = self.replaced or not self.closed

    @rule()
    def claim(self):
        assert self.mailbox.claim() is (not self.claimed)
        self.claimed = True

    @precondition(lambda self: self.claimed and not self.closed)
    @rule()
    def take(self):
        expected = self.queued.pop(0) if self.queued else None
        assert self.mailbox.peek() == expected
        assert self.mailbox.take() == expected
        self.in_hand, self.replaced = expected, False
        if expected is not None:
            self.taken.append(expected)

    @precondition(lambda self: self.claimed and self.in_hand is not None)
    @rule()
    def done(self):
        self.mailbox.done(("another", 0))
        assert self.mailbox.in_hand == self.in_hand
        self.mailbox.done(self.in_hand)
        self.in_hand, self.replaced = None, False

    @precondition(lambda self: self.claimed and self.in_hand in self.taken)
    @rule()
    def put_back(self):
        assert self.mailbox.put_back(self.in_hand) is (not self.closed)
        if not self.closed:
            self.taken.remove(self.in_hand)
            self.queued.insert(0, self.in_hand)
            self.in_hand, self.replaced = None, False

    @precondition(lambda self: self.claimed and self.in_hand is None and not self.closed)
    @rule(sender=senders)
    def hold(self, sender):
        self.in_hand = self.next_item(sender)
        self.mailbox.hold(self.in_hand)

    @precondition(lambda self: self.claimed)
    @rule()
    def release(self):
        pending = bool(self.queued) and (self.stopping or self.wake_for_items)
        released = self.closed or not pending
        assert self.mailbox.release() is released
        self.claimed = self.closed or not released

    @precondition(lambda self: self.claimed and not self.closed)
    @rule()
    def drain(self):
        while self.queued:
            self.take()
        self.release()

    @precondition(lambda self: len(self.accepted) > 6)
    @rule(politely=st.booleans())
    def close(self, politely):
        returned = self.mailbox.try_close() if politely else self.mailbox.close()
        assert returned == ([] if self.closed else self.queued)
        self.returned += returned
        self.closed = self.claimed = True

    @precondition(lambda self: self.closed)
    @rule()
    def forget(self):
        self.mailbox.forget()
        self.queued, self.in_hand, self.replaced = [], None, False

    @precondition(lambda self: self.closed)
    @rule()
    def clear(self):
        in_hand = [] if self.in_hand is None else [self.in_hand]
        assert self.mailbox.clear() == in_hand + self.queued
        assert self.mailbox.clear() == []
        self.queued, self.in_hand, self.replaced = [], None, False

    @invariant()
    def the_mailbox_looks_like_the_model(self):
        assert self.mailbox.contents() == (None if self.replaced else self.in_hand, self.queued)
        assert self.mailbox.in_hand == self.in_hand
        assert len(self.mailbox) == len(self.queued)
        assert self.mailbox.empty() is (not self.queued)
        assert self.mailbox.closed is self.closed
        assert self.mailbox.claimed is self.claimed
        assert repr(self.mailbox) == f"<Mailbox {'closed' if self.closed else 'open'}, {len(self.queued)} queued>"

    @invariant()
    def it_wakes_once_for_each_time_that_it_was_idle(self):
        assert self.wakes == self.expected_wakes

    @invariant()
    def nothing_is_lost_or_doubled_and_order_is_kept(self):
        still_queued = [] if self.closed else self.queued
        assert self.taken + self.returned + still_queued == self.accepted
        for sender in range(3):
            own = [number for who, number in self.accepted if who == sender]
            assert own == sorted(own)


TestMailbox = MailboxMachine.TestCase
TestMailbox.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def opened(wake, *, wake_for_items=True):
    mailbox = Mailbox()
    mailbox.open(wake, wake_for_items=wake_for_items)
    assert mailbox.release()
    return mailbox


def test_a_closed_mailbox_hands_nothing_out_since_close_has_given_it_all_away():
    mailbox = opened(list)
    mailbox.put(1)
    assert mailbox.close() == [1]
    assert mailbox.take() is None
    assert mailbox.contents() == (None, [1])


@pytest.mark.parametrize("way", ["put", "put_stop", "put_in_place"])
def test_a_closed_mailbox_takes_nothing_in_either(way):
    mailbox = opened(list)
    mailbox.close()
    with pytest.raises(ActorDeadError, match="the mailbox is closed"):
        getattr(mailbox, way)(1)
    assert mailbox.contents() == (None, [])


def test_it_is_pykkas_inbox_too():
    mailbox = opened(list)
    assert mailbox.empty()
    mailbox.put(1)
    assert not mailbox.empty()
    assert mailbox.get() == 1
    with pytest.raises(IndexError):
        mailbox.get()


def test_a_finalizer_never_waits_for_the_lock():
    mailbox = opened(list)
    mailbox.put(1)
    with mailbox._lock:
        assert mailbox.try_close() is None, "this thread has it"
        assert in_thread(mailbox.try_close)() is None, "another thread has it"
        assert not mailbox.closed
    assert mailbox.try_close() == [1]


def test_a_wake_that_fails_reaches_whoever_put():
    def wake():
        raise LookupError("nobody is there")

    with pytest.raises(LookupError):
        opened(wake).put(1)
    with pytest.raises(LookupError):
        opened(wake, wake_for_items=False).put_stop(STOP)


def test_a_mailbox_that_is_closed_before_its_wake_is_called_wakes_nobody():
    """Between the end of the lock and the call of the wake another thread may close."""
    wakes = []
    mailbox = opened(lambda: wakes.append(1))

    class ClosesBehindItself:
        def __init__(self, lock):
            self.lock = lock

        def acquire(self):
            self.lock.acquire()

        def release(self):
            self.lock.release()
            mailbox._lock = self.lock
            rest.extend(mailbox.close())

    rest = []
    mailbox._lock = ClosesBehindItself(mailbox._lock)
    mailbox.put(1)
    assert (rest, wakes) == ([1], [])


@pytest.fixture
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def run_threads(functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_what_is_put_while_another_thread_closes_is_returned_or_refused(eager_switching):
    rounds, putters = 300, 3
    mailboxes = [opened(list) for _ in range(rounds)]
    barrier = threading.Barrier(putters + 2)
    accepted = [[] for _ in range(rounds)]
    returned = [[] for _ in range(rounds)]

    def put(sender):
        for mailbox, items in zip(mailboxes, accepted, strict=True):
            barrier.wait(PATIENCE)
            try:
                for number in range(1000):
                    mailbox.put((sender, number))
                    items.append((sender, number))
            except ActorDeadError:
                pass

    def close():
        for mailbox, items in zip(mailboxes, returned, strict=True):
            barrier.wait(PATIENCE)
            while not len(mailbox):
                pass
            items.extend(mailbox.close())

    run_threads([*(lambda sender=sender: put(sender) for sender in range(putters)), close, close])
    assert [sorted(items) for items in returned] == [sorted(items) for items in accepted]


def test_only_one_of_many_threads_gets_the_claim(eager_switching):
    rounds, threads = 300, 4
    mailboxes = [opened(list) for _ in range(rounds)]
    barrier = threading.Barrier(threads)
    winners = [[] for _ in range(rounds)]

    def claim(number):
        for mailbox, won in zip(mailboxes, winners, strict=True):
            barrier.wait(PATIENCE)
            if mailbox.claim():
                won.append(number)

    run_threads([lambda number=number: claim(number) for number in range(threads)])
    assert {len(won) for won in winners} == {1}
