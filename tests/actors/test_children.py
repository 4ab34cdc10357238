"""Children of an actor's own, the time that a child has to start and to stop, and who is told of its end."""

import asyncio

import pytest

from pygents.actors import ActorDeadError
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.supervision import Supervision
from pygents.actors.system import ActorSystem
from pygents.actors.watch import Ended, Terminated
from tests.actors.helpers import Worker, boom, hang


class TestChildren:
    async def test_children_stop_before_their_parent_and_when_it_restarts(self):
        log = []

        class Parent(Worker):
            def on_start(self):
                super().on_start()
                self.spawn(Worker, log, f"{self._name}.child", name="child")

        async with ActorSystem("s") as system:
            ref = system.spawn(Parent, log, "p", name="p")
            await system.wait_idle()
            child = system.whereis("p/child")
            assert await child.ask_async("hello") == (1, "hello")
            log.clear()
            ref.tell(boom())
            await system.wait_idle()
            assert not child.is_alive()
            assert system.whereis("p/child").is_alive()
            assert [line for line in log if isinstance(line, str)] == [
                "stop p.child",
                "failure p",
                "restart p ValueError('boom')",
                "start p",
                "start p.child",
            ]
            log.clear()
        assert log == ["stop p.child", "stop p"]

    async def test_a_parent_fails_with_its_children(self):
        class Parent(Worker):
            supervision = Supervision(max_restarts=0)

            def on_start(self):
                super().on_start()
                self.spawn(Worker, log, "child", name="child")

        log = []
        async with ActorSystem("s") as system:
            system.spawn(Parent, log, "p", name="p")
            await system.wait_idle()
            system.whereis("p/child").tell(boom())
            await system.wait_idle()
            assert any(isinstance(line, str) and line.startswith("restart p TooManyRestarts") for line in log)
            assert system.whereis("p/child").is_alive()


class TestTime:
    async def test_a_start_that_takes_too_long_is_a_failure(self):
        class Slow(Worker):
            async def on_start(self):
                self._log.append("start")
                if self._log.count("start") == 1:
                    await hang()

        log = []
        async with ActorSystem("s") as system:
            ref = system.spawn(Slow, log, "a", start_timeout=3.0)
            assert await ref.ask_async(1) == (1, 1)
            assert asyncio.get_running_loop().time() == pytest.approx(3)
            assert "failure a" in log

    async def test_a_stop_that_takes_too_long_is_cut(self):
        class Slow(Worker):
            async def on_stop(self):
                await hang()

        async with ActorSystem("s") as system:
            system.spawn(Slow, [], "a", shutdown=2.0)
        assert asyncio.get_running_loop().time() == pytest.approx(2)

    async def test_a_message_that_takes_too_long_at_shutdown_is_cut_and_reported(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Worker, [], "a", name="a", shutdown=2.0)
            asked = ref.ask(hang, block=False)
            ref.tell("behind")
            await asyncio.sleep(0)
            report = await system.shutdown(drain=False)
        assert {(letter.message, letter.reason) for letter in report.cut} == {
            (hang, DeadLetterReason.CUT),
            ("behind", DeadLetterReason.STOPPED),
        }
        with pytest.raises(ActorDeadError):
            asked.get(timeout=0)


class TestWatch:
    async def test_a_watcher_is_told_once(self):
        log = []
        async with ActorSystem("s") as system:
            watcher, other = system.spawn(Worker, log, "w"), system.spawn(Worker, log, "o")
            await watcher.watch(other)
            await watcher.watch(other)
            other.tell(boom())
            await system.wait_idle()
            assert not [line for line in log if isinstance(line, tuple) and isinstance(line[1], Terminated)]
            other.kill()
            await other.wait_stopped()
            await watcher.watch(other)
            await system.wait_idle()
            told = [line[1] for line in log if isinstance(line, tuple) and isinstance(line[1], Terminated)]
            assert told[0] == Terminated(other, Ended.KILLED)
            assert len(told) == 2
            assert system.statistics().accepted == 1
