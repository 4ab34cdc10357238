"""What a loop is stuck in, as a system tells it that stands still: whose code, with what in hand, and where."""

import asyncio
import logging
import sys

from pygents.actors import AsyncActor
from pygents.actors.stuck import Stuck
from pygents.actors.system import ActorSystem
from tests.actors.helpers import PATIENCE, messages_of
from tests.actors.stalled import Blocked, Watched


class Plain(AsyncActor):
    """Enters what it is sent, in a handler that is no coroutine."""

    def on_receive(self, message):
        message.enter()


def test_it_is_told_with_the_actor_its_message_and_where_it_is_stuck(watched, block, caplog):
    watched.system.spawn(Blocked, name="blocked").tell(block)
    watched.look_into(block)
    (event,) = watched.told()
    assert event.path == "blocked"
    assert event.turn is block
    assert event.seconds > 0
    lines = event.stack.splitlines()
    assert "in on_receive" in lines[0]  # without the loop, and what is ours around the handler
    assert "message.enter()" in lines[1]
    assert "in enter" in lines[2]
    (record,) = (one for one in caplog.records if "stands still" in one.getMessage())
    assert record.levelno == logging.ERROR
    assert record.getMessage().endswith(f" s, in blocked with <block>:\n{event.stack.rstrip()}")


def test_where_it_is_stuck_is_told_without_what_is_ours_around_a_plain_handler(watched, block):
    watched.system.spawn(Plain, name="plain").tell(block)
    watched.look_into(block)
    (event,) = watched.told()
    assert "in on_receive" in event.stack.splitlines()[0]


def test_a_task_that_a_handler_waits_for_is_its_actors(watched, block):
    async def enter():
        await asyncio.sleep(0)
        block.enter()

    watched.system.spawn(Blocked, name="blocked").tell(enter)
    watched.look_into(block)
    assert [(event.path, event.turn) for event in watched.told()] == [("blocked", enter)]


def test_of_two_systems_on_the_loop_only_its_own_tells_the_actor(watched, block):
    async def enter():
        return await ActorSystem("t", stall_after=None).__aenter__()

    other = Watched(watched.system.submit(enter).get(timeout=PATIENCE))
    other.system.spawn(Blocked, name="same")
    other.begin()
    watched.system.spawn(Blocked, name="same").tell(block)
    assert block.entered.wait(PATIENCE)
    other.look(5)
    watched.look_into(block)
    assert [(event.path, event.turn) for event in watched.told()] == [("same", block)]
    assert [(event.path, event.turn) for event in other.told()] == [("", None)]
    asyncio.run(other.system.shutdown())


def test_a_callback_is_nobodys(watched, block, caplog):
    watched.system.call(block.enter)
    watched.look_into(block)
    (event,) = watched.told()
    assert (event.path, event.turn) == ("", None)
    assert "in enter" in event.stack
    assert messages_of(caplog, "in code outside its actors:\n")


def test_without_a_global_lock_only_the_seconds_are_told(watched, block, monkeypatch, caplog):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    watched.system.spawn(Blocked, name="blocked").tell(block)
    watched.look_into(block)
    (event,) = watched.told()
    assert (event.path, event.turn, event.stack) == ("", None, "")
    (text,) = messages_of(caplog, "stands still for ")
    assert text.endswith(" s")


def test_an_actor_that_has_gone_from_the_tree_is_told(watched, block):
    async def enter():
        watched.system.root.forget(watched.system.root.find(["blocked"]))
        block.enter()

    watched.system.spawn(Blocked, name="blocked").tell(enter)
    watched.look_into(block)
    (event,) = watched.told()
    assert (event.path, event.turn) == ("blocked", None)


def test_a_call_of_ours_is_shown_if_there_is_no_other():
    frame = eval("sys._getframe()", {"__name__": "pygents.any", "sys": sys})  # noqa: S307 (to be in a module of ours)
    assert "in <module>" in Stuck(calls=((frame, 1),)).stack()
