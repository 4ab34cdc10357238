"""A system in a plain ``with``, on a loop thread of its own: what becomes of the thread, and of who leaves."""

import asyncio
import threading

import pytest

from pygents.actors import ActorDeadError, AsyncActor
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from tests.actors.helpers import PATIENCE, Echo, hang


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
