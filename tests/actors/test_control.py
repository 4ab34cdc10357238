"""The control lane of plain actors: what overtakes the queue, and in which order."""

import asyncio
from contextlib import suppress

import pytest

from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    DeadLetterReason,
    Directive,
    Ended,
    Supervision,
)
from pygents.actors.system import ActorSystem
from pygents.errors import SafeExecutionError, TurnCancelledError
from tests.actors.helpers import hang

ESCALATES = Supervision(decide=lambda error: Directive.ESCALATE)  # so that any directive would end the system


class Does(AsyncActor):
    """Awaits what the message makes, and answers with that; a number is waited for."""

    def __init__(self):
        super().__init__()
        self.log = []

    async def on_receive(self, message):
        if isinstance(message, int):
            await asyncio.sleep(message)
            self.log.append(message)
            return message
        return await message()

    def on_stop(self):
        self.log.append("stop")


async def stubborn():
    """Swallow the first cancellation, and go on."""
    with suppress(asyncio.CancelledError):
        await hang()
    await asyncio.sleep(2)
    return "late"


def now():
    return asyncio.get_running_loop().time()


@pytest.fixture(params=["supervised", "unsupervised"])
def start(request):
    """Return what starts an actor, in a system or not."""

    def start(system):
        return system.spawn(Does) if request.param == "supervised" else Does.start()

    return start


class TestCancelling:
    async def test_ends_the_message_in_hand_and_the_actor_goes_on(self, start):
        async with ActorSystem("s", supervision=ESCALATES) as system:
            ref = start(system)
            first, second = ref.ask(hang, block=False), ref.ask(1, block=False)
            await asyncio.sleep(2)
            assert await ref.cancel_turn("enough") is True
            with pytest.raises(TurnCancelledError, match="enough"):
                await first
            assert await second == 1
            assert await ref.cancel_turn() is False
            await ref.stop_async()

    async def test_waits_until_the_handler_has_ended_and_drops_what_it_gives(self, start, caplog):
        async with ActorSystem("s", supervision=ESCALATES) as system:
            ref = start(system)
            asked = ref.ask(stubborn, block=False)
            await asyncio.sleep(1)
            assert await ref.cancel_turn("enough") is True
            assert now() == 3
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            assert "gave 'late', which is dropped" in caplog.text
            assert await ref.ask_async(1) == 1
            await ref.stop_async()

    async def test_of_a_told_message_is_no_failure(self, start):
        async with ActorSystem("s", supervision=ESCALATES) as system:
            ref = start(system)
            ref.tell(hang)
            await asyncio.sleep(1)
            assert await ref.cancel_turn() is True
            assert await ref.ask_async(1) == 1
            assert len(system.dead_letters) == 0
            await ref.stop_async()

    async def test_leaves_no_mark_on_the_next_message(self, start):
        async def looks():
            return asyncio.current_task().cancelling()

        async with ActorSystem("s") as system:
            ref = start(system)
            for message in (hang, stubborn):
                ref.tell(message)
                asked = ref.ask(looks, block=False)
                await asyncio.sleep(1)
                assert await ref.cancel_turn()
                assert await asked == 0
            await ref.stop_async()

    async def test_is_refused_to_the_handler_itself(self, start):
        refused = []

        async def cancels():
            with pytest.raises(SafeExecutionError, match="cannot cancel what it handles from within"):
                refs[0].cancel_turn()
            refused.append(True)

        async with ActorSystem("s") as system:
            refs = [start(system)]
            await refs[0].ask_async(cancels)
            assert refused == [True]
            await refs[0].stop_async()

    async def test_a_handler_that_ignores_it_is_abandoned_in_a_system(self):
        let_go = asyncio.Event()

        async def ignores():
            while not let_go.is_set():
                with suppress(asyncio.CancelledError):
                    await let_go.wait()
            return "late"

        async with ActorSystem("s", supervision=ESCALATES) as system:
            ref = system.spawn(Does, name="does", shutdown=3.0)
            asked = ref.ask(ignores, block=False)
            await asyncio.sleep(1)
            assert await ref.cancel_turn("enough") is True
            assert now() == 4
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            assert await ref.ask_async(1) == 1
            let_go.set()
            await asyncio.sleep(1)
            counts = ref.statistics()
            assert (counts.accepted, counts.handled, counts.answered_with_error) == (2, 1, 1)

    async def test_while_it_starts_is_nothing_to_cancel(self):
        class Starts(Does):
            async def on_start(self):
                await asyncio.sleep(5)

        async with ActorSystem("s") as system:
            ref = system.spawn(Starts)
            ref.tell(1)
            await asyncio.sleep(1)
            assert await ref.cancel_turn() is False
        assert system.statistics().handled == 1


class TestStoppingNow:
    async def test_finishes_the_message_in_hand_and_handles_no_other(self, start):
        async with ActorSystem("s") as system:
            ref = start(system)
            log = ref._actor_weakref().log
            first, second = ref.ask(5, block=False), ref.ask(6, block=False)
            await asyncio.sleep(1)
            ref.stop_now()
            ref.stop_now()
            with pytest.raises(ActorDeadError):
                ref.tell("late")
            with pytest.raises(ActorDeadError):
                await second
            assert await first == 5
            assert await ref.wait_stopped() is Ended.KILLED
            assert now() == 5
            assert log == [5]

    async def test_ends_an_idle_actor_at_once(self, start):
        async with ActorSystem("s") as system:
            ref = start(system)
            await ref.ask_async(1)
            ref.stop_now()
            assert await ref.wait_stopped() is Ended.KILLED
            assert now() == 1

    async def test_gives_way_to_a_kill(self, start):
        async with ActorSystem("s") as system:
            ref = start(system)
            ref.tell(5)
            await asyncio.sleep(1)
            ref.stop_now()
            await asyncio.sleep(1)
            ref.kill()
            assert await ref.wait_stopped() is Ended.KILLED
            assert now() == 2

    async def test_lets_the_message_in_hand_be_cancelled(self, start):
        async with ActorSystem("s") as system:
            ref = start(system)
            asked = ref.ask(hang, block=False)
            await asyncio.sleep(1)
            ref.stop_now()
            assert await ref.cancel_turn("enough") is True
            with pytest.raises((TurnCancelledError, ActorDeadError)):
                await asked
            assert await ref.wait_stopped() is Ended.KILLED

    async def test_says_what_it_did_not_handle_and_ends_the_children_then(self):
        class Parent(Does):
            async def on_start(self):
                self.child = self.spawn(Does, name="child")

            async def on_receive(self, message):
                await asyncio.sleep(2)
                return await self.child.ask_async(message)

        async with ActorSystem("s") as system:
            ref = system.spawn(Parent, name="parent")
            first = ref.ask(1, block=False)
            ref.tell(2)
            await asyncio.sleep(1)
            ref.stop_now()
            assert await first == 1
            assert await ref.wait_stopped() is Ended.KILLED
            assert system.whereis("parent/child") is None
            assert [(letter.message, letter.reason) for letter in system.dead_letters] == [
                (2, DeadLetterReason.STOPPED)
            ]

    async def test_of_one_that_fails_by_the_message_in_hand_restarts_nothing(self):
        async def fails():
            await asyncio.sleep(1)
            raise ValueError

        async with ActorSystem("s") as system:
            ref = system.spawn(Does)
            ref.tell(fails)
            await asyncio.sleep(0.5)
            ref.stop_now()
            assert await ref.wait_stopped() is Ended.KILLED
            counts = ref.statistics()
            assert counts.accepted == counts.dead_lettered == 1
