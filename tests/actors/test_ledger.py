"""The counts of messages, looked at at every line that the runtime runs, and from a thread that never rests."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pygents.actors
from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    Directive,
    MailboxPolicy,
    Restart,
    Strategy,
    Supervision,
    Terminated,
    ThreadDispatcher,
)
from pygents.actors.statistics import Statistics
from pygents.actors.system import ActorSystem
from tests.actors.helpers import PATIENCE, close_before_scheduling, hang

RUNTIME = str(Path(pygents.actors.__file__).parent)
GROWING = ("accepted", "handled", "answered_with_error", "dead_lettered")


class Retried(Exception):  # noqa: N818 (named for what is decided about it)
    pass


class Fails(AsyncActor):
    """Raises a message that is an exception, and awaits a coroutine function; what it is told of an end may fail it."""

    last_word: BaseException | None = None

    async def on_receive(self, message):
        if isinstance(message, Terminated) and self.last_word is not None:
            raise self.last_word
        if isinstance(message, BaseException):
            raise message
        return await message() if callable(message) else message


class OnThread(Fails):
    dispatcher = ThreadDispatcher


class RetriesTheEnd(Fails):
    last_word = Retried()


class Accounts:
    """What was counted, from one look to the next, and what is wrong with it."""

    def __init__(self, counted) -> None:
        self._counted = counted
        self._last = counted.statistics()
        self.problems: list[str] = []

    def look(self, where: object) -> None:
        last, now = self._last, self._counted.statistics()
        self._last = now
        outcomes = now.handled + now.answered_with_error + now.dead_lettered + now.queued
        wrong = [name for name in GROWING if getattr(now, name) < getattr(last, name)]
        if wrong or now.queued < 0 or now.handled < 0 or now.accepted != outcomes:
            self.problems.append(f"{where}: {last}, then {now}")


@contextmanager
def looking_at_every_line(system, ref) -> Iterator[list[str]]:
    """Look at the counts wherever another thread may: at every line, but not inside the locks."""
    accounts = [Accounts(ref), Accounts(system)]
    busy: list[bool] = []
    here, monitoring, tool = threading.get_ident(), sys.monitoring, sys.monitoring.PROFILER_ID

    def look(code, line):
        if not code.co_filename.startswith(RUNTIME):
            return monitoring.DISABLE
        if threading.get_ident() == here and not busy:
            busy.append(True)
            if not any(lock._is_owned() for lock in (system.lock._lock, *locks())):
                for account in accounts:
                    account.look(f"{Path(code.co_filename).name}:{line}")
            busy.clear()
        return None

    def locks():
        return [ref.actor_inbox._lock, *(child.inbox._lock for child in system.root.all_children())]

    problems: list[str] = []
    monitoring.use_tool_id(tool, "accounts")
    monitoring.register_callback(tool, monitoring.events.LINE, look)
    monitoring.set_events(tool, monitoring.events.LINE)
    try:
        yield problems
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.LINE, None)
        monitoring.free_tool_id(tool)
        problems += accounts[0].problems + accounts[1].problems


async def fail(_, ref):
    ref.tell(ValueError("told"))
    ref.ask(ValueError("asked"), block=False)
    ref.tell("after")


async def retry(_, ref):
    ref.tell(Retried("told"))
    ref.ask(Retried("asked"), block=False)
    ref.tell("after")


async def watch(system, ref):
    other = system.spawn(Fails)
    await ref.watch(other)
    ref.tell("before")
    await other.stop_async()
    ref.tell("after")


async def kill(_, ref):
    for message in [hang, "queued", ValueError("queued")]:
        ref.ask(message, block=False)
    await asyncio.sleep(1)
    ref.kill()
    await ref.wait_stopped()


async def kill_its_sibling(system, ref):
    other = system.spawn(Fails)
    await ref.watch(other)
    for message in [hang, "queued"]:
        ref.tell(message)
    await asyncio.sleep(1)
    other.kill()
    await other.wait_stopped()
    ref.kill()
    await ref.wait_stopped()


async def stop(_, ref):
    ref.tell("before")
    stopped = ref.stop(block=False)
    ref.tell("behind")
    await stopped


async def stop_itself(_, ref):
    async def give_up():
        ref.tell("behind")
        ref.stop(block=False)

    ref.tell(give_up)


async def be_cut(system, ref):
    ref.tell(hang)
    ref.tell("queued")
    await asyncio.sleep(1)
    await system.root.stop(ref._path)


async def be_cut_with_its_group(system, ref):
    system.spawn(Fails).tell(ValueError("of a sibling"))
    ref.tell(lambda: asyncio.sleep(20))
    ref.tell("queued")


@pytest.mark.parametrize("kind", [Fails, RetriesTheEnd])
@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.PERMANENT])
@pytest.mark.parametrize(
    "happens", [fail, retry, watch, kill, kill_its_sibling, stop, stop_itself, be_cut, be_cut_with_its_group]
)
async def test_the_counts_add_up_and_never_fall_at_any_line(happens, restart, kind):
    policy = Supervision(decide={Retried: Directive.RETRY}, strategy=Strategy.ONE_FOR_ALL, max_restarts=100)
    async with ActorSystem("s", supervision=policy) as system:
        ref = system.spawn(kind, restart=restart)
        with looking_at_every_line(system, ref) as problems:
            await happens(system, ref)
            await system.wait_idle()
            await system.shutdown()
    assert problems == []
    assert ref.statistics().queued == 0


BOUNDS = pytest.mark.parametrize("bounds", [None, MailboxPolicy(capacity=2)], ids=["boundless", "bounded"])


def enter(loop, kind, bounds):
    """Return an entered system on a loop, and the ref of a child in it."""

    async def enter():
        system = await ActorSystem("s").__aenter__()
        return system, system.spawn(kind, mailbox=bounds)

    return loop.run_until_complete(enter())


@pytest.mark.parametrize("notices", ["is_alive", "tell", "ask", "stop"])
@pytest.mark.parametrize("queued", [0, 2])
@BOUNDS
def test_the_counts_add_up_and_never_fall_when_the_loop_is_closed(notices, queued, bounds):
    loop = asyncio.new_event_loop()
    system, ref = enter(loop, Fails, bounds)
    replies = [ref.ask("queued", block=False) for _ in range(queued)]
    loop.close()
    with looking_at_every_line(system, ref) as problems:
        if notices in {"tell", "ask"}:
            with pytest.raises(ActorDeadError):
                getattr(ref, notices)("refused")
        else:
            assert getattr(ref, notices)() is False
    assert problems == []
    assert all(reply.done for reply in replies)
    assert ref.statistics() == Statistics(accepted=queued, dead_lettered=queued)


@pytest.mark.parametrize("verb", ["tell", "ask"])
@BOUNDS
def test_the_counts_add_up_and_never_fall_when_the_loop_is_closed_under_the_sender(verb, bounds, monkeypatch):
    loop = asyncio.new_event_loop()
    system, ref = enter(loop, Fails, bounds)
    close_before_scheduling(loop, monkeypatch)
    with looking_at_every_line(system, ref) as problems:
        if verb == "tell":
            ref.tell("late")
        else:
            with pytest.raises(ActorDeadError):
                ref.ask("late", block=False).get(timeout=0)
    assert problems == []
    assert [letter.message for letter in system.dead_letters] == ["late"]
    assert ref.statistics() == Statistics(accepted=1, dead_lettered=1)


def test_the_counts_add_up_and_never_fall_for_another_thread(caplog):
    caplog.set_level("CRITICAL", "pygents.actors")
    over = threading.Event()

    def look_on(accounts):
        while not over.is_set():
            accounts.look("meanwhile")

    policy = Supervision(decide={ValueError: Directive.RESUME}, max_restarts=1_000)
    interval = sys.getswitchinterval()
    with ActorSystem("s", supervision=policy) as system:
        ref = system.spawn(OnThread, restart=Restart.PERMANENT)
        accounts = [Accounts(ref), Accounts(system)]
        threads = [threading.Thread(target=look_on, args=(account,)) for account in accounts]
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for number in range(30):
                for message in [ValueError("told"), number, LookupError("restarts"), number]:
                    ref.tell(message)
                other = system.spawn(OnThread)
                asyncio.run(ref.watch(other))
                replies = [other.ask(number, block=False) for _ in range(20)]
                other.kill()
                assert ref.ask("x", timeout=PATIENCE) == "x"
                assert all(reply.done or other.is_alive() is False for reply in replies)
        finally:
            over.set()
            sys.setswitchinterval(interval)
            for thread in threads:
                thread.join(PATIENCE)
    assert [problem for account in accounts for problem in account.problems] == []
