"""The fault grid: raises, is cancelled, hangs; at the start, in a handler, at the stop. Nobody else suffers."""

import asyncio
from asyncio import CancelledError

import pytest
from pykka import ActorRegistry, ThreadingActor

from pygents.actors import ActorDeadError, ActorFailedError, AsyncActor, LoopDispatcher
from tests.actors.helpers import Echo, Life, cell_of, hang, in_thread, messages_of, until, until_idle

FAULTS = [KeyError("gone"), CancelledError("leaked"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()]

faults = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
modes = pytest.mark.parametrize("suspends", [False, True], ids=["plain", "async"])


class Faulty(Life):
    """Raises `fault` in the methods named in `where`: after a suspension, or being plain functions."""

    def __init__(self, log, where, fault, *, suspends):
        super().__init__(log)
        self._where, self._fault, self._suspends = where, fault, suspends

    def _maybe(self, place):
        self._log.append(place)
        return self._suspended(place) if self._suspends else self._raise(place)

    async def _suspended(self, place):
        await asyncio.sleep(0)
        return self._raise(place)

    def _raise(self, place):
        if place in self._where:
            raise self._fault
        return place

    def on_start(self):
        return self._maybe("start")

    def on_receive(self, message):
        return self._maybe(message)

    def on_stop(self):
        return self._maybe("stop")

    def on_failure(self, exception_type, exception_value, traceback):
        assert exception_type is type(exception_value)
        assert traceback is exception_value.__traceback__
        self._log.append(exception_value)
        return self._maybe("failure")


@pytest.fixture
def bystanders():
    """Actors of ours and of pykka's that must survive whatever happens."""

    class Plain(ThreadingActor):
        def on_receive(self, message):
            return message

    background, plain = in_thread(Echo.start)(), Plain.start()
    yield
    assert [background.ask("alive"), plain.ask("alive")] == ["alive"] * 2


@faults
@modes
@pytest.mark.usefixtures("bystanders")
class TestRaises:
    async def test_at_the_start(self, fault, suspends, caplog):
        log = []
        ref = Faulty.start(log, ["start"], fault, suspends=suspends)
        ref.tell("told")
        asked = ref.ask("asked", block=False)
        with pytest.raises(ActorDeadError):
            await asked.get_async(timeout=5)
        assert log == ["start", fault, "failure"], "on_failure, and neither on_stop nor a message"
        assert not ref.is_alive()
        assert ref not in ActorRegistry.get_all()
        assert f"{ref} ended without handling 1 of its messages, the oldest: 'told'" in caplog.messages

    async def test_in_a_message_that_was_told(self, fault, suspends, caplog):
        log = []
        ref = Faulty.start(log, ["told"], fault, suspends=suspends)
        first = ref.ask("before", block=False)
        for message in ["told", "lost", "lost too"]:
            ref.tell(message)
        asked = ref.ask("asked", block=False)
        assert await first.get_async(timeout=5) == "before"
        with pytest.raises(ActorDeadError):
            await asked.get_async(timeout=5)
        assert log == ["start", "before", "told", fault, "failure"]
        assert not ref.is_alive()
        assert f"{ref} ended without handling 2 of its messages, the oldest: 'lost'" in caplog.messages
        [failure] = [record for record in caplog.records if "Unhandled exception" in record.getMessage()]
        assert failure.exc_info[1] is fault

    async def test_in_a_message_that_was_asked(self, fault, suspends):
        log = []
        ref = Faulty.start(log, ["asked"], fault, suspends=suspends)
        with pytest.raises((type(fault), ActorFailedError)) as caught:
            await ref.ask_async("asked", timeout=5)
        if isinstance(fault, Exception):
            assert caught.value is fault
        else:
            assert isinstance(caught.value, ActorFailedError), "bare, it would act on the asker's loop"
            assert caught.value.__cause__ is fault
            assert (caught.value.actor, caught.value.failure) == (str(ref), repr(fault))
        assert await ref.ask_async("next", timeout=5) == "next", "the actor lives"
        assert log == ["start", "asked", "next"]

    async def test_at_the_stop(self, fault, suspends, caplog):
        log = []
        ref = Faulty.start(log, ["stop"], fault, suspends=suspends)
        stopped = ref.stop(block=False)
        asked = ref.ask("behind", block=False)
        assert await stopped.get_async(timeout=5) is True
        with pytest.raises(ActorDeadError):
            await asked.get_async(timeout=5)
        assert log == ["start", "stop"]
        assert messages_of(caplog, "on_stop") == [f"Exception in on_stop of {ref}:"]

    async def test_in_on_failure(self, fault, suspends, caplog):
        log = []
        ref = Faulty.start(log, ["told", "failure"], fault, suspends=suspends)
        ref.tell("told")
        asked = ref.ask("behind", block=False)
        with pytest.raises(ActorDeadError):
            await asked.get_async(timeout=5)
        assert log == ["start", "told", fault, "failure"]
        assert messages_of(caplog, "on_failure") == [f"Exception in on_failure of {ref}:"]


class Stuck(Life):
    """Waits for ever in the method named in `where`; what is done about the cancellation is `reaction`'s business."""

    def __init__(self, log, where, reaction=None):
        super().__init__(log)
        self._where, self._reaction = where, reaction

    async def _maybe(self, place):
        self._log.append(place)
        if place != self._where:
            return place
        try:
            await hang()
        except CancelledError:
            self._log.append("cut")
            if self._reaction is None:
                raise
            return self._reaction()

    async def on_start(self):
        return await self._maybe("start")

    async def on_receive(self, message):
        return await self._maybe(message)

    async def on_stop(self):
        return await self._maybe("stop")

    async def on_failure(self, *args):
        self._log.append("failure")
        return await self._maybe("failing")


def swallow():
    return "swallowed"


def turn_into_another():
    raise KeyError("interrupted")


def run_until_stuck(where, messages=(), *, stop=False, reaction=None):
    """Run a loop that ends while the actor is stuck in `where`; return what it did, its ref and the replies."""
    log = []

    async def main():
        ref = Stuck.start(log, where, reaction)
        replies = [ref.ask(message, block=False) for message in messages]
        if stop:
            replies.append(ref.stop(block=False))
        await until(lambda: where in log)
        ref.tell("behind") if ref.is_alive() else None
        return ref, replies

    ref, replies = in_thread(lambda: asyncio.run(main()))()
    assert not ref.is_alive()
    assert ref not in ActorRegistry.get_all()
    return log, ref, replies


class TestHangsUntilTheLoopEnds:
    def test_at_the_start(self, caplog):
        log, ref, [reply] = run_until_stuck("start", ["asked"])
        assert log == ["start", "cut", "stop"]
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: 'behind'"
        ]

    def test_in_a_handler(self, caplog):
        log, ref, [first, second] = run_until_stuck("stuck", ["stuck", "next"])
        assert log == ["start", "stuck", "cut", "stop"]
        for reply in [first, second]:
            with pytest.raises(ActorDeadError, match="stopped before handling"):
                reply.get(timeout=0)
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: 'behind'"
        ]

    def test_at_the_stop(self, caplog):
        log, ref, [reply] = run_until_stuck("stop", stop=True)
        assert log == ["start", "stop", "cut"], "on_stop runs once, however it ends"
        assert reply.get(timeout=0) is True
        assert messages_of(caplog, "on_stop") == [f"Exception in on_stop of {ref}:"]

    def test_in_on_failure(self):
        class Fails(Stuck):
            async def on_receive(self, message):
                raise KeyError("gone")

        log = []

        async def main():
            ref = Fails.start(log, "failing")
            ref.tell("fail")
            await until(lambda: "failing" in log)
            return ref

        ref = in_thread(lambda: asyncio.run(main()))()
        assert log == ["start", "failure", "failing", "cut"], "on_failure, and then no on_stop"
        assert not ref.is_alive()

    def test_in_a_handler_that_swallows_the_cancellation(self):
        log, _, [first, second] = run_until_stuck("stuck", ["stuck", "stuck"], reaction=swallow)
        assert log == ["start", "stuck", "cut", "stop"]
        assert first.get(timeout=0) == "swallowed"
        with pytest.raises(ActorDeadError):
            second.get(timeout=0)

    def test_in_a_handler_that_turns_the_cancellation_into_another_error(self):
        log, _, [first, second] = run_until_stuck("stuck", ["stuck", "stuck"], reaction=turn_into_another)
        assert log == ["start", "stuck", "cut", "stop"]
        with pytest.raises(KeyError, match="interrupted"):
            first.get(timeout=0)
        with pytest.raises(ActorDeadError):
            second.get(timeout=0)

    def test_at_a_start_that_swallows_the_cancellation(self):
        log, _, [reply] = run_until_stuck("start", ["start"], reaction=swallow)
        assert log == ["start", "cut", "stop"], "no message is handled after the cancellation"
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)

    def test_a_message_told_that_was_cut_is_logged_as_not_handled(self, caplog):
        log = []

        async def main():
            ref = Stuck.start(log, "stuck")
            ref.tell("stuck")
            await until(lambda: "stuck" in log)
            return ref

        ref = asyncio.run(main())
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: 'stuck'"
        ]


class TestCancelledFromOutside:
    async def test_an_activation_that_is_cancelled_ends_its_actor_and_nobody_else(self):
        log = []
        ref, other = Stuck.start(log, "stuck"), Echo.start()
        reply = ref.ask("stuck", block=False)
        await until(lambda: "stuck" in log)
        cell_of(ref).activation.cancel()
        with pytest.raises(ActorDeadError):
            await reply
        assert log == ["start", "stuck", "cut", "stop"]
        assert await other.ask_async("alive") == "alive"

    async def test_an_activation_that_is_cancelled_in_the_last_message_of_its_turn_ends_its_actor_too(self):
        log = []
        ref = Stuck.start(log, "stuck")
        for _ in range(LoopDispatcher.throughput - 1):
            ref.tell("message")
        ref.tell("stuck")
        await until(lambda: "stuck" in log)
        cell_of(ref).activation.cancel()
        await until_idle(ref)
        assert not ref.is_alive()
        assert log[-2:] == ["cut", "stop"]

    async def test_a_tool_task_that_is_cancelled_is_only_the_messages_outcome(self):
        class RunsTools(AsyncActor):
            async def on_receive(self, message):
                task = asyncio.create_task(hang())
                asyncio.get_running_loop().call_soon(task.cancel)
                await task

        ref = RunsTools.start()
        for _ in range(2):
            with pytest.raises(ActorFailedError) as caught:
                await ref.ask_async("run")
            assert isinstance(caught.value.__cause__, CancelledError)
        assert ref.is_alive()
