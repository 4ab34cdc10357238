"""How a system ends: how long it drains, who may hasten that, and what its report says."""

import asyncio
import signal

import pytest

from pygents.actors import AsyncActor
from pygents.actors.system import ActorSystem
from tests.actors.helpers import Worker, hang, until


class Forever(AsyncActor):
    """Sends itself a message every seven seconds."""

    async def on_receive(self, message):
        await asyncio.sleep(7)
        self.actor_ref.tell(message)


def now():
    return asyncio.get_running_loop().time()


async def leave(system):
    async with system:
        system.spawn(Forever, name="forever", shutdown=0.1).tell("again")


class TestDraining:
    async def test_ends_when_whoever_leaves_is_cancelled_before_it_has_begun(self):
        async def body():
            async with ActorSystem("s") as system:
                system.spawn(Worker, [], "a", shutdown=1.0).tell(hang)
                asyncio.get_running_loop().call_soon(task.cancel)

        task = asyncio.ensure_future(body())
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 100)
        assert now() == pytest.approx(1)

    @pytest.mark.parametrize(
        ("options", "ends"), [({"drain": False}, 10.1), ({"timeout": 5}, 15.1), ({"timeout": 500}, 100.1)]
    )
    async def test_is_hastened_by_whoever_shuts_down_again_and_never_delayed(self, options, ends):
        system = ActorSystem("s", shutdown_timeout=100)
        leaving = asyncio.ensure_future(leave(system))
        await asyncio.sleep(10)
        report = await system.shutdown(**options)
        await leaving
        assert now() == pytest.approx(ends)
        assert len(report.cut) == 1
        assert await system.shutdown() is report

    async def test_is_limited_when_it_is_asked_for_twice_before_it_has_begun(self):
        async with ActorSystem("s") as system:
            system.spawn(Forever, name="forever", shutdown=0.1).tell("again")
            await asyncio.sleep(0.5)
            first, second = await asyncio.gather(system.shutdown(), system.shutdown(timeout=3))
            assert first is second
            assert now() == pytest.approx(3.6)


class TestItsReport:
    async def test_has_what_is_cut_while_it_drains(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Worker, [], "a")
            ref.tell(hang)
            ref.tell("behind")
            shutting = asyncio.ensure_future(system.shutdown())
            await until(lambda: len(ref.actor_inbox) == 1)
            ref.kill()
            report = await shutting
        assert sorted(letter.reason.value for letter in report.cut) == ["cut", "stopped"]
        assert set(report.cut) == set(system.dead_letters)


class TestSubscriptions:
    @pytest.mark.parametrize(
        "subscribe", [ActorSystem.events, lambda system: system.dead_letters.subscribe()], ids=["events", "letters"]
    )
    async def test_end_with_the_system_and_at_once_if_they_come_later(self, subscribe):
        async with ActorSystem("s") as system:
            earlier = subscribe(system)
            system.spawn(Worker, [], "a", shutdown=1.0).tell(hang)
            await system.shutdown(drain=False)
        async with asyncio.timeout(1):
            assert len([one async for one in earlier]) > 0
            assert [one async for one in subscribe(system)] == []


class TestServing:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_leaves_the_former_signal_handlers_as_they_were(self, number):
        def former(_number, _frame):
            raise AssertionError

        before = signal.signal(number, former)
        try:
            async with ActorSystem("s") as system:
                asyncio.get_running_loop().call_later(1, signal.raise_signal, number)
                await system.serve()
            assert signal.getsignal(number) is former
        finally:
            signal.signal(number, before)

    async def test_ends_when_something_else_shuts_the_system_down(self):
        class Quits(AsyncActor):
            def on_receive(self, message):
                self.quitting = asyncio.create_task(system.shutdown(drain=False))

        async with ActorSystem("s") as system:
            ref = system.spawn(Quits)
            for _ in range(2):
                ref.tell("quit")
            report = await asyncio.wait_for(system.serve(), 10)
            assert report is await system.shutdown()
            assert await system.serve() is report

    async def test_several_systems_get_each_signal_and_the_last_one_puts_the_handlers_back(self):
        def former(_number, _frame):
            raise AssertionError

        before = signal.signal(signal.SIGTERM, former)
        try:
            async with ActorSystem("one") as one, ActorSystem("other") as other:
                serving = [asyncio.ensure_future(system.serve()) for system in (one, other)]
                await asyncio.sleep(1)
                await one.shutdown()
                await serving[0]
                assert signal.getsignal(signal.SIGTERM) is not former
                signal.raise_signal(signal.SIGTERM)
                await serving[1]
            assert signal.getsignal(signal.SIGTERM) is former
        finally:
            signal.signal(signal.SIGTERM, before)

    async def test_is_for_the_main_thread(self):
        async with ActorSystem("s") as system:
            with pytest.raises(RuntimeError, match="main thread"):
                await asyncio.to_thread(asyncio.run, system.serve())
