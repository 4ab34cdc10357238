"""The whole: rounds of work, each of which ends in a rest, at which the books are compared and a reading is taken.

At a rest nothing is under way. Every place is filled, and the dead letters are sent again and succeed this time; so
what the process holds should be the same at every rest.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, override

from pygents.actors.dead_letters import DeadLetter
from pygents.actors.events import EventsLost, Subscription
from pygents.actors.lifecycle import DeadLetterRecorded, Event
from pygents.actors.supervision import Supervision
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from pygents.testing import wait_idle
from pygents.turn import Turn
from soak.books import Books
from soak.crew import Office, Worker
from soak.deeds import Deed, Task
from soak.gauge import Reading, read_gauge
from soak.load import Stint, customer, make_pass_on, muster, vandal
from soak.teams import Teams
from soak.verdict import complaints

__all__ = ["Outcome", "Plan", "Round", "work"]

PATIENCE = 30.0
"""Seconds that a rest, or the end, may take to come."""
ROOT = Supervision(max_restarts=1_000_000, within=1)
EVENTS = 1_000_000
"""How many may wait to be noted."""
AFTERMATH = 0.5
"""Seconds in which handlers that ignored their cancellation, and threads, end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done, and for how long."""

    members: int = 1_000
    """Agents and actors."""
    threads: int = 10
    """How many of them have a thread of their own."""
    customers: int = 200
    """Who sends."""
    rounds: int = 12
    """How many rests there are."""
    warm_up: int = 4
    """Rounds whose readings do not count."""
    seconds: float = 5.0
    """How long a round is."""
    messages: float = float("inf")
    """How many messages a round has at the most."""
    seed: int = 0
    """Of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What there was in a round."""

    accepted: int
    """Messages."""
    seconds: float
    """How long it took, the rest included."""
    events: Counter[str]
    """What has happened, by the name of the event."""
    reading: Reading
    """What the process held after it."""


@dataclass(slots=True)
class Outcome:
    """What has come of it all."""

    books: Books
    """What was sent."""
    rounds: list[Round] = field(default_factory=list)
    """All of them."""
    complaints: list[str] = field(default_factory=list)
    """What is wrong."""


class Witness(logging.Handler):
    """Takes note of what must not happen: critical log records, and what the loop reports."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.CRITICAL)
        self._complaints = complaints

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._complaints.append(f"logged: {record.getMessage()}")

    def hear(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what an event loop reports: an exception that nobody has retrieved, say."""
        self._complaints.append(f"the loop reports: {context['message']} {context.get('exception')!r}")


async def work(plan: Plan, show: Callable[[Round], None] = lambda _: None) -> Outcome:
    """Do all rounds, and return what has come of it; `show` is called after each."""
    outcome = Outcome(Books())
    witness = Witness(outcome.complaints)
    asyncio.get_running_loop().set_exception_handler(witness.hear)
    logger = logging.getLogger("pygents")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(witness)
    logger.setLevel(logging.CRITICAL)
    logger.propagate = False
    try:
        await _in_system(plan, outcome, show)
    except (AssertionError, SystemFailedError) as error:
        outcome.complaints.append(f"it broke off: {type(error).__name__}: {error}")
    finally:
        logger.removeHandler(witness)
        logger.setLevel(level)
        logger.propagate = propagate
    if counting := [each.reading for each in outcome.rounds[plan.warm_up :]]:
        outcome.complaints += complaints(counting)
    return outcome


async def _in_system(plan: Plan, outcome: Outcome, show: Callable[[Round], None]) -> None:
    books = outcome.books
    async with ActorSystem("soak", supervision=ROOT, shutdown_timeout=PATIENCE) as system:
        shift = Shift(system, plan, books)
        for number in range(plan.rounds):
            outcome.rounds.append(await shift.round(first=number == 0))
            outcome.complaints += books.differences(system.statistics())
            show(outcome.rounds[-1])
            if outcome.complaints:
                return
    outcome.complaints += books.differences(system.statistics())


class Shift:
    """The rounds in one system."""

    def __init__(self, system: ActorSystem, plan: Plan, books: Books) -> None:
        self._system = system
        self._plan = plan
        self._office = Office(books)
        self._events = system.events(capacity=EVENTS)
        self._chance = random.Random(plan.seed)
        self._teams = Teams(system, self._office, plan.members, plan.threads)
        self._office.pass_on = make_pass_on(self._teams, self._office, self._chance)
        self._archive = system.spawn(Worker, self._office, name="archive")

    async def round(self, *, first: bool) -> Round:
        """Let customers and a vandal go on for a while, and come to rest; in the first one, have everything done."""
        books, loop = self._office.books, asyncio.get_running_loop()
        begin, before = loop.time(), books.accepted
        seen: Counter[str] = Counter()
        noting = asyncio.create_task(_note(self._events, books, seen))
        if first:
            await muster(self._teams, self._office, self._chance)
        await self._go_on()
        seconds = loop.time() - begin
        await self._rest()
        noting.cancel()
        await asyncio.wait([noting])
        return Round(accepted=books.accepted - before, seconds=seconds, events=seen, reading=read_gauge())

    async def _go_on(self) -> None:
        stint = Stint(seconds=self._plan.seconds, messages=self._plan.messages)
        async with asyncio.TaskGroup() as group:
            group.create_task(vandal(self._teams, self._chance, stint))
            for _ in range(self._plan.customers):
                group.create_task(customer(self._teams, self._office, self._chance, stint))

    async def _rest(self) -> None:
        """Wait until nothing is under way, and have every dead letter handled after all."""
        await self._settle()
        self._office.calm = True
        for letter in self._system.dead_letters:
            self._send_again(letter)
        await self._settle()
        assert not len(self._system.dead_letters), f"plain work failed: {[*self._system.dead_letters][:3]}"
        self._office.calm = False

    async def _settle(self) -> None:
        """Wait until everybody is idle and in their place, and what has happened is noted."""
        await wait_idle(self._system, timeout=PATIENCE)
        while await self._teams.restore():
            await wait_idle(self._system, timeout=PATIENCE)
        await asyncio.sleep(AFTERMATH)  # also for who notes

    def _send_again(self, letter: DeadLetter) -> None:
        """Send a dead letter to its recipient, or if that cannot handle it to somebody who can."""
        task = _task_in(letter.message)
        self._office.books.told_again(task)
        lost = task.deed is Deed.NONSENSE or self._system.whereis(letter.recipient) is None
        self._system.dead_letters.redrive(letter, to="archive" if lost else None)


async def _note(events: Subscription[Event], books: Books, seen: Counter[str]) -> None:
    async for event in events:
        assert not isinstance(event, EventsLost), event
        seen[type(event).__name__] += 1
        if isinstance(event, DeadLetterRecorded):
            books.died(_task_in(event.letter.message))


def _task_in(message: object) -> Task:
    """Return the task that a message is, or that is a turn's argument."""
    task = message.args[0] if isinstance(message, Turn) else message
    assert isinstance(task, Task)
    return task
