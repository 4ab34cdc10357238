"""A bounded mailbox under every policy, against a model of lists."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pykka import ActorDeadError

from pygents.actors import Mailbox, MailboxFullError, MailboxPolicy, Overflow

CAPACITIES = st.integers(1, 3)
KEYS = st.integers(0, 3)


def policy_of(overflow, capacity):
    key = Item.about if overflow is Overflow.COALESCE else None
    return MailboxPolicy(capacity=capacity, overflow=overflow, key=key)


class Item:
    """An item, of which the model knows whether it has a place."""

    def __init__(self, number, key):
        self.number, self.key = number, key
        self.counts = False
        self.place = 0
        self.keyed = False
        self.confirmed = True

    def __repr__(self):
        return f"<{self.number} about {self.key}{', counts' if self.counts else ''}>"

    def about(self):
        return self.key


class Owner:
    """Whose mailbox it is: buries what is dropped."""

    label = "the owner"

    def __init__(self, mailbox):
        self.mailbox = mailbox
        self.buried = []

    def key_of(self, item, policy):
        assert not self.mailbox.held_here, "the key is asked for outside the lock"
        return policy.key(item)

    def bury(self, item, policy):
        assert not self.mailbox.held_here, "what is dropped is buried outside the lock"
        assert policy.overflow in {Overflow.DROP_NEWEST, Overflow.DROP_OLDEST, Overflow.COALESCE}
        self.buried.append(item)
        self.mailbox.drop(item)


class Sender:
    """Somebody who waits for a place."""

    def __init__(self, mailbox, item):
        self.mailbox, self.item = mailbox, item
        self.told = 0
        self.waiter = mailbox.stand_in_line(item, self.tell)

    def tell(self):
        assert not self.mailbox.held_here, "who waits is told outside the lock"
        self.told += 1


class Machine(RuleBasedStateMachine):
    """The model: what is queued, who waits, what is in hand, and what has become of everything else."""

    def __init__(self):
        super().__init__()
        self.mailbox = Mailbox()
        self.mailbox.keep_account()
        self.owner = Owner(self.mailbox)
        self.queued, self.line, self.let_in = [], [], []
        self.in_hand = self.replaced = None
        self.numbers = self.places = 0
        self.accepted = self.handled = 0
        self.buried = []
        self.closed = False
        self.capacity = 0
        self.overflow = Overflow.REJECT

    @initialize(overflow=st.sampled_from(Overflow), capacity=CAPACITIES, before=st.integers(0, 2), wakes=st.booleans())
    def open(self, overflow, capacity, before, wakes):
        for _ in range(before):
            item = self.new_item(0)
            self.mailbox.put(item)
            self.queue(item, counts=False)  # what was there before has no place
        self.mailbox.bind(policy_of(overflow, capacity), self.owner)
        self.overflow, self.capacity = overflow, capacity
        self.mailbox.open(self.wake, wake_for_items=wakes)
        self.mailbox.release()

    def wake(self):
        assert self.mailbox.claimed
        assert not self.mailbox.held_here

    def new_item(self, key):
        self.numbers += 1
        return Item(self.numbers, key)

    def give_place(self, item):
        self.places += 1
        item.counts, item.place = True, self.places

    def queue(self, item, *, counts):
        if counts:
            self.give_place(item)
        self.queued.append(item)
        self.accepted += 1

    @property
    def free(self):
        return self.capacity - sum(item.counts for item in self.queued)

    def drop(self, item):
        if item in self.queued:
            self.queued.remove(item)
        self.see(item)
        self.buried.append(item)

    def see(self, item):
        """Count an item that was let in, since its sender knows of it, or it was taken."""
        self.accepted += not item.confirmed
        item.confirmed = True

    def leave(self, item):
        """Take an item out of the queue of the model, and let in who waits."""
        self.queued.remove(item)
        while self.line and self.free > 0:
            sender = self.line.pop(0)
            self.give_place(sender.item)
            sender.item.confirmed = False
            self.queued.append(sender.item)
            self.let_in.append(sender)

    # What senders do.

    @rule(key=KEYS)
    def put(self, key):
        item = self.new_item(key)
        if self.closed:
            with pytest.raises(ActorDeadError):
                self.mailbox.put(item)
            return
        item.keyed = self.overflow is Overflow.COALESCE
        same = [other for other in self.queued if other.counts and other.keyed and other.key == key]
        if item.keyed and same:
            self.mailbox.put(item)
            self.give_place(item)
            self.queued[self.queued.index(same[0])] = item
            self.accepted += 1
            self.drop(same[0])
        elif self.free > 0:
            self.mailbox.put(item)
            self.queue(item, counts=True)
        elif self.overflow is Overflow.DROP_NEWEST:
            self.mailbox.put(item)
            self.accepted += 1
            self.drop(item)
        elif self.overflow is Overflow.DROP_OLDEST:
            oldest = min((other for other in self.queued if other.counts), key=lambda other: other.place)
            self.mailbox.put(item)
            self.drop(oldest)
            self.queue(item, counts=True)
        else:
            self.put_at_a_full_one(item)

    def put_at_a_full_one(self, item):
        with pytest.raises(MailboxFullError) as raised:
            self.mailbox.put(item)
        assert (raised.value.actor, raised.value.capacity) == ("the owner", self.capacity)
        sender = Sender(self.mailbox, item)
        if self.overflow is Overflow.BACKPRESSURE:
            assert sender.waiter is not None
            self.line.append(sender)
        else:
            assert sender.waiter is None

    @precondition(lambda self: self.overflow is Overflow.BACKPRESSURE and self.free > 0)
    @rule(key=KEYS)
    def stand_in_line_although_there_is_room(self, key):
        assert Sender(self.mailbox, self.new_item(key)).waiter is None

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave_line(self, data):
        sender = data.draw(st.sampled_from(self.line))
        assert self.mailbox.leave_line(sender.waiter)
        assert self.mailbox.leave_line(sender.waiter)
        self.line.remove(sender)

    @precondition(lambda self: self.let_in)
    @rule(data=st.data(), stays=st.booleans())
    def come_back_to_what_was_let_in(self, data, stays):
        sender = data.draw(st.sampled_from(self.let_in))
        self.let_in.remove(sender)
        assert sender.told == 1
        if stays:
            self.mailbox.confirm(sender.item)
            self.see(sender.item)
            return
        assert not self.mailbox.leave_line(sender.waiter)
        unseen = not sender.item.confirmed  # neither taken, nor given away because the mailbox was closed
        assert self.mailbox.take_back(sender.item) is unseen
        if unseen:
            self.leave(sender.item)

    @rule(stop=st.booleans())
    def put_exempt(self, stop):
        item = self.new_item(None)
        put = self.mailbox.put_stop if stop else self.mailbox.put_exempt
        if self.closed:
            with pytest.raises(ActorDeadError):
                put(item)
            return
        put(item)
        self.queue(item, counts=False)

    # What the reader does.

    @precondition(lambda self: not self.closed)
    @rule()
    def take(self):
        self.mailbox.claim()
        expected = self.queued[0] if self.queued else None
        if self.in_hand is not None:
            self.done()
        assert self.mailbox.take() is expected
        self.in_hand = expected
        if expected is not None:
            self.see(expected)
            self.leave(expected)
            expected.counts = False
        if self.mailbox.release():
            assert not self.queued or not self.mailbox._wake_for_items

    @precondition(lambda self: self.in_hand is not None)
    @rule()
    def done(self):
        self.mailbox.done(self.in_hand)
        self.in_hand = self.replaced = None
        self.handled += 1

    @precondition(lambda self: self.in_hand is not None and not self.closed)
    @rule()
    def put_back(self):
        assert self.mailbox.put_back(self.in_hand)
        self.queued.insert(0, self.in_hand)
        self.in_hand = self.replaced = None

    @precondition(lambda self: self.in_hand is not None and not self.closed)
    @rule(key=KEYS)
    def put_in_place(self, key):
        item = self.new_item(key)
        self.mailbox.put_in_place(item)
        self.queue(item, counts=False)
        self.replaced = self.in_hand

    # What happens to the mailbox.

    @precondition(lambda self: not self.closed and self.numbers > 3)
    @rule(overflow=st.sampled_from(Overflow), capacity=CAPACITIES)
    def bind_again(self, overflow, capacity):
        self.mailbox.bind(policy_of(overflow, capacity), self.owner)
        self.overflow, self.capacity = overflow, capacity
        self.send_all_away()

    def send_all_away(self):
        for sender in self.line:
            assert sender.told == 1
            assert not sender.waiter.admitted
            assert self.mailbox.leave_line(sender.waiter)
        self.line.clear()

    @precondition(lambda self: self.numbers > 6)
    @rule(politely=st.booleans())
    def close(self, politely):
        rest = self.mailbox.try_close() if politely else self.mailbox.close()
        assert rest == ([] if self.closed else self.queued)
        self.closed = True
        self.send_all_away()
        for item in self.queued:  # nobody takes them back any more
            self.see(item)

    @precondition(lambda self: self.closed)
    @rule()
    def clear(self):
        left = [] if self.in_hand is None else [self.in_hand]
        assert self.mailbox.clear() == left + self.queued
        for item in left + self.queued:
            self.mailbox.drop(item)
            self.buried.append(item)
            self.owner.buried.append(item)
        self.queued, self.in_hand, self.replaced = [], None, None

    # What holds at every moment.

    @invariant()
    def the_queue_is_in_order(self):
        in_hand = None if self.in_hand is self.replaced else self.in_hand
        assert self.mailbox.contents() == (in_hand, [item for item in self.queued if item.confirmed])
        assert len(self.mailbox) == len(self.queued)

    @invariant()
    def nobody_waits_where_there_is_room_and_nobody_is_told_in_vain(self):
        assert not (self.line and self.free > 0)
        assert all(sender.told == 0 for sender in self.line)
        assert all(sender.told == 1 and sender.waiter.admitted for sender in self.let_in)
        if not self.closed:
            assert [waiter.item for waiter in self.mailbox._room.line] == [sender.item for sender in self.line]
            assert self.mailbox._room.free == self.free

    @invariant()
    def what_was_accepted_is_handled_or_dropped_or_there(self):
        census = self.mailbox.census()
        in_hand = self.in_hand is not None
        assert census.gone + len(census.cleared) + len(census.queued) + in_hand == self.accepted
        assert census.gone - census.lost == self.handled
        assert census.lost == len(self.buried)
        assert self.owner.buried == self.buried


TestBoundedMailbox = Machine.TestCase
TestBoundedMailbox.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
