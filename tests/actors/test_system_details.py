"""A system in corners where it was once wrong, and what its refs and dead letters say."""

import asyncio

import pytest

from pygents.actors import (
    ActorDeadError,
    ActorFailedError,
    AsyncActor,
    Backoff,
    Strategy,
    Supervision,
)
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from tests.actors.helpers import Echo, Worker, boom, hang


class TestWhatWasOnceWrong:
    async def test_a_message_that_is_handled_in_the_time_it_has_is_not_cut(self):
        async def finish():
            await asyncio.sleep(1)
            return "done"

        async with ActorSystem("s") as system:
            ref = system.spawn(Worker, [], "a", name="a", shutdown=5.0)
            asked = ref.ask(finish, block=False)
            await asyncio.sleep(0.5)
            report = await system.shutdown(drain=False)
        assert await asked == "done"
        assert report.cut == ()
        assert system.statistics().handled == 1

    async def test_a_failure_while_it_drains_ends_the_draining(self):
        with pytest.raises(SystemFailedError):
            async with ActorSystem("s", supervision=Supervision(max_restarts=0)) as system:
                system.spawn(Worker, [], "a").tell(boom())

    async def test_a_backoff_delays_the_start_too(self):
        class Starts(Worker):
            def on_start(self):
                times.append(asyncio.get_running_loop().time())
                if len(times) < 4:
                    raise ValueError

        times = []
        backoff = Backoff(initial=10.0, maximum=100.0, jitter=0.0)
        async with ActorSystem("s", supervision=Supervision(backoff=backoff)) as system:
            system.spawn(Starts, [], "a")
        assert times == pytest.approx([0, 10, 30, 70])

    async def test_an_actor_can_have_children_while_the_system_drains(self):
        class Parent(Worker):
            def on_start(self):
                self.spawn(Worker, log, "child")

        log = []
        async with ActorSystem("s") as system:
            system.spawn(Parent, log, "p")
        assert log == ["start child", "stop child", "stop p"]

    async def test_a_child_that_is_spawned_while_the_others_are_suspended_is_left_alone(self):
        log = []
        policy = Supervision(strategy=Strategy.ONE_FOR_ALL, backoff=Backoff(initial=1.0, jitter=0.0))
        async with ActorSystem("s", supervision=policy) as system:
            team = system.supervisor("team")
            ref = system.spawn(Worker, [], "a")
            ref.tell(boom())
            await asyncio.sleep(0.5)
            late = team.spawn(Worker, log, "late")
            assert await late.ask_async(1) == (1, 1)
            assert await ref.ask_async(1) == (1, 1)
            assert await late.ask_async(2) == (2, 2)
        assert log == ["start late", ("late", 1), ("late", 2), "stop late"]

    async def test_an_error_names_the_limits_that_were_exceeded(self):
        own = Supervision(max_restarts=1, within=7.0)
        with pytest.raises(SystemFailedError) as caught:  # noqa: PT012 (likewise)
            async with ActorSystem("s", supervision=Supervision(max_restarts=50)) as system:
                ref = system.spawn(Worker, [], "a", supervision=own)
                ref.tell(boom())
                ref.tell(boom())
        assert "more than 1 restarts within 7.0 seconds" in str(caught.value.__cause__)

    async def test_an_asker_of_a_message_that_is_always_cut_is_told_so(self):
        policy = Supervision(strategy=Strategy.ONE_FOR_ALL, max_restarts=9, max_attempts=2)
        async with ActorSystem("s", supervision=policy) as system:
            first = system.spawn(Worker, [], "a", shutdown=1.0)
            second = system.spawn(Worker, [], "b", shutdown=1.0)
            asked = second.ask(hang, block=False)
            for _ in range(2):
                await asyncio.sleep(5)
                first.tell(boom())
            with pytest.raises(ActorFailedError, match="cut in each of its 2 runs"):
                await asked
            assert await second.ask_async("next") == (1, "next")


class TestRefsInASystem:
    async def test_have_the_counts_of_their_actor_also_when_it_has_ended(self):
        async with ActorSystem("s") as system:
            ref, other = system.spawn(Worker, [], "a", name="a"), system.spawn(Worker, [], "b", name="b")
            await ref.ask_async("one")
            ref.tell(boom())
            other.tell("two")
            await system.wait_idle()
            counts = ref.statistics()
            assert (counts.accepted, counts.handled, counts.dead_lettered, counts.queued) == (2, 1, 1, 0)
            assert other.statistics().accepted == 1
        assert ref.statistics() == counts

    async def test_are_named_by_their_path(self):
        async with ActorSystem("s") as system:
            ref = system.supervisor("team").spawn(Echo, name="a")
            assert str(ref) == "Echo (team/a)"
            assert repr(ref) == "<ActorRef for Echo (team/a)>"
            ref.kill()
            with pytest.raises(ActorDeadError, match=r"Echo \(team/a\) not found"):
                ref.tell(1)


class TestSenders:
    async def test_a_dead_letter_names_the_actor_that_sent_it(self):
        class Sends(AsyncActor):
            async def on_receive(self, message):
                sent = asyncio.create_task(self.later(message))  # from a task of its own, too
                message.tell("from the handler")
                await sent

            async def later(self, ref):
                ref.tell("from a task")

        async with ActorSystem("s") as system:
            sends = system.supervisor("team").spawn(Sends, name="sends")
            fails = system.spawn(Fails, name="fails")
            sends.tell(fails)
            await system.wait_idle()
            fails.tell("from outside")
            await system.wait_idle()
            assert [(letter.message, letter.sender) for letter in system.dead_letters] == [
                ("from the handler", "team/sends"),
                ("from a task", "team/sends"),
                ("from outside", None),
            ]

    async def test_an_actor_without_a_supervisor_that_a_supervised_one_starts_is_not_taken_for_it(self):
        class Passes(Echo):
            def on_receive(self, message):
                message.tell("passed on")

        class Starts(AsyncActor):
            async def on_receive(self, message):
                await Passes.start().ask_async(message)

        async with ActorSystem("s") as system:
            fails = system.spawn(Fails, name="fails")
            await system.spawn(Starts).ask_async(fails)
            await system.wait_idle()
            (letter,) = system.dead_letters
            assert letter.sender is None


class Fails(AsyncActor):
    def on_receive(self, message):
        raise ValueError(message)
