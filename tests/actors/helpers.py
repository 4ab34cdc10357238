"""What the tests of the runtime share: small actors, and waits that end as soon as the thing waited for is there."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from pykka import ActorRegistry

from pygents.actors import ActorDeadError, ActorRef, AsyncActor
from pygents.actors.cell import Cell

__all__ = [
    "PATIENCE",
    "Echo",
    "Gate",
    "Life",
    "Worker",
    "assert_dead_to_everyone",
    "boom",
    "cell_of",
    "hang",
    "in_thread",
    "messages_of",
    "until",
    "until_idle",
]

PATIENCE = 10.0
"""Seconds after which a wait for another thread is given up; no test that passes waits that long."""


async def hang() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until `condition` is true."""
    while not condition():  # noqa: ASYNC110 (a condition of any kind has no event)
        await asyncio.sleep(0)


async def until_idle(*refs: ActorRef) -> None:
    """Let the loop run until none of the actors has anything to do."""
    for ref in refs:
        await until(lambda inbox=ref.actor_inbox: inbox.closed or not inbox.claimed)


def in_thread[T](function: Callable[[], T]) -> Callable[[], T]:
    """Run `function` on a thread of its own; what is returned waits for it and gives or raises its outcome."""
    outcome: list[tuple[bool, object]] = []

    def run() -> None:
        try:
            outcome.append((True, function()))
        except BaseException as error:  # noqa: BLE001 (raised by whoever waits)
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> T:
        thread.join(PATIENCE)
        assert outcome, "the thread is still waiting"
        good, value = outcome[0]
        if not good:
            raise value
        return value

    return result


def cell_of(ref: ActorRef) -> Cell:
    """Return what runs the actor, for a test that looks behind the scenes."""
    cell = ref._cell()
    assert cell is not None
    return cell


def messages_of(caplog, text: str) -> list[str]:
    """Return the log messages that contain `text`."""
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def assert_dead_to_everyone(ref: ActorRef) -> None:
    """Check that nothing hangs, and that nothing raises but ActorDeadError; on a loop or off it."""
    with pytest.raises(ActorDeadError):
        ref.tell("late")
    with pytest.raises(ActorDeadError):
        ref.ask("late")
    assert ref.stop() in {True, False}
    assert not ref.is_alive()
    assert ref not in ActorRegistry.get_all()
    assert ActorRegistry.stop_all() == []

    async def on_another_loop():
        with pytest.raises(ActorDeadError):
            await ref.ask_async("late")
        return await ref.stop_async()

    assert asyncio.run(on_another_loop()) is False


class Echo(AsyncActor):
    """Answers with the message; raises it if it is an exception."""

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message


class Life(AsyncActor):
    """Writes down in `log` which of its methods have run. An exception is raised, a coroutine function is awaited."""

    def __init__(self, log: list) -> None:
        super().__init__()
        self._log = log

    def on_start(self):
        self._log.append("start")

    def on_stop(self):
        self._log.append("stop")

    def on_failure(self, exception_type, exception_value, traceback):
        self._log.append(("failure", exception_value))

    async def on_receive(self, message):
        self._log.append(message)
        if isinstance(message, BaseException):
            raise message
        return await message() if callable(message) else message


class Gate(AsyncActor):
    """Is in its handler from the moment that `entered` is set until `opened` is; safe to use from other threads."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.seen: list[object] = []

    async def on_receive(self, message):
        self.seen.append(message)
        if message == "wait":
            self.entered.set()
            await asyncio.to_thread(self.opened.wait, PATIENCE)
        return message


class Worker(AsyncActor):
    """Writes its life down. A message that is an exception is raised, a coroutine function awaited."""

    def __init__(self, log: list, name: str) -> None:
        super().__init__()
        self._log = log
        self._name = name
        self.seen = 0

    def on_start(self):
        self._log.append(f"start {self._name}")

    def on_stop(self):
        self._log.append(f"stop {self._name}")

    def on_restart(self, failure):
        self._log.append(f"restart {self._name} {failure!r}")

    def on_failure(self, kind, error, traceback):
        self._log.append(f"failure {self._name}")

    async def on_receive(self, message):
        self.seen += 1
        self._log.append((self._name, message))
        if isinstance(message, BaseException):
            raise message
        if message == "stop":
            self.stop()
        return await message() if callable(message) else (self.seen, message)


def boom() -> ValueError:
    return ValueError("boom")
