"""Leaving a system leaves no thread of its actors behind, whenever these have ended."""

import asyncio
import threading

import pytest

from pygents.actors import AsyncActor, Supervision, SystemFailedError, ThreadDispatcher
from pygents.actors import loops as loops_module
from pygents.actors.system import ActorSystem
from pygents.testing import run
from tests.actors.helpers import PATIENCE


class OnThread(AsyncActor):
    dispatcher = ThreadDispatcher

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return threading.current_thread()


def left():
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("pygents-actor", "pygents-join"))
    ]


@pytest.fixture
def slow_threads(monkeypatch):
    """Have loop threads take a while for their last steps, so that one that is not waited for is seen."""
    go_on = threading.Event()
    ends = loops_module.LoopThread._run

    def lingering(self):
        ends(self)
        go_on.wait(0.02)

    monkeypatch.setattr(loops_module.LoopThread, "_run", lingering)


@pytest.mark.usefixtures("slow_threads")
class TestLeaving:
    @pytest.mark.parametrize("end", ["nothing", "kill", "stop", "shutdown", "fail"])
    @pytest.mark.parametrize("real", [True, False], ids=["real time", "virtual time"])
    def test_leaves_no_thread(self, end, real):
        async def main():
            async with ActorSystem("s", supervision=Supervision(max_restarts=0)) as system:
                refs = [system.spawn(OnThread) for _ in range(3)]
                for ref in refs:
                    await ref.ask_async("hello")
                if end == "kill":
                    refs[0].kill()
                elif end == "stop":
                    await refs[0].stop_async()
                elif end == "shutdown":
                    await system.shutdown(drain=False)
                    assert left() == []
                elif end == "fail":
                    refs[0].tell(ValueError())
                    await asyncio.Event().wait()

        async def all_of_it():
            if end == "fail":
                with pytest.raises(SystemFailedError):
                    await main()
            else:
                await main()
            return left()

        assert (asyncio.run(all_of_it()) if real else run(all_of_it(), patience=PATIENCE)) == []

    def test_leaves_none_of_a_system_of_plain_code(self):
        with ActorSystem("s") as system:
            thread = system.spawn(OnThread).ask("hello")
        assert not thread.is_alive()
        assert left() == []

    def test_leaves_the_threads_of_another_system_alone(self):
        async def main():
            async with ActorSystem("one") as one, ActorSystem("other") as other:
                mine = await one.spawn(OnThread).ask_async("hello")
                others = await other.spawn(OnThread).ask_async("hello")
                await one.shutdown()
                return mine.is_alive(), others.is_alive()

        assert asyncio.run(main()) == (False, True)


@pytest.mark.real_time
async def test_a_blocked_thread_is_not_waited_for():
    class Blocks(AsyncActor):
        dispatcher = ThreadDispatcher

        def on_receive(self, message):
            entered.set()
            let_go.wait(PATIENCE)

    entered, let_go = threading.Event(), threading.Event()
    try:
        async with ActorSystem("s") as system:
            ref = system.spawn(Blocks, name="blocks", shutdown=0.05)
            ref.tell("block")
            await asyncio.to_thread(entered.wait, PATIENCE)
            loop_thread = next(thread for thread in loops_module._threads if thread.thread.name.endswith("blocks"))
            report = await system.shutdown(drain=False)
            assert report.abandoned == ("blocks",)
            assert loop_thread.serves is None
    finally:
        let_go.set()


def test_threads_that_have_ended_do_not_pile_up():
    async def main():
        async with ActorSystem("s") as system:
            for number in range(20):
                ref = system.spawn(OnThread, name=f"n{number}")
                thread = await ref.ask_async("hello")
                await ref.stop_async()
                await asyncio.to_thread(thread.join, PATIENCE)
                assert len(loops_module._last_steps) <= 2

    asyncio.run(main())
