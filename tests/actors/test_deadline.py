"""A message that was asked, and that its actor comes to when the asker's time is up: it is not handled."""

import asyncio
import threading
import time

import pytest
from pykka import ThreadingFuture

from pygents.actors import (
    AsyncActor,
    Backoff,
    DeadLetterReason,
    Directive,
    Strategy,
    Supervision,
    ThreadDispatcher,
    Timeout,
)
from pygents.actors.deadline import Deadline, is_late
from pygents.actors.system import ActorSystem
from pygents.testing import run
from tests.actors.asking import spawn
from tests.actors.helpers import PATIENCE, Echo, in_thread, messages_of, until


class Slow(AsyncActor):
    """Sleeps for the seconds that a message says, and answers with them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    async def on_receive(self, message):
        self.seen.append(message)
        await asyncio.sleep(message)
        return message


class Blocks(Echo):
    """Blocks its thread on "wait", until `opened` is set."""

    dispatcher = ThreadDispatcher

    def __init__(self):
        super().__init__()
        self.blocked, self.opened = threading.Event(), threading.Event()
        self.seen = []

    def on_receive(self, message):
        self.seen.append(message)
        if message == "wait":
            self.blocked.set()
            assert self.opened.wait(PATIENCE)
        return message


def start_blocked():
    """Return the ref and the actor of one that is blocked."""
    ref = Blocks.start()
    actor = ref._actor_weakref()
    ref.tell("wait")
    assert actor.blocked.wait(PATIENCE)
    return ref, actor


async def ask_behind(ref, seconds, timeout, ask=None):
    """Ask something that the actor comes to in so many seconds."""
    ref.tell(seconds)
    return await (ask(ref, timeout) if ask else ref.ask_async(0, timeout=timeout))


async def send_and_await(ref, timeout):
    reply = ref.ask(0, block=False, timeout=timeout)
    await asyncio.sleep(timeout + 1)
    return await reply


ways = pytest.mark.parametrize(
    "ask", [None, send_and_await, lambda ref, timeout: ref.ask(0, block=False, timeout=timeout)]
)


class TestInASystem:
    @ways
    async def test_it_is_an_expired_dead_letter_and_its_asker_gets_a_timeout(self, ask):
        async with ActorSystem("s") as system:
            ref = system.spawn(Slow, name="slow")
            with pytest.raises(Timeout):
                await ask_behind(ref, 10, 5, ask)
            await system.wait_idle()
            assert ref._actor_weakref().seen == [10]
            (letter,) = system.dead_letters
            assert (letter.message, letter.recipient, letter.reason) == (0, "slow", DeadLetterReason.EXPIRED)
            assert letter.failure is None
            counts = ref.statistics()
            assert (counts.accepted, counts.handled, counts.dead_lettered) == (2, 1, 1)

    @ways
    async def test_it_is_handled_if_its_time_is_not_up(self, ask):
        async with ActorSystem("s") as system:
            assert await ask_behind(system.spawn(Slow), 4.9, 5, ask) == 0
            assert len(system.dead_letters) == 0

    async def test_its_time_is_up_at_the_very_moment(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Slow)
            with pytest.raises(Timeout):
                await ask_behind(ref, 5, 5)
            await system.wait_idle()
            assert ref._actor_weakref().seen == [5]

    async def test_its_time_may_pass_while_it_is_handled(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Slow)
            reply = ref.ask(10, block=False, timeout=5)
            assert await reply == 10
            with pytest.raises(Timeout):
                await ref.ask_async(10, timeout=5)
            await system.wait_idle()
            assert ref.statistics().handled == 2

    async def test_it_has_any_time_if_its_asker_has(self):
        async with ActorSystem("s") as system:
            assert await ask_behind(system.spawn(Slow), 1e6, None) == 0

    async def test_it_is_looked_at_again_when_it_is_to_run_again(self):
        class Fails(Slow):
            async def on_receive(self, message):
                await super().on_receive(message)
                raise ConnectionError

        policy = Supervision(decide=lambda _: Directive.RETRY, max_attempts=10, backoff=Backoff(initial=3, jitter=0))
        async with ActorSystem("s", supervision=policy) as system:
            ref = system.spawn(Fails)
            with pytest.raises(Timeout):
                await ref.ask_async(1, timeout=5)
            await system.wait_idle()
            assert ref._actor_weakref().seen == [1, 1], "at 0 and 4 seconds; the third time it is too late"
            assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.EXPIRED]

    async def test_it_is_looked_at_again_after_a_siblings_restart(self):
        policy = Supervision(strategy=Strategy.ONE_FOR_ALL)
        async with ActorSystem("s", supervision=policy) as system:
            ref = system.spawn(Slow, shutdown=2.0)
            (other,) = spawn(system, "o")
            asked = ref.ask(1000, block=False, timeout=3)
            await asyncio.sleep(2)
            other.tell(lambda _: 1 / 0)
            with pytest.raises(Timeout):
                await asked
            assert asyncio.get_running_loop().time() == pytest.approx(4)
            assert [letter.reason for letter in system.dead_letters.where(recipient=ref._path)] == [
                DeadLetterReason.EXPIRED
            ]

    async def test_it_is_looked_at_when_a_paused_actor_goes_on(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Slow)
            ref.pause()
            with pytest.raises(Timeout):
                await ref.ask_async(0, timeout=5)
            assert len(system.dead_letters) == 0
            ref.resume()
            await system.wait_idle()
            assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.EXPIRED]

    async def test_it_has_no_deadline_when_it_is_sent_again(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Slow)
            with pytest.raises(Timeout):
                await ask_behind(ref, 10, 5)
            await system.wait_idle()
            assert system.dead_letters.redrive_all() == 1
            await system.wait_idle()
            assert ref._actor_weakref().seen == [10, 0]

    async def test_a_stop_has_none(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Slow)
            ref.tell(10)
            with pytest.raises(Timeout):
                await ref.stop_async(timeout=5)
            await ref.wait_stopped()
            assert len(system.dead_letters) == 0


class TestInNoSystem:
    @ways
    async def test_it_is_logged_and_its_asker_gets_a_timeout(self, ask, caplog):
        ref = Slow.start()
        with pytest.raises(Timeout):
            await ask_behind(ref, 10, 5, ask)
        assert await ref.ask_async(1) == 1
        assert ref._actor_weakref().seen == [10, 1]
        assert len(messages_of(caplog, "does not handle what nobody waits for now: 0")) == 1
        await ref.stop_async()

    def test_it_is_so_for_a_thread_that_blocks(self, caplog):
        ref, actor = start_blocked()
        with pytest.raises(Timeout, match=r"0\.001 seconds"):
            ref.ask("late", timeout=0.001)
        actor.opened.set()
        assert ref.ask("next", timeout=PATIENCE) == "next"
        assert actor.seen == ["wait", "next"]
        assert len(messages_of(caplog, "'late'")) == 1

    async def test_one_that_cannot_be_shown_is_let_go_too(self, caplog):
        class Unspeakable:
            def __repr__(self):
                raise SystemExit

        ref = Slow.start()
        ref.tell(10)
        with pytest.raises(Timeout):
            await ref.ask_async(Unspeakable(), timeout=5)
        assert await ref.ask_async(1) == 1
        assert len(messages_of(caplog, "does not handle")) == 1
        await ref.stop_async()


class TestItsClock:
    """It is the asker's: the actor's own loop may have another one."""

    def test_is_that_of_a_thread_that_waits_though_virtual_time_flies(self):
        async def main():
            async with ActorSystem("s") as system:
                ref = system.spawn(Slow)
                ref.tell(1e6)
                answer = in_thread(lambda: ref.ask(2, timeout=PATIENCE))
                await until(lambda: len(ref.actor_inbox))
                await system.wait_idle()
                assert await asyncio.to_thread(answer) == 2
                assert asyncio.get_running_loop().time() > 1e6

        run(main())

    def test_is_that_of_the_loop_on_which_an_actor_on_a_thread_is_awaited(self):
        async def ask_late():
            with pytest.raises(Timeout):
                await ref.ask_async("late", timeout=1000)  # virtual seconds, which pass at once

        ref, actor = start_blocked()
        run(ask_late())
        actor.opened.set()
        assert ref.ask("next", timeout=PATIENCE) == "next"
        assert actor.seen == ["wait", "next"]

    def test_is_that_of_the_thread_for_who_blocks_on_a_virtual_loop(self):
        async def block():
            with pytest.raises(Timeout):
                ref.ask("late", timeout=0.001)

        ref, actor = start_blocked()
        run(block())
        actor.opened.set()
        assert ref.ask("next", timeout=PATIENCE) == "next"
        assert actor.seen == ["wait", "next"]

    def test_is_one_of_threads_where_no_loop_runs(self):
        deadline = Deadline(1e-9)
        while not deadline.has_passed:
            time.sleep(0)
        assert not Deadline(PATIENCE).has_passed

    def test_belongs_to_our_own_replies_alone(self):
        assert not is_late(ThreadingFuture())
