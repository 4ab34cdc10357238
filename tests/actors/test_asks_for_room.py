"""Asks that wait for room at a full mailbox: that wait counts, for the ring and for the time."""

import asyncio

import pytest

from pygents.actors import AskCycleError, DeadLetterReason, MailboxPolicy, Timeout
from pygents.actors.system import ActorSystem
from tests.actors.asking import CARELESS, Does, asking, idle_waits_for_nobody
from tests.actors.helpers import until


async def at_full_mailbox(system, handler, queued=lambda _: None):
    """Return an actor that may ask, and one that is in `handler`, whose mailbox is full of what is `queued`."""
    asker = system.spawn(Does, name="asker")
    full = system.spawn(Does, name="full", mailbox=MailboxPolicy(capacity=1))
    await system.wait_idle()
    full.tell(handler)
    await asyncio.sleep(0)
    full.tell(queued)
    return asker, full


async def in_line(ref, sending):
    """Return a task that sends, and waits for room."""
    task = asyncio.create_task(sending)
    await until(lambda: len(ref.actor_inbox._room.line) == 1)
    return task


async def test_a_wait_for_room_is_part_of_a_ring():
    async def ask_back(_):
        await gate.wait()
        with pytest.raises(AskCycleError) as caught:
            await asker.ask_async(asking())
        cycles.append(caught.value.cycle)

    gate, cycles = asyncio.Event(), []
    async with ActorSystem("s", supervision=CARELESS) as system:
        asker, full = await at_full_mailbox(system, ask_back)
        asked = await in_line(full, asker.ask_async(asking(full)))
        gate.set()
        assert await asked == "the end"
        assert cycles == [("full", "asker")]
        assert await idle_waits_for_nobody(system, asker, full)


async def test_who_was_let_in_is_not_refused_though_its_message_is_handled_before_it_sees_that():
    async def ask_back(_):
        try:
            return await asker.ask_async(asking())
        except AskCycleError:
            return "refused"

    gate = asyncio.Event()
    async with ActorSystem("s", supervision=CARELESS) as system:
        asker, full = await at_full_mailbox(system, lambda _: gate.wait())
        asked = await in_line(full, asker.ask_async(lambda _: full.ask_async(ask_back)))
        gate.set()
        assert await asked == "refused"
        assert await idle_waits_for_nobody(system, asker, full)


async def test_a_wait_for_room_takes_of_the_time_after_which_it_is_not_handled():
    async def stay(_):
        await asyncio.sleep(2)

    handled = []
    async with ActorSystem("s") as system:
        letters = system.dead_letters
        _, full = await at_full_mailbox(system, stay, stay)
        asked = await in_line(full, full.ask_async(handled.append, timeout=3))
        with pytest.raises(Timeout):
            await asked
        await system.wait_idle()
        assert not handled
        assert [letter.reason for letter in letters] == [DeadLetterReason.EXPIRED]
