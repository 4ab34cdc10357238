"""A cancellation that a handler outlives is over with it: the actor goes on, and no later code of its own is cut."""

import asyncio
from asyncio import CancelledError
from contextlib import suppress

import pytest

from pygents.actors import ActorDeadError, AsyncActor, DeadLetterReason, Directive, Supervision
from pygents.actors.system import ActorSystem
from tests.actors.helpers import hang, in_thread, messages_of, until


async def group_whose_child_fails():
    """Leave a cancellation behind, as a `TaskGroup` does until Python 3.13."""

    async def fail():
        await asyncio.sleep(0)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
    except* ValueError:
        pass


async def cancel_oneself():
    asyncio.current_task().cancel()


async def cancel_oneself_and_swallow_it():
    asyncio.current_task().cancel()
    with suppress(CancelledError):
        await hang()


async def cancel_oneself_and_take_it_back():
    asyncio.current_task().cancel()
    asyncio.current_task().uncancel()


async def cancel_oneself_several_times():
    for _ in range(3):
        asyncio.current_task().cancel()


WAYS = [
    group_whose_child_fails,
    cancel_oneself,
    cancel_oneself_and_swallow_it,
    cancel_oneself_and_take_it_back,
    cancel_oneself_several_times,
]

ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@pytest.fixture(params=["loop", "eager loop"])
def run(request):
    """Run a coroutine on a loop of the kind; with eager tasks a child's failure cuts its group before it suspends."""

    def run(main):
        with asyncio.Runner() as runner:
            if request.param == "eager loop":
                runner.get_loop().set_task_factory(asyncio.eager_task_factory)
            return runner.run(main)

    return run


class Outlives(AsyncActor):
    """Handles a coroutine function by awaiting it, and suspends in all that it does after that."""

    def __init__(self, log, start=None, error=None):
        super().__init__()
        self._log, self._start, self._error = log, start, error

    async def on_start(self):
        if self._start is not None:
            await self._start()
            if self._error is not None:
                raise self._error

    async def on_receive(self, message):
        if callable(message):
            await message()
            if self._error is not None:
                raise self._error
        await asyncio.sleep(0)
        self._log.append(message)
        return message

    async def on_stop(self):
        await asyncio.sleep(0)
        self._log.append("stop")

    async def on_failure(self, exception_type, exception_value, traceback):
        await asyncio.sleep(0)
        self._log.append(exception_value)


@ways
class TestOutlived:
    def test_in_a_message_that_was_asked_leaves_the_next_one_alone(self, run, way):
        async def calm():
            await way()
            return way

        class Answers(Outlives):
            def on_receive(self, message):
                return calm() if message is way else super().on_receive(message)

        async def main():
            ref = Answers.start([])
            replies = [ref.ask(message, block=False) for message in [way, "next", way, "last"]]
            assert [await reply.get_async(timeout=5) for reply in replies] == [way, "next", way, "last"]
            assert ref.is_alive()

        run(main())

    def test_in_a_message_that_was_told_leaves_the_next_one_alone(self, run, way):
        async def main():
            async def only():
                await way()
                log.append("outlived")
                raise LookupError

            ref = Outlives.start(log)
            asked = ref.ask(only, block=False)
            ref.tell("next")
            with pytest.raises(LookupError):
                await asked.get_async(timeout=5)
            assert await ref.ask_async("last", timeout=5) == "last"

        log = []
        run(main())
        assert log == ["outlived", "next", "last", "stop"]

    def test_in_a_message_that_fails_does_not_cut_on_failure(self, run, way, caplog):
        async def main():
            ref = Outlives.start(log, error=error)
            ref.tell(way)
            behind = ref.ask("behind", block=False)
            with pytest.raises(ActorDeadError):
                await behind.get_async(timeout=5)

        log, error = [], LookupError("gone")
        run(main())
        assert log == [error]
        assert messages_of(caplog, "on_failure") == []

    def test_at_the_start_leaves_the_first_message_alone(self, run, way):
        async def main():
            ref = Outlives.start([], way)
            assert await ref.ask_async("first", timeout=5) == "first"

        run(main())

    def test_at_a_start_that_fails_does_not_cut_on_failure(self, run, way):
        async def main():
            ref = Outlives.start(log, way, error)
            await until(lambda: log)
            assert not ref.is_alive()

        log, error = [], LookupError("gone")
        run(main())
        assert log == [error]

    @pytest.mark.parametrize("directive", [Directive.RESUME, Directive.RETRY, Directive.RESTART], ids=str)
    def test_in_a_message_that_fails_in_a_system_leaves_its_actor_to_the_directive(self, run, way, directive):
        async def main():
            async with ActorSystem("s", supervision=Supervision(decide=lambda _: directive)) as system:
                ref = system.spawn(Outlives, log, error=LookupError("gone"))
                ref.tell(way)
                assert await ref.ask_async("next", timeout=5) == "next"
                (letter,) = system.dead_letters
                wanted = DeadLetterReason.POISON if directive is Directive.RETRY else DeadLetterReason.FAILED
                assert letter.reason is wanted
                assert "stop" not in log

        log = []
        run(main())


async def test_a_plain_handler_that_cancels_its_own_task_leaves_the_next_message_alone():
    class Cancels(AsyncActor):
        def on_receive(self, message):
            if message == "cancel":
                asyncio.current_task().cancel()
                return message
            return asyncio.sleep(0, message)

    ref = Cancels.start()
    replies = [ref.ask(message, block=False) for message in ["cancel", "next"]]
    assert [await reply.get_async(timeout=5) for reply in replies] == ["cancel", "next"]
    assert ref.is_alive()


def test_one_that_the_end_of_the_loop_sends_after_it_ends_the_actor():
    """While the actor takes back a cancellation of its own, the loop begins to end."""

    async def main():
        ref = Outlives.start(log)
        reply = ref.ask(cancelling.wait, block=False)
        ref.tell("behind")
        await until(lambda: not asyncio.get_running_loop()._ready)
        return ref, reply

    class Cancelling:
        async def wait(self):
            try:
                await hang()
            except CancelledError:
                asyncio.current_task().cancel()

    log, cancelling = [], Cancelling()
    ref, reply = in_thread(lambda: asyncio.run(main()))()
    assert log[-1] == "stop"
    assert "behind" not in log
    assert not ref.is_alive()
    assert reply.done
