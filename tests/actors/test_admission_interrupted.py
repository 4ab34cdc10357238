"""A bounded mailbox while other code, or a KeyboardInterrupt, comes in the midst of what it does, wherever it can.

That is when a call has returned, at the start of a function, and at a jump. Each test goes through all these points of
an operation, one after the other.
"""

import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import pygents.actors
from pygents.actors import ActorDeadError, Mailbox, MailboxFullError, MailboxPolicy, Overflow
from tests.actors.helpers import in_thread

PARTS = {
    str(Path(pygents.actors.__file__).parent / f"{name}.py") for name in ("account", "admission", "mailbox", "room")
}
CAPACITY = 2
FAR_MORE = 500  # points than any operation has


class Owner:
    label = "the owner"

    def __init__(self, mailbox):
        self.mailbox, self.buried = mailbox, []

    def key_of(self, item, policy):
        return policy.key(item)

    def bury(self, item, policy):
        self.buried.append(item)
        self.mailbox.drop(item)


class World:
    """A full mailbox with an exempt item at its head, and two who wait if its policy lets them."""

    def __init__(self, overflow):
        self.mailbox = Mailbox()
        self.mailbox.keep_account()
        self.owner = Owner(self.mailbox)
        self.put_in, self.taken, self.left_over, self.taken_back, self.told = [], [], [], [], []
        self.waiters = []
        key = None if overflow is not Overflow.COALESCE else lambda item: item[0]
        self.policy = MailboxPolicy(capacity=CAPACITY, overflow=overflow, key=key)
        self.put("exempt", self.mailbox.put_exempt)
        self.mailbox.bind(self.policy, self.owner)
        self.mailbox.open(lambda: None, wake_for_items=True)
        self.put("a1")
        self.put("b1")
        if overflow is Overflow.BACKPRESSURE:
            for item in ("w1", "w2", "w3"):
                self.wait(item)
            self.take()  # the exempt one
            self.take()  # so that one is let in

    def put(self, item, put=None):
        try:
            (put or self.mailbox.put)(item)
        except (ActorDeadError, MailboxFullError):
            return
        self.put_in.append(item)

    def wait(self, item):
        waiter = self.mailbox.stand_in_line(item, lambda: self.told.append(item))
        if waiter is not None:
            self.waiters.append(waiter)

    def take(self):
        item = self.mailbox.take()
        if item is not None:
            self.taken.append(item)
            self.mailbox.done(item)

    def take_back(self):
        for waiter in self.waiters:
            if waiter.admitted and self.mailbox.take_back(waiter.item):
                self.taken_back.append(waiter.item)
                return

    def close(self):
        self.mailbox.close()

    def clear(self):
        """End it, as a kill does."""
        self.mailbox.close()
        self.left_over += self.mailbox.clear_queued()

    def leave_line(self):
        if self.waiters:
            self.mailbox.leave_line(self.waiters[-1])

    def bind(self):
        self.mailbox.bind(MailboxPolicy(capacity=CAPACITY), self.owner)

    def look(self):
        census = self.mailbox.census()
        assert census.gone >= census.lost >= 0
        queued = self.mailbox.contents()[1]
        assert len({*queued}) == len(queued)

    def check(self, *, interrupted=False):
        """Check what must hold when everybody is out of it."""
        mailbox, room = self.mailbox, self.mailbox._room
        if mailbox.closed:
            self.clear()
        assert in_thread(lambda: mailbox.contents() is not None)(), "the lock is free"
        in_hand, _ = mailbox.contents()
        queued = [*mailbox._items]
        assert len({*queued}) == len(queued)
        for waiter in self.waiters:
            if waiter.admitted:
                assert waiter.item in self.told, "who has got in is told"
                self.put_in.append(waiter.item)
        if room is not None:
            assert room.free + len(room.taken) == room.policy.capacity
            assert {*room.taken} <= {*queued}
            assert not (room.free > 0 and room.line), "nobody waits while there is room"
            assert all(waiter.item not in self.told for waiter in room.line)
            places = [place for place in room.taken.values() if place is not None]
            assert {place.item for place in places} <= {*room.taken}
            assert {place.item for place in room._by_key.values()} - {None} == {place.item for place in places}
        else:
            assert mailbox.closed
            assert all(waiter.item in self.told for waiter in self.waiters if waiter.admitted)
        if interrupted:
            return  # an interrupted caller does not know whether its item is in
        there = [*queued, *([] if in_hand is None else [in_hand])]
        ends = [*self.taken, *there, *self.left_over, *self.owner.buried, *self.taken_back]
        assert sorted(ends) == sorted(self.put_in), "each item that was put in is in one place"


@contextmanager
def interrupting(world, at, what):
    """Have something happen at one of the points at which it can, in the midst of a critical section."""
    passed = []
    here, monitoring, tool = threading.get_ident(), sys.monitoring, sys.monitoring.PROFILER_ID

    def jump(code, offset, target):
        if target < offset:
            point(code)

    def point(code, *_):
        if code.co_filename not in PARTS or threading.get_ident() != here:
            return
        passed.append(code.co_qualname)
        if len(passed) == at:
            monitoring.set_events(tool, 0)
            what()

    events = monitoring.events
    callbacks = dict.fromkeys((events.C_RETURN, events.C_RAISE, events.PY_START, events.PY_RETURN), point)
    callbacks[events.JUMP] = jump
    monitoring.use_tool_id(tool, "interrupts")
    for event, callback in callbacks.items():
        monitoring.register_callback(tool, event, callback)
    monitoring.set_events(tool, events.CALL | events.PY_START | events.PY_RETURN | events.JUMP)
    try:
        yield passed
    finally:
        monitoring.set_events(tool, 0)
        for event in callbacks:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)


def each_point(overflow, operation, what):
    """Go through all points of an operation, with a world of its own for each."""
    for at in range(1, FAR_MORE):
        world = World(overflow)
        with interrupting(world, at, lambda world=world: what(world)) as passed, suppress(KeyboardInterrupt):
            operation(world)
        world.point = passed[at - 1] if len(passed) == at else None
        yield world
        if len(passed) < at:
            return
    raise AssertionError("there is no end of it")


OPERATIONS = {
    "put": lambda world: world.put("c1"),
    "put the like": lambda world: world.put("a2"),
    "put exempt": lambda world: world.put("x", world.mailbox.put_exempt),
    "take": World.take,
    "take two": lambda world: (world.take(), world.take()),
    "take back": World.take_back,
    "stand in line": lambda world: world.wait("w4"),
    "leave the line": World.leave_line,
    "bind": World.bind,
    "close": World.close,
}
INSIDE = {
    "put": lambda world: world.put("i1"),
    "put the like": lambda world: world.put("a3"),
    "put exempt": lambda world: world.put("y", world.mailbox.put_exempt),
    "take back": World.take_back,
    "stand in line": lambda world: world.wait("w5"),
    "bind": World.bind,
    "close": World.close,
    "clear": World.clear,
    "look": World.look,
}


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("overflow", Overflow)
def test_other_code_in_the_midst_of_it_loses_nothing_and_nobody(overflow, operation, inside):
    for world in each_point(overflow, OPERATIONS[operation], INSIDE[inside]):
        world.check()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("overflow", Overflow)
def test_an_interrupt_leaves_it_in_order(overflow, operation):
    def interrupt(_):
        raise KeyboardInterrupt

    for world in each_point(overflow, OPERATIONS[operation], interrupt):
        if world.point != "call_all":  # before it has begun to tell: the one that is interrupted is the reader itself
            world.check(interrupted=True)


def test_there_are_points_to_come_in_between():
    assert len([*each_point(Overflow.BACKPRESSURE, World.take, World.look)]) > 5
