"""An actor ends for everyone although the runtime itself fails, or what a user's code does on the way."""

import asyncio
import gc
import logging
import re
from contextlib import suppress
from pathlib import Path

import pytest
from pykka import ActorRegistry

import pygents
from pygents.actors import (
    ActorDeadError,
    ActorFailedError,
    AsyncActor,
    CallerDispatcher,
    DeadLetter,
    DeadLetterReason,
    DeadLetters,
    Ended,
    Mailbox,
    Supervision,
)
from pygents.actors.system import ActorSystem
from tests.actors.helpers import Echo, Life, cell_of, messages_of, until, until_idle


class BrokenMailbox(Mailbox):
    """Fails when the second message is taken."""

    __slots__ = ("taken",)

    def take(self):
        self.taken = getattr(self, "taken", 0) + 1
        if self.taken == 2:
            raise MemoryError
        return super().take()


async def test_a_fault_of_the_machinery_itself_ends_the_actor_and_everyone_is_answered(caplog):
    class Fragile(Life):
        @staticmethod
        def _create_actor_inbox():
            return BrokenMailbox()

    ref, other = Fragile.start([]), Echo.start()
    replies = [ref.ask(number, block=False) for number in range(3)]
    assert await replies[0].get_async(timeout=5) == 0
    for reply in replies[1:]:
        with pytest.raises(ActorDeadError):
            await reply.get_async(timeout=5)
    assert not ref.is_alive()
    assert await other.ask_async("alive") == "alive"
    assert messages_of(caplog, "machinery") == [f"{ref} ends: its own machinery failed"]
    caplog.clear()


async def test_an_activation_that_cannot_be_made_ends_the_actor_and_everyone_is_answered(caplog, monkeypatch):
    def no_memory(*args, **kwargs):
        raise MemoryError

    log = []
    ref, other = Life.start(log), Echo.start()
    await ref.ask_async("before")
    await until_idle(ref)
    with monkeypatch.context() as patch:
        patch.setattr("pygents.actors.cell.Task", no_memory)
        reply = ref.ask("asked", block=False)
        ref.tell("told")
        with pytest.raises(ActorDeadError):
            await reply.get_async(timeout=5)
    assert not ref.is_alive()
    assert ref not in ActorRegistry.get_all()
    assert log == ["start", "before"]
    assert await other.ask_async("alive") == "alive"
    assert messages_of(caplog, "machinery") == [f"{ref} ends: its own machinery failed"]
    caplog.clear()


async def test_an_activation_that_comes_once_too_often_does_nothing():
    log = []
    ref = Life.start(log)
    opened = asyncio.Event()
    reply = ref.ask(opened.wait, block=False)
    await until(lambda: opened.wait in log)
    cell_of(ref).activate()
    await until(lambda: not asyncio.get_running_loop()._ready)
    opened.set()
    assert await reply is True
    await until_idle(ref)
    cell_of(ref).activate()
    assert cell_of(ref).activation is None
    assert await ref.ask_async("next") == "next"


class Raises(logging.Handler):
    """A handler of a log that is broken."""

    def __init__(self, kind=RuntimeError):
        super().__init__()
        self._kind = kind

    def emit(self, record):
        raise self._kind(record.msg)


KINDS = [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit]


@pytest.fixture(params=KINDS)
def broken_log(request, monkeypatch):
    logger = logging.getLogger("pygents.actors")
    handler = Raises(request.param)
    monkeypatch.setattr(logger, "propagate", False)  # pytest's own handlers are not the ones that are tested
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.fixture(params=KINDS)
def broken_pykka_log(request, monkeypatch, caplog):
    """Have pykka's log raise where an actor ends: it logs there, as DEBUG, that it is unregistered."""
    logger = logging.getLogger("pykka")
    caplog.set_level("DEBUG", "pykka")
    monkeypatch.setattr(logger, "propagate", False)
    handler = Raises(request.param)
    handler.addFilter(lambda record: record.getMessage().startswith("Unregistered"))
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("broken_pykka_log")
class TestWhenPykkaCannotLog:
    @pytest.mark.parametrize("message", ["fine", KeyError("gone")], ids=["stop", "failure"])
    async def test_whoever_waits_for_an_actor_that_ends_is_answered(self, message):
        log = []
        ref = Life.start(log)
        ref.tell(message)
        stopped = ref.stop(block=False)
        assert await stopped.get_async(timeout=5) is True
        assert log[-1] == ("stop" if message == "fine" else ("failure", message))
        assert ActorRegistry.get_all() == []

    def test_whoever_stops_an_actor_that_nobody_drains_is_answered(self):
        class Undrained(Life):
            dispatcher = CallerDispatcher

        log = []
        ref = Undrained.start(log)
        asked = ref.ask("asked", block=False)
        assert ref.stop() is True
        with pytest.raises(ActorDeadError):
            asked.get(timeout=0)
        assert log == ["stop"]


class Nameless(Life):
    """Has a text that raises from the moment that it runs."""

    def __str__(self):
        if self._log:
            raise LookupError("no name")
        return "starting"


class Unspeakable(BaseException):
    """Has a ``repr`` that raises."""

    def __init__(self, kind=LookupError):
        super().__init__()
        self._kind = kind

    def __repr__(self):
        raise self._kind("no text")


class TestWhenNothingCanBeLogged:
    @pytest.mark.parametrize("message", [KeyError("gone"), Unspeakable()], ids=["error", "unspeakable"])
    @pytest.mark.parametrize("verb", ["tell", "ask"])
    async def test_whoever_waits_for_a_failing_actor_is_answered(self, broken_log, verb, message):
        log = []
        ref = Nameless.start(log)
        first = ref.tell(message) if verb == "tell" else ref.ask(message, block=False)
        behind, stop = ref.ask("behind", block=False), ref.stop(block=False)
        if first is not None:
            with pytest.raises((KeyError, ActorFailedError)):
                await first.get_async(timeout=5)
            assert await behind.get_async(timeout=5) == "behind"
        else:
            with pytest.raises(ActorDeadError):
                await behind.get_async(timeout=5)
        assert await stop.get_async(timeout=5) is True
        assert ActorRegistry.get_all() == []
        assert log[-1] == ("stop" if first is not None else ("failure", message))

    async def test_a_fault_of_the_machinery_ends_the_actor_for_everyone(self, broken_log, caplog):
        class Fragile(Nameless):
            @staticmethod
            def _create_actor_inbox():
                return BrokenMailbox()

        ref = Fragile.start([])
        replies = [ref.ask(number, block=False) for number in range(2)]
        assert await replies[0].get_async(timeout=5) == 0
        with pytest.raises(ActorDeadError):
            await replies[1].get_async(timeout=5)
        assert ActorRegistry.get_all() == []
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        gc.collect()
        caplog.clear()

    def test_what_was_not_handled_is_let_go(self, broken_log):
        class Undrained(Nameless):
            dispatcher = CallerDispatcher

        ref = Undrained.start([])
        ref.tell(Unspeakable())
        assert ref.stop() is True
        assert ref.actor_inbox.contents() == (None, [])


@pytest.mark.parametrize("kind", KINDS)
class TestATextThatRaises:
    async def test_of_a_message_that_was_not_handled_is_logged_as_such(self, kind, caplog):
        ref, other = Echo.start(), Echo.start()
        stopped = ref.stop(block=False)
        ref.tell(Unspeakable(kind))
        assert await stopped.get_async(timeout=5) is True
        assert await other.ask_async("alive") == "alive"
        shown = f"<Unspeakable whose repr raises {kind.__name__}>"
        assert messages_of(caplog, "without handling") == [
            f"{ref} ended without handling 1 of its messages, the oldest: {shown}"
        ]

    async def test_of_a_failure_does_not_keep_the_asker_from_its_answer(self, kind):
        ref = Echo.start()
        with pytest.raises(ActorFailedError, match=f"repr raises {kind.__name__}"):
            await ref.ask_async(Unspeakable(kind), timeout=5)
        assert await ref.ask_async("next") == "next"


def test_a_fault_in_ending_one_actor_does_not_keep_older_ones_from_being_stopped(caplog):
    async def main():
        Life.start(log)
        younger = Echo.start()
        await younger.ask_async(1)
        cell_of(younger).dispatcher.add(fails)
        return younger

    async def fails():
        raise MemoryError

    log = []
    ref = asyncio.run(main())
    assert log == ["start", "stop"]
    assert not ref.is_alive()
    assert messages_of(caplog, "could not be ended") == ["an actor could not be ended with its loop:"]
    caplog.clear()


class Ignores(AsyncActor):
    """Ignores its cancellation until it is released."""

    def __init__(self, released):
        super().__init__()
        self._released = released

    async def on_receive(self, message):
        while not self._released.is_set():
            with suppress(asyncio.CancelledError):
                await self._released.wait()


def decides_nothing(failure):
    raise LookupError(failure)


@pytest.mark.usefixtures("broken_log")
class TestASystemThatCannotLog:
    @pytest.mark.parametrize("decide", [decides_nothing, lambda _: "odd"], ids=["raises", "odd"])
    @pytest.mark.parametrize("message", [KeyError("gone"), Unspeakable()], ids=["error", "unspeakable"])
    async def test_restarts_a_failed_actor_whatever_decide_does(self, decide, message):
        async with ActorSystem("s", supervision=Supervision(decide=decide)) as system:
            ref = system.spawn(Echo)
            ref.tell(message)
            assert await ref.ask_async("next") == "next"
            assert "1 restart" in system.tree()

    async def test_abandons_a_handler(self):
        released = asyncio.Event()
        async with ActorSystem("s") as system:
            ref = system.spawn(Ignores, released, name="a", shutdown=1)
            asked = ref.ask("now", block=False)
            await asyncio.sleep(1)
            ref.kill()
            with pytest.raises(ActorDeadError):
                await asked
            assert await ref.wait_stopped() is Ended.KILLED
            released.set()
            assert (await system.shutdown()).abandoned == ("a",)

    async def test_ends_when_its_work_is_not_done_in_time(self):
        released = asyncio.Event()
        async with ActorSystem("s") as system:
            system.spawn(Ignores, released, shutdown=1).tell("now")
            await asyncio.sleep(1)
            report = await system.shutdown(timeout=1)
            assert len(report.cut) == 1
            released.set()

    async def test_reports_a_fault_of_its_own(self):
        async def fail():
            raise MemoryError

        async with ActorSystem("s") as system:
            with pytest.raises(MemoryError):
                await system.submit(fail)
            assert await system.spawn(Echo).ask_async("alive") == "alive"

    def test_keeps_the_last_dead_letters(self):
        letters = DeadLetters(1, lambda path, message: None)
        for message in ("first", Unspeakable(), "last"):
            letters.record(
                DeadLetter(message=message, recipient="a", sender=None, reason=DeadLetterReason.FAILED, at=0.0)
            )
        assert ([letter.message for letter in letters], letters.dropped) == (["last"], 2)


def test_nothing_is_logged_but_by_what_bears_a_broken_log():
    """So that no part of a clean-up, and no timer or task of ours, ends halfway because of a handler of the log."""
    direct = re.compile(r"\blogger\.(debug|info|warning|error|exception|critical|log)\(")
    sources = Path(pygents.__file__).parent.rglob("*.py")
    assert [source.name for source in sources if direct.search(source.read_text())] == []
