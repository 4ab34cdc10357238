"""A pipeline: what goes in at one end comes out at the other, once and in order, whatever its stages are.

Two sources feed a plain actor; then come an agent, whose tool asks another actor for each item, and an actor that has a
thread of its own elsewhere. Faults may delay: nothing is lost.
"""

import asyncio
import random
from typing import Any, override

from pygents.actors.actor import AsyncActor
from pygents.actors.dispatcher import ThreadDispatcher
from pygents.actors.ref import ActorRef
from pygents.actors.system import ActorSystem
from pygents.agent import Agent
from pygents.context import current_agent
from pygents.testing import Faults
from pygents.tool import tool
from pygents.turn import Turn
from simulations.account import Account, Job

__all__ = ["FAULTS", "pipeline"]

FAULTS = Faults(delaying=0.2, longest=2)
"""What may go wrong in it."""
SOURCES = "north", "south"
ITEMS = 8
"""Which each of the sources sends."""


class Line:
    """What the stages share: the account, and who comes next."""

    def __init__(self) -> None:
        self.account = Account()
        self.next: dict[str, ActorRef[Any]] = {}
        self.prices: ActorRef[AsyncActor]
        self.out: list[int] = []


class Sorter(AsyncActor):
    """The first stage: passes every item on as a turn for the second one."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    @override
    def on_receive(self, message: Job) -> None:
        with self._line.account.doing("sorter", message):
            pricer = self._line.next["sorter"]
            self._line.account.tell("sorter", pricer, message.item, lambda job: Turn("price", [job]))


class Prices(AsyncActor):
    """Knows prices, after a while."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    @override
    async def on_receive(self, message: Job) -> int:
        with self._line.account.doing("prices", message):
            await asyncio.sleep(random.choice([0, 0.5]))
            return message.item


class Pricer(Agent):
    """The second stage, an agent."""

    line: Line


@tool
async def price(job: Job) -> None:
    """Ask for the price of an item, and pass it on."""
    agent = current_agent()
    assert isinstance(agent, Pricer)
    line = agent.line
    with line.account.doing("pricer", job):
        answer = await line.account.ask("pricer", line.prices, job.item)
        line.account.tell("pricer", line.next["pricer"], answer)


class Store(AsyncActor):
    """The last stage, which might block."""

    dispatcher = ThreadDispatcher

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    @override
    def on_receive(self, message: Job) -> None:
        with self._line.account.doing("store", message):
            self._line.out.append(message.item)


async def pipeline(system: ActorSystem) -> None:
    """Send items through, and see what comes out."""
    line = Line()
    pricer = Pricer("pricer", "Prices items", [price])
    pricer.line = line
    line.prices = system.spawn(Prices, line, name="prices")
    line.next["pricer"] = system.spawn(Store, line, name="store")
    line.next["sorter"] = system.spawn(pricer)
    first = system.spawn(Sorter, line, name="sorter")
    async with asyncio.TaskGroup() as group:
        for number, source in enumerate(SOURCES):
            group.create_task(_feed(line, first, source, range(number, ITEMS * len(SOURCES), len(SOURCES))))
    await system.wait_idle()
    line.account.check(system)
    assert sorted(line.out) == list(range(ITEMS * len(SOURCES))), f"this came out: {line.out}"
    for number in range(len(SOURCES)):
        from_one = [item for item in line.out if item % len(SOURCES) == number]
        assert from_one == sorted(from_one), f"not in order: {from_one}"


async def _feed(line: Line, first: ActorRef[Sorter], source: str, items: range) -> None:
    for item in items:
        line.account.tell(source, first, item)
        await asyncio.sleep(random.choice([0, 0, 0.5]))
