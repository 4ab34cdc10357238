"""What becomes of messages for which a mailbox has no room: dead letters, errors for who asked, and right counts."""

import asyncio
import logging

import pytest

from pygents.actors import DeadLetterReason, MailboxFullError, MailboxPolicy, Overflow, Statistics
from pygents.actors.dropping import bind
from pygents.actors.system import ActorSystem
from tests.actors.helpers import cell_of, messages_of, until
from tests.actors.test_sending import Reader


def about(message):
    return message[0]


DROPS_NEWEST = MailboxPolicy(capacity=2, overflow=Overflow.DROP_NEWEST)
DROPS_OLDEST = MailboxPolicy(capacity=2, overflow=Overflow.DROP_OLDEST)
COALESCES = MailboxPolicy(capacity=2, overflow=Overflow.COALESCE, key=about)


async def busy(system, policy):
    """Return a ref with the message "--" in hand and an empty mailbox, and its actor."""
    ref = system.spawn(Reader, name="reader", mailbox=policy)
    await system.wait_idle()
    ref.tell("--")
    await asyncio.sleep(0)
    return ref, ref._actor_weakref()


def letters(system):
    return [(letter.message, letter.reason, letter.recipient, letter.sender) for letter in system.dead_letters]


class TestDropNewest:
    async def test_keeps_what_is_queued(self):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, DROPS_NEWEST)
            for message in ("a1", "b1", "c1", "d1"):
                ref.tell(message)
            await ref.tell_async("e1")
            assert letters(system) == [
                (message, DeadLetterReason.MAILBOX_FULL, "reader", None) for message in ("c1", "d1", "e1")
            ]
            assert ref.statistics() == Statistics(accepted=6, dead_lettered=3, queued=3)
            reader.go_on(9)
        assert reader.seen == ["--", "a1", "b1"]
        assert ref.statistics() == Statistics(accepted=6, handled=3, dead_lettered=3)


class TestDropOldest:
    async def test_keeps_what_is_new(self):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, DROPS_OLDEST)
            for message in ("a1", "b1", "c1", "d1"):
                ref.tell(message)
            assert letters(system) == [
                (message, DeadLetterReason.MAILBOX_FULL, "reader", None) for message in ("a1", "b1")
            ]
            assert ref.statistics() == Statistics(accepted=5, dead_lettered=2, queued=3)
            reader.go_on(9)
        assert reader.seen == ["--", "c1", "d1"]

    async def test_drops_no_stop_and_nothing_that_was_returned_to_its_head(self):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, DROPS_OLDEST)
            inbox = ref.actor_inbox
            ref.tell("a1")
            stopping = ref.stop(block=False)
            cell_of(ref).ledger.go_back(inbox.in_hand, attempts=2)
            for message in ("b1", "c1"):
                ref.tell(message)
            assert [letter.message for letter in system.dead_letters] == ["a1"]
            assert inbox.peek().message == "--"
            reader.go_on(9)
            assert await stopping is True
        assert reader.seen == ["--", "--"]


class TestCoalesce:
    async def test_puts_a_message_in_the_place_of_the_one_with_its_key_also_where_there_is_room(self):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, COALESCES)
            ref.tell("a1")
            ref.tell("a2")
            ref.tell("b1")
            ref.tell("a3")
            assert letters(system) == [
                (message, DeadLetterReason.COALESCED, "reader", None) for message in ("a1", "a2")
            ]
            assert ref.statistics() == Statistics(accepted=5, dead_lettered=2, queued=3)
            reader.go_on(9)
        assert reader.seen == ["--", "a3", "b1"]

    async def test_rejects_what_has_no_like_if_it_is_full(self):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, COALESCES)
            for message in ("a1", "b1"):
                ref.tell(message)
            for send in (ref.tell_async, ref.ask_async):
                with pytest.raises(MailboxFullError):
                    await send("c1")
            with pytest.raises(MailboxFullError):
                ref.tell("c1")
            await ref.tell_async("b2")
            reader.go_on(9)
        assert reader.seen == ["--", "a1", "b2"]

    async def test_is_over_for_a_message_that_is_in_hand(self):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, COALESCES)
            ref.tell("a1")
            reader.go_on()
            await until(ref.actor_inbox.empty)
            ref.tell("a2")
            reader.go_on(9)
        assert reader.seen == ["--", "a1", "a2"]
        assert len(system.dead_letters) == 0

    async def test_forgets_the_keys_of_what_is_no_longer_queued(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Reader, mailbox=MailboxPolicy(capacity=2, overflow=Overflow.COALESCE, key=int))
            await system.wait_idle()
            ref._actor_weakref().go_on(10_000)
            for number in range(1_000):
                await ref.ask_async(number)
            assert len(ref.actor_inbox._room._by_key) < 20

    async def test_lets_out_what_the_key_raises_and_changes_nothing(self):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, COALESCES)
            for send in (ref.tell, ref.ask, lambda message: ref.ask(message, block=False)):
                with pytest.raises(TypeError, match="'int' object is not subscriptable"):
                    await asyncio.to_thread(send, 3)
            for send in (ref.tell_async, ref.ask_async):
                with pytest.raises(IndexError):
                    await send("")
            assert ref.statistics().accepted == 1
            reader.go_on(9)

    async def test_refuses_a_key_that_is_not_hashable(self):
        policy = MailboxPolicy(capacity=2, overflow=Overflow.COALESCE, key=list)
        async with ActorSystem("s") as system:
            ref = system.spawn(Reader, mailbox=policy)
            with pytest.raises(TypeError, match=r"<class 'list'> gave \['a'\], which cannot be a key"):
                ref.tell("a")
            assert ref.statistics().accepted == 0

    async def test_bears_keys_whose_own_methods_raise_or_send(self):
        class Key:
            def __init__(self, message):
                self.message = message

            def __hash__(self):
                return 1

            def __eq__(self, other):
                if "raises" in {self.message, other.message}:
                    raise LookupError
                if "sends" in {self.message, other.message} and not sent:
                    sent.append(True)
                    ref.tell("in between")
                return self.message == other.message

        sent = []
        policy = MailboxPolicy(capacity=9, overflow=Overflow.COALESCE, key=Key)
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, policy)
            ref.tell("a1")
            with pytest.raises(LookupError):
                ref.tell("raises")
            ref.tell("sends")
            reader.go_on(9)
        assert sorted(reader.seen) == ["--", "a1", "in between", "sends"]
        assert ref.statistics().handled == ref.statistics().accepted == 4


@pytest.mark.parametrize("policy", [DROPS_NEWEST, DROPS_OLDEST, COALESCES])
class TestWhoeverAsked:
    async def test_is_told_that_the_message_was_dropped(self, policy):
        async with ActorSystem("s") as system:
            ref, reader = await busy(system, policy)
            replies = [ref.ask(message, block=False) for message in ("a1", "b1", "a2")]
            dropped = replies.pop(2 if policy is DROPS_NEWEST else 0)
            with pytest.raises(MailboxFullError) as raised:
                await dropped
            assert raised.value.actor == "reader"
            assert raised.value.replaced is (policy is COALESCES)
            if policy is COALESCES:
                assert str(raised.value) == (
                    "a newer message with the same key has taken the place of this one in the mailbox of reader"
                )
            assert [letter.message for letter in system.dead_letters] == ["a2" if policy is DROPS_NEWEST else "a1"]
            reader.go_on(9)
            assert await asyncio.gather(*replies) == (["a1", "b1"] if policy is DROPS_NEWEST else [*{"b1": 1, "a2": 1}])

    async def test_outside_a_system_is_told_and_what_nobody_asked_is_logged(self, policy, caplog):
        caplog.set_level(logging.WARNING, "pygents.actors")
        ref = Reader.start()
        bind(cell_of(ref), policy)
        reader = ref._actor_weakref()
        ref.tell("--")
        await asyncio.sleep(0)
        for message in ("a1", "b1", "a2"):
            ref.tell(message)
        dropped = "a2" if policy is DROPS_NEWEST else "a1"
        assert messages_of(caplog, "dropped") == [
            f"The mailbox of {ref} is full, which has dropped {dropped!r} ({policy.overflow.value})"
        ]
        if policy is DROPS_NEWEST:
            with pytest.raises(MailboxFullError):
                await ref.ask_async("a3")
        else:
            asking = ref.ask("b2", block=False)
            ref.tell("b3" if policy is COALESCES else "c1")
            if policy is DROPS_OLDEST:
                ref.tell("d1")
            with pytest.raises(MailboxFullError):
                await asking
        reader.go_on(9)
        await ref.stop_async()


async def test_a_dead_letter_that_is_sent_again_is_a_new_message():
    async with ActorSystem("s") as system:
        ref, reader = await busy(system, DROPS_NEWEST)
        for message in ("a1", "b1", "c1"):
            ref.tell(message)
        assert system.dead_letters.redrive_all() == 1  # it is dropped again
        assert [letter.message for letter in system.dead_letters] == ["c1"]
        reader.go_on(3)
        await system.wait_idle()
        assert system.dead_letters.redrive_all() == 1
        reader.go_on()
        await system.wait_idle()
        assert ref.statistics() == Statistics(accepted=6, handled=4, dead_lettered=2)
    assert reader.seen == ["--", "a1", "b1", "c1"]


async def test_one_that_is_sent_again_to_a_full_mailbox_that_refuses_it_stays_a_dead_letter():
    async with ActorSystem("s") as system:
        ref, reader = await busy(system, MailboxPolicy(capacity=1, overflow=Overflow.REJECT))
        other = system.spawn(Reader, name="other", mailbox=MailboxPolicy(capacity=1, overflow=Overflow.DROP_NEWEST))
        ref.tell("a1")
        for message in ("b1", "b2", "b3"):
            other.tell(message)
        with pytest.raises(MailboxFullError):
            system.dead_letters.redrive_all(to="reader")
        assert [letter.message for letter in system.dead_letters] == ["b2", "b3"]
        reader.go_on(9)
        other._actor_weakref().go_on(9)


async def test_the_events_of_a_system_have_what_was_dropped():
    async with ActorSystem("s") as system:
        events = system.events()
        ref, reader = await busy(system, DROPS_OLDEST)
        for message in ("a1", "b1", "c1"):
            ref.tell(message)
        reader.go_on(9)
    letters = [event.letter async for event in events if hasattr(event, "letter")]
    assert [(letter.message, letter.reason.value) for letter in letters] == [("a1", "mailbox_full")]
