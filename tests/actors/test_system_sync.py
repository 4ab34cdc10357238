"""A system in a plain ``with``, on a loop thread of its own: what becomes of the thread, and of who leaves."""

import asyncio
import re
import signal
import sys
import threading
from contextlib import suppress

import pytest

from pygents.actors import ActorDeadError, AsyncActor, Supervision
from pygents.actors.child_spec import Order
from pygents.actors.loops import LoopThread
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from tests.actors.helpers import PATIENCE, Echo, cell_of, hang, in_thread, until


def threads_of(name):
    return [thread for thread in threading.enumerate() if thread.name == f"pygents-system-{name}"]


class Breaks(AsyncActor):
    """Has a task, or a callback, end the loop that it runs on."""

    async def on_receive(self, message):
        async def end():
            raise SystemExit(3)

        def end_at_once():
            raise SystemExit(3)

        if message == "task":
            self.task = asyncio.create_task(end())
            self.task.add_done_callback(asyncio.Task.exception)  # it is looked at
        else:
            asyncio.get_running_loop().call_soon(end_at_once)
        await hang()


class TestALoopThatHasEnded:
    @pytest.mark.parametrize("how", ["task", "callback"])
    def test_is_a_failure_when_the_system_is_left(self, how):
        with pytest.raises(SystemFailedError) as caught, ActorSystem("s") as system:  # noqa: PT012 (at the end)
            system.spawn(Breaks).tell(how)
            for thread in threads_of("s"):
                thread.join(PATIENCE)
            assert threads_of("s") == []
        assert isinstance(caught.value.__cause__, SystemExit)
        assert system.closed
        assert asyncio.run(system.shutdown()).cut == ()

    def test_goes_with_what_the_body_raises_because_of_it(self):
        with pytest.raises(ExceptionGroup) as caught, ActorSystem("s") as system:
            system.spawn(Breaks).ask("task")
        assert [type(error) for error in caught.value.exceptions] == [SystemFailedError, ActorDeadError]

    def test_keeps_nobody_waiting_who_leaves_while_it_ends(self):
        with pytest.raises(SystemFailedError), ActorSystem("s") as system:
            asked = system.spawn(Breaks).ask("callback", block=False)
        with pytest.raises(ActorDeadError):
            asked.get(timeout=PATIENCE)
        assert threads_of("s") == []


def test_entering_twice_starts_no_further_thread():
    with ActorSystem("s") as system:
        with pytest.raises(RuntimeError, match="once"):
            system.__enter__()
        assert len(threads_of("s")) == 1
        assert system.spawn(Echo).ask(1) == 1
    assert threads_of("s") == []


async def interrupt(system):
    """Interrupt the thread that leaves a system, and wait until it has seen that, and waits again."""

    def waits():
        return sum(task.get_coro().__name__ == "_leave" for task in asyncio.all_tasks())

    await until(lambda: system.closed and waits())
    before = waits()
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    await until(lambda: waits() > before)


class Interrupts(AsyncActor):
    """Interrupts the end of its system so many times while it handles a message, or while it stops."""

    def __init__(self, system, times, seen):
        super().__init__()
        self.system, self.times, self.seen = system, times, seen

    async def on_receive(self, message):
        try:
            for _ in range(self.times):
                await interrupt(self.system)
            await until(lambda: cell_of(self.actor_ref).course.order is Order.STOP)  # the draining is over
            self.seen.append(f"finished {message}")
        except asyncio.CancelledError:
            self.seen.append(f"cancelled {message}")
            raise

    async def on_stop(self):
        if self.times == 0:
            await interrupt(self.system)
        self.seen.append("stopped")


class TestAnInterruptWhileItIsLeft:
    @pytest.mark.parametrize(
        ("times", "expected"), [(1, ["finished 1", "stopped"]), (2, ["cancelled 1"])], ids=["one", "two"]
    )
    def test_ends_the_draining_and_lets_the_message_in_hand_finish_and_a_second_one_kills(self, times, expected):
        seen = []
        with pytest.raises(KeyboardInterrupt), ActorSystem("s") as system:  # noqa: PT012 (at its end)
            ref = system.spawn(Interrupts, system, times, seen, name="a", shutdown=PATIENCE)
            ref.tell(1)
            ref.tell(2)
        assert seen == expected
        assert threads_of("s") == []

    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # it came before that was begun
    def test_may_come_at_any_line_of_the_wait(self, monkeypatch):
        def run(thread, work):
            sys.settrace(trace)
            try:
                original(thread, work)
            finally:
                sys.settrace(None)

        def trace(frame, event, _):
            if not re.search("loops.py|threading.py|asyncio|concurrent", frame.f_code.co_filename):
                return None  # such as what is collected there
            if lines and event == "line" and lines.pop() == "last":
                raise KeyboardInterrupt
            return trace

        def leave():
            with ActorSystem("s") as system:
                system.spawn(Echo).tell(1)

        original, interrupted, lines = LoopThread.run, 0, []
        monkeypatch.setattr(LoopThread, "run", run)
        while not lines:
            lines[:] = ["last", *["other"] * interrupted]
            leaving = in_thread(leave)  # the tracing is that thread's
            with suppress(KeyboardInterrupt):
                leaving()
                break
            interrupted += 1
        assert interrupted > 10
        assert threads_of("s") == []

    def test_comes_out_at_once_if_it_is_the_third_one(self, monkeypatch):
        def run(thread, work):
            work.close()
            interrupts.append(KeyboardInterrupt())
            raise interrupts[-1]

        interrupts = []
        monkeypatch.setattr(LoopThread, "run", run)
        with pytest.raises(KeyboardInterrupt) as caught, ActorSystem("s") as system:
            system.spawn(Echo)
        assert len(interrupts) == 3
        assert caught.value is interrupts[-1]
        assert threads_of("s") == []

    def test_goes_before_the_failure_of_the_system(self, caplog):
        seen = []
        policy = Supervision(max_restarts=0)
        with pytest.raises(KeyboardInterrupt), ActorSystem("s", supervision=policy) as system:  # noqa: PT012
            system.spawn(Interrupts, system, 0, seen)
            system.spawn(Echo).tell(ValueError())
        assert seen == ["stopped"]
        assert "the actor system 's' has failed" in caplog.text
        assert threads_of("s") == []
