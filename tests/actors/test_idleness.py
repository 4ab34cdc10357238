"""Waiting until no actor has anything to do, when those on other threads go on while they are looked at."""

import asyncio
import threading

import pytest

from pygents.actors import AsyncActor, ThreadDispatcher
from pygents.actors.child import Child
from pygents.actors.child_spec import Phase
from pygents.actors.system import ActorSystem
from tests.actors.helpers import PATIENCE, Echo, cell_of, hang


class Relay(AsyncActor):
    """Passes each message on when it is let go."""

    dispatcher = ThreadDispatcher

    def __init__(self, let_go, target=None):
        super().__init__()
        self.let_go, self.target = let_go, target

    def on_receive(self, message):
        self.let_go.wait(PATIENCE)
        if self.target is not None:
            self.target.tell(message)


def during_the_look_at(monkeypatch, ref, act):
    """Have something happen, once, in the midst of a look at the children: before this one is looked at."""
    child, is_idle, acted = cell_of(ref), Child.is_idle.fget, []

    def look(self):
        if self is child and not acted:
            acted.append(True)
            act()
        return is_idle(self)

    monkeypatch.setattr(Child, "is_idle", property(look))


def wait_for(condition):
    for _ in range(int(PATIENCE * 1000)):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError


@pytest.mark.real_time
async def test_a_message_that_passes_between_two_children_while_they_are_looked_at_is_not_missed(monkeypatch):
    pass_on, finish = threading.Event(), threading.Event()
    async with ActorSystem("s") as system:
        first = system.spawn(Relay, finish)
        second = system.spawn(Relay, pass_on, first)
        await system.wait_idle()
        second.tell("a message")

        def let_it_pass():
            pass_on.set()
            wait_for(lambda: not second.actor_inbox.claimed)

        during_the_look_at(monkeypatch, second, let_it_pass)
        waiting = asyncio.ensure_future(system.wait_idle())
        wait_for(lambda: len(second.actor_inbox) == 0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        finish.set()
        await waiting
        assert system.statistics().handled == 2


async def test_a_child_that_is_spawned_while_the_others_are_looked_at_is_waited_for(monkeypatch):
    async with ActorSystem("s") as system:
        ref = system.spawn(Echo)
        spawned = []
        during_the_look_at(monkeypatch, ref, lambda: spawned.append(system.spawn(Slow)))
        await system.wait_idle()
        assert asyncio.get_running_loop().time() == pytest.approx(1)


class Slow(AsyncActor):
    async def on_start(self):
        await asyncio.sleep(1)


async def test_waits_that_are_given_up_do_not_pile_up_in_a_busy_actor():
    async with ActorSystem("s") as system:
        ref = system.spawn(Gives, shutdown=0.1)
        ref.tell(hang)
        await asyncio.sleep(0)
        course = cell_of(ref).course
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(system.wait_idle(), 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(course.reach(Phase.STOPPED), 1)
        assert course._idle is course.when_idle()
        assert course._idle._wakeups == {}
        assert len(course._reached) == 1
        ref.kill()
        await system.wait_idle()


class Gives(AsyncActor):
    async def on_receive(self, message):
        await message()
