"""Transitions of several children: none is undone by another below or above, and none ends in the midst of one."""

import asyncio

import pytest

from pygents.actors import Directive, Strategy, Supervision
from pygents.actors.system import ActorSystem
from tests.actors.helpers import Life, hang
from tests.actors.test_supervisor import Worker, boom


async def test_a_restart_of_a_group_below_does_not_take_back_that_one_above_holds_it():
    log = []
    everybody = Supervision(strategy=Strategy.ONE_FOR_ALL)
    async with ActorSystem("s", supervision=everybody) as system:
        team = system.supervisor("team", everybody)
        inner = team.spawn(Worker, log, "inner")
        outer = system.spawn(Worker, log, "outer")
        await system.wait_idle()
        inner.tell(ValueError("below"))
        outer.tell(ValueError("above"))
        await asyncio.sleep(0)
        inner.tell("message")
        await system.wait_idle()
        assert "restart inner ValueError('above')" in log
        assert log.index(("inner", "message")) > log.index("restart inner ValueError('above')")


@pytest.mark.parametrize("steps", range(12))
async def test_a_supervisor_that_fails_while_one_above_restarts_it_is_restarted_by_that_one_alone(steps):
    log = []
    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        outer = system.spawn(Worker, log, "outer")
        team = system.supervisor("team")
        inner = team.supervisor("inner", Supervision(max_restarts=0)).spawn(Worker, log, "inner")
        await system.wait_idle()
        inner.tell(ValueError("below"))
        inner.tell("message")
        for _ in range(steps):  # of the loop, until the other fails
            await asyncio.sleep(0)
        outer.tell(ValueError("above"))
        await system.wait_idle()
        restarted = [index for index, line in enumerate(log) if line == "restart inner ValueError('above')"]
        failed = next(index for index, line in enumerate(log) if isinstance(line, tuple) and line[0] == "outer")
        handled = log.index(("inner", "message"))
        assert not restarted or not failed < handled < restarted[0], "nothing is handled between the two"


async def test_a_supervisor_that_is_stopped_by_two_is_counted_once():
    system = ActorSystem("s")
    async with system:
        team = system.supervisor("team")
        team.spawn(Life, [], name="a").tell(lambda: asyncio.sleep(2))
        await asyncio.sleep(1)
        system.root.stop("team")  # takes a second, and meanwhile the system is shut down
        await asyncio.sleep(0.5)
        await system.shutdown(drain=False)
    assert system.statistics().accepted == 1


async def test_a_restarted_actor_counts_its_childrens_restarts_anew():
    class Parent(Worker):
        supervision = Supervision(max_restarts=1, within=1_000.0)

        def on_start(self):
            super().on_start()
            self.spawn(Worker, log, "child", name="child")

    log = []
    async with ActorSystem("s") as system:
        system.spawn(Parent, log, "p", name="p")
        await system.wait_idle()
        for _ in range(2):
            system.whereis("p/child").tell(boom())
            await system.wait_idle()
        assert log.count("start p") == 2, "the child has failed once too often"
        system.whereis("p/child").tell(boom())
        await system.wait_idle()
        assert log.count("start p") == 2, "once is not too often"


class SlowToStop(Worker):
    async def on_stop(self):
        super().on_stop()
        await hang()


async def test_an_actor_that_is_cut_and_then_slow_to_stop_is_restarted_once_and_handles_one_message_at_a_time():
    log, busy, runs = [], [], []

    async def slow():
        assert not busy, "two at once"
        busy.append(1)
        runs.append(1)
        try:
            await (hang() if len(runs) == 1 else asyncio.sleep(100))
        finally:
            busy.pop()

    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        first = system.spawn(Worker, log, "a", name="a", shutdown=1.0)
        second = system.spawn(SlowToStop, log, "b", name="b", shutdown=1.0)
        asked = second.ask(slow, block=False)
        second.tell(slow)
        await asyncio.sleep(1)
        first.tell(boom())
        await asked
        await system.wait_idle()
        assert log.count("start b") == 2
        assert system.statistics().handled == 2
        report = await system.shutdown()
    assert report.abandoned == ()


async def test_a_child_that_is_revived_while_it_still_retires_from_a_failed_start_starts_again():
    class Parent(Worker):
        async def on_start(self):
            starts.append(1)
            if len(starts) == 2:
                self.spawn(Worker, [], "child")  # which takes a moment to stop
                raise OSError

    starts = []
    policy = Supervision(strategy=Strategy.ONE_FOR_ALL, decide={KeyError: Directive.ESCALATE})
    async with ActorSystem("s") as system:
        ref = system.supervisor("team", policy).spawn(Parent, [], "p")
        ref.tell(KeyError())
        await system.wait_idle()
        assert len(starts) == 3
        assert await ref.ask_async("hello") == (1, "hello")
