"""Senders at a full mailbox: who waits, who must not, and how each wait ends."""

import asyncio
import gc
import weakref

import pytest

from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    MailboxFullError,
    MailboxPolicy,
    Overflow,
    Reply,
    Terminated,
    Timeout,
)
from pygents.actors.system import ActorSystem
from tests.actors.helpers import until

ONE = MailboxPolicy(capacity=1)


class Reader(AsyncActor):
    """Has one message in hand until it is let go on; keeps what it has handled."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.turnstile = asyncio.Semaphore(0)

    async def on_receive(self, message):
        await self.turnstile.acquire()
        if isinstance(message, BaseException):
            raise message
        if not isinstance(message, Terminated):
            self.seen.append(message)
        return message

    def go_on(self, messages=1):
        for _ in range(messages):
            self.turnstile.release()


async def full(system, policy=ONE, kind=Reader):
    """Return a ref with one message in hand and a full mailbox, and its actor."""
    ref = system.spawn(kind, name="reader", mailbox=policy)
    await system.wait_idle()
    ref.tell("in hand")
    await asyncio.sleep(0)
    for number in range(policy.capacity):
        ref.tell(f"queued {number}")
    assert len(ref.actor_inbox) == policy.capacity
    return ref, ref._actor_weakref()


async def waiting(ref, *messages, ask=False):
    """Return tasks that wait for room, in the order given."""
    send = ref.ask_async if ask else ref.tell_async
    tasks = [asyncio.create_task(send(message)) for message in messages]
    await until(lambda: len(ref.actor_inbox._room.line) == len(messages))
    return tasks


class TestWaiting:
    async def test_ends_when_there_is_room_in_the_order_in_which_it_began(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "first", "second", "third")
            assert repr(ref.actor_inbox) == "<Mailbox open, 1 queued of 1, 3 waiting>"
            for place, task in enumerate(tasks):
                assert [task.done() for task in tasks[place:]] == [False] * (3 - place)
                reader.go_on()
                await task
            reader.go_on(9)
        assert reader.seen == ["in hand", "queued 0", "first", "second", "third"]

    async def test_is_no_message_that_was_accepted_yet(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "waits")
            assert ref.statistics().accepted == ref.statistics().queued == 2
            reader.go_on()
            await tasks[0]
            assert (ref.statistics().accepted, ref.statistics().queued) == (3, 2)
            reader.go_on(9)

    async def test_keeps_the_order_of_each_sender_whoever_else_sends(self):
        async def send(sender):
            for number in range(20):
                await ref.tell_async((sender, number))

        async with ActorSystem("s") as system:
            ref, reader = await full(system, MailboxPolicy(capacity=3))
            reader.go_on(1_000)
            await asyncio.gather(*(send(sender) for sender in range(5)))
        for sender in range(5):
            assert [message[1] for message in reader.seen if message[0] == sender] == [*range(20)]

    async def test_is_overtaken_by_nobody(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "first", "second")
            reader.go_on()
            await tasks[0]
            with pytest.raises(MailboxFullError):
                ref.tell("overtakes")
            reader.go_on(9)
            await tasks[1]
        assert reader.seen == ["in hand", "queued 0", "first", "second"]

    async def test_of_an_asker_ends_in_the_answer(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "first", "second", ask=True)
            reader.go_on(9)
            assert await asyncio.gather(*tasks) == ["first", "second"]

    @pytest.mark.parametrize("end", ["stop", "kill", "stop now", "shutdown"])
    async def test_ends_with_the_actor(self, end):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "first", "second", "third")
            if end == "stop":
                ref.stop(block=False)  # behind what is queued, ahead of who waits
                reader.go_on(2)
            elif end == "kill":
                ref.kill()
            elif end == "stop now":
                ref.stop_now()
            else:
                shutting_down = asyncio.create_task(system.shutdown(drain=False))
            for task in tasks[end == "stop" :]:
                with pytest.raises(ActorDeadError, match=r"Reader \(reader\) not found"):
                    await task
            if end == "stop":
                await tasks[0]  # it was let in, behind the stop
            reader.go_on(9)
            if end == "shutdown":
                await shutting_down
        counts = ref.statistics()
        assert counts.accepted == 2 + (end == "stop")
        assert counts.handled + counts.dead_lettered == counts.accepted

    async def test_goes_on_over_a_restart(self, caplog):
        caplog.set_level("CRITICAL", "pygents.actors")
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "first", ValueError(), "second")
            reader.go_on(4)
            await asyncio.gather(*tasks)
            await until(lambda: ref._actor_weakref() is not reader)
            ref._actor_weakref().go_on(9)
            await system.wait_idle()
            assert ref._actor_weakref().seen == ["second"]
            assert ref.actor_inbox.policy is ONE
        assert reader.seen == ["in hand", "queued 0", "first"]

    async def test_is_not_done_for_a_policy_that_has_nobody_wait(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system, MailboxPolicy(capacity=2, overflow=Overflow.REJECT))
            for send in (ref.tell_async, ref.ask_async):
                with pytest.raises(MailboxFullError, match=r"the mailbox of reader is full: it holds 2 messages"):
                    await send("one more")
            reader.go_on(9)
        assert ref.statistics().accepted == 3


class TestItsTime:
    async def test_is_limited_for_who_tells(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            with pytest.raises(MailboxFullError):
                await ref.tell_async("late", timeout=3)
            assert asyncio.get_running_loop().time() == pytest.approx(3)
            assert not ref.actor_inbox._room.line
            reader.go_on(9)
        assert reader.seen == ["in hand", "queued 0"]

    async def test_goes_off_the_time_of_who_asks(self):
        async def go_on_late():
            await asyncio.sleep(3)
            reader.go_on()

        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            going_on = asyncio.create_task(go_on_late())
            with pytest.raises(Timeout):
                await ref.ask_async("asked", timeout=5)
            assert asyncio.get_running_loop().time() == pytest.approx(5)
            assert ref.statistics().accepted == 3
            await going_on
            reader.go_on(9)

    async def test_that_is_up_when_the_message_has_just_been_let_in_leaves_it_there(self, monkeypatch):
        async def get_late(self, *, timeout=None):
            await get(self)
            raise Timeout(f"{timeout} seconds")

        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            get = Reply.get_async
            monkeypatch.setattr(Reply, "get_async", get_late)
            sending = asyncio.create_task(ref.tell_async("in time", timeout=3))
            await until(lambda: ref.actor_inbox._room.line)
            reader.go_on(9)
            await sending
            monkeypatch.undo()
        assert reader.seen == ["in hand", "queued 0", "in time"]

    @pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
    async def test_is_refused_if_it_is_none(self, timeout):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            with pytest.raises((TypeError, ValueError), match="timeout"):
                await ref.tell_async("never", timeout=timeout)
            reader.go_on(9)


class TestCancelling:
    async def test_while_it_waits_leaves_its_place_in_line_to_the_next(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "first", "second", "third")
            tasks[1].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[1]
            assert repr(ref.actor_inbox) == "<Mailbox open, 1 queued of 1, 2 waiting>"
            reader.go_on(9)
            await asyncio.gather(tasks[0], tasks[2])
        assert reader.seen == ["in hand", "queued 0", "first", "third"]

    async def test_when_it_has_just_been_let_in_takes_the_message_back_and_lets_the_next_in(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            tasks = await waiting(ref, "first", "second")
            reader.go_on()
            await until(lambda: len(ref.actor_inbox._room.line) == 1)
            assert not tasks[0].done()
            tasks[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[0]
            await tasks[1]
            reader.go_on(9)
        assert reader.seen == ["in hand", "queued 0", "second"]
        assert ref.statistics().accepted == ref.statistics().handled == 3

    @pytest.mark.parametrize("ask", [False, True])
    @pytest.mark.parametrize("steps", range(12))
    async def test_at_any_moment_either_sends_the_message_or_does_not(self, steps, ask):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            before = (await waiting(ref, "before"))[0]
            sending = asyncio.create_task(ref.ask_async("cancelled") if ask else ref.tell_async("cancelled"))
            behind = asyncio.create_task(ref.tell_async("behind"))
            reader.go_on(9)
            lowest = 0
            for _ in range(steps):
                await asyncio.sleep(0)
                assert ref.statistics().accepted >= lowest
                lowest = ref.statistics().accepted
            sending.cancel()
            outcome = (await asyncio.gather(sending, return_exceptions=True))[0]
            assert ref.statistics().accepted >= lowest
            await asyncio.gather(before, behind)
            await system.wait_idle()
            sent = "cancelled" in reader.seen
            assert isinstance(outcome, asyncio.CancelledError) or sent
            assert [message for message in reader.seen if message != "cancelled"] == [
                *("in hand", "queued 0", "before", "behind")
            ]
            assert ref.statistics().accepted == ref.statistics().handled == 4 + sent


class TestWhoMustNotWait:
    async def test_a_tell_where_a_loop_runs_is_refused_at_once(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            with pytest.raises(MailboxFullError, match=r"Wait for room, with put\(\) or tell_async\(\)") as raised:
                ref.tell("one more")
            assert (raised.value.actor, raised.value.capacity, raised.value.replaced) == ("reader", 1, False)
            assert ref.statistics().accepted == 2
            reader.go_on(9)

    async def test_an_ask_where_a_loop_runs_has_failed_at_once(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            reply = ref.ask("one more", block=False)
            assert reply.done
            with pytest.raises(MailboxFullError):
                await reply
            reader.go_on(9)

    async def test_a_handler_at_its_own_mailbox_is_refused_at_once(self):
        class Greedy(Reader):
            async def on_receive(self, message):
                await super().on_receive(message)
                if message == "in hand":
                    with pytest.raises(MailboxFullError):
                        await self.actor_ref.tell_async("to itself")
                    self.task = asyncio.create_task(self.actor_ref.tell_async("by a task"))

        async with ActorSystem("s") as system:
            _, reader = await full(system, kind=Greedy)
            reader.go_on(9)
            await until(lambda: hasattr(reader, "task"))
            await reader.task
        assert reader.seen == ["in hand", "queued 0", "by a task"]

    async def test_on_start_at_its_own_mailbox_is_refused_at_once(self):
        class Eager(AsyncActor):
            refused = False

            async def on_start(self):
                await self.actor_ref.tell_async("fits")
                try:
                    await self.actor_ref.tell_async("does not")
                except MailboxFullError:
                    self.refused = True

        async with ActorSystem("s") as system:
            actor = system.spawn(Eager, mailbox=ONE)._actor_weakref()
            await system.wait_idle()
            assert actor.refused
        assert asyncio.get_running_loop().time() == 0

    async def test_a_handler_may_wait_at_another_mailbox(self):
        class Sender(AsyncActor):
            async def on_receive(self, message):
                await message.tell_async("from the other")

        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            system.spawn(Sender).tell(ref)
            await until(lambda: ref.actor_inbox._room.line)
            reader.go_on(9)
            await system.wait_idle()
        assert reader.seen == ["in hand", "queued 0", "from the other"]


class TestWhatIsLetInAlways:
    async def test_a_stop_is(self):
        async with ActorSystem("s") as system:
            ref, reader = await full(system)
            stopping = ref.stop(block=False)
            reader.go_on(9)
            assert await stopping is True
        assert reader.seen == ["in hand", "queued 0"]

    @pytest.mark.parametrize("overflow", [Overflow.BACKPRESSURE, Overflow.REJECT, Overflow.DROP_NEWEST])
    async def test_the_end_of_a_watched_actor_is(self, overflow):
        class Watcher(Reader):
            async def on_receive(self, message):
                if isinstance(message, Terminated):
                    self.seen.append("terminated")
                await super().on_receive(message)

        async with ActorSystem("s") as system:
            ref, reader = await full(system, MailboxPolicy(capacity=1, overflow=overflow), Watcher)
            other = system.spawn(Reader)
            await ref.watch(other)
            other.kill()
            await other.wait_stopped()
            reader.go_on(9)
        assert reader.seen == ["in hand", "queued 0", "terminated"]


@pytest.mark.parametrize("verb", ["tell", "tell_async", "ask_async", "timeout"])
@pytest.mark.parametrize("overflow", [Overflow.BACKPRESSURE, Overflow.REJECT])
async def test_a_message_that_is_refused_is_let_go_at_once(verb, overflow):
    class Message:
        pass

    async def send(message):
        try:
            if verb == "tell":
                ref.tell(message)
            else:
                await getattr(ref, verb if verb != "timeout" else "tell_async")(message, timeout=0.1)
        except MailboxFullError:
            return weakref.ref(message)

    async with ActorSystem("s") as system:
        ref, reader = await full(system, MailboxPolicy(capacity=1, overflow=overflow))
        gc.collect()
        gc.disable()
        try:
            message = await send(Message())
            assert message is not None
            await asyncio.sleep(0)
            assert message() is None
        finally:
            gc.enable()
        reader.go_on(9)
