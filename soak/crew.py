"""The crew: agents and actors that do what a message says, and note in the books that they have.

It knows messages and books, but neither who sends nor in what tree it lives.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, override

from pykka import ActorDeadError

from pygents.actors.actor import AsyncActor
from pygents.actors.ref import ActorRef
from pygents.agent import Agent
from pygents.context import current_agent
from pygents.decisions import Deny
from pygents.hooks import Hook, TurnHook, hook
from pygents.tool import Tool, tool
from pygents.turn import Turn
from soak.books import Books
from soak.deeds import Deed, EscalatedError, GaveUpError, Task

__all__ = ["Clerk", "Office", "Worker", "make_hook", "make_tools", "turn_for"]

MOMENT = 0.002
"""Seconds that a wait takes."""
LIMIT = 0.02
"""Seconds after which what hangs has timed out."""
LONG = 0.2
"""Seconds that what lingers goes on when it is cancelled; its supervisor does not wait so long."""


class Office:
    """What the crew shares."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.calm = False
        """Whether every deed is plain work."""
        self.pass_on: Callable[[], None] = lambda: None
        """Tells somebody to work."""
        self.stumbled: set[int] = set()

    def tell(self, ref: ActorRef[Any], task: Task, message: object) -> None:
        """Tell somebody on this loop to do a task, unless they have ended."""
        self.books.told(task)
        try:
            ref.tell(message)
        except ActorDeadError:
            self.books.refused(task)


class Doer(Protocol):
    """Who does a deed: an actor, or an agent."""

    limit: float | None

    def spawn(self, kind: Any, *args: Any, **options: Any) -> ActorRef[Any]:
        """Start a child."""
        ...

    def quit(self) -> None:
        """Stop, after what is queued."""
        ...


class Worker(AsyncActor):
    """An actor of the crew."""

    limit: float | None = LIMIT

    def __init__(self, office: Office) -> None:
        super().__init__()
        self._office = office

    @override
    async def on_receive(self, message: object) -> object:
        return await do(message, self, self._office) if isinstance(message, Task) else None

    def quit(self) -> None:
        """Stop, after what is queued."""
        self.stop()


class Helper(Worker):
    """A child of somebody of the crew, for one message."""

    @override
    async def on_receive(self, message: object) -> object:
        self.stop()
        return await super().on_receive(message)


class Clerk(Agent):
    """An agent of the crew."""

    limit: float | None = None  # its turns have one

    def quit(self) -> None:
        """Stop, after what is queued."""
        self.ref.stop(block=False)


async def do(task: Task, doer: Doer, office: Office) -> int:
    """Do what a message says, and return its number."""
    deed = None if office.calm else DEEDS.get(task.deed)
    if deed is not None:
        await deed(task, doer, office)
    office.books.handled(task)
    return task.number


async def _wait(_task: Task, _doer: Doer, _office: Office) -> None:
    await asyncio.sleep(MOMENT)


async def _pass_on(_task: Task, _doer: Doer, office: Office) -> None:
    office.pass_on()


async def _help(_task: Task, doer: Doer, office: Office) -> None:
    helper = doer.spawn(Helper, office)
    task = office.books.task(Deed.WORK, asked=False)
    office.tell(helper, task, task)


async def _stumble(task: Task, _doer: Doer, office: Office) -> None:
    if task.number not in office.stumbled:
        office.stumbled.add(task.number)
        raise ConnectionError("at the first attempt")
    office.stumbled.discard(task.number)


async def _hang(_task: Task, doer: Doer, _office: Office) -> None:
    async with asyncio.timeout(doer.limit):
        await asyncio.Event().wait()


async def _linger(_task: Task, _doer: Doer, _office: Office) -> None:
    try:
        await asyncio.sleep(LIMIT)
    except asyncio.CancelledError:
        await asyncio.sleep(LONG)
        raise


async def _quit(_task: Task, doer: Doer, _office: Office) -> None:
    doer.quit()


def _raise(error: type[BaseException]) -> "Perform":
    async def fail(task: Task, _doer: Doer, _office: Office) -> None:
        raise error(task.number)

    return fail


type Perform = Callable[[Task, Doer, Office], Awaitable[None]]

DEEDS: dict[Deed, Perform] = {
    Deed.WAIT: _wait,
    Deed.PASS_ON: _pass_on,
    Deed.HELP: _help,
    Deed.RAISE: _raise(ValueError),
    Deed.SKIP: _raise(KeyError),
    Deed.STUMBLE: _stumble,
    Deed.POISON: _raise(ConnectionError),
    Deed.HANG: _hang,
    Deed.LINGER: _linger,
    Deed.CANCEL: _raise(asyncio.CancelledError),
    Deed.EXIT: _raise(SystemExit),
    Deed.ESCALATE: _raise(EscalatedError),
    Deed.GIVE_UP: _raise(GaveUpError),
    Deed.QUIT: _quit,
}


def make_tools(office: Office) -> list[Tool]:
    """Return the tools of the clerks."""

    @tool
    async def handle(task: Task) -> int:
        """Do what a message says."""
        clerk = current_agent()
        assert isinstance(clerk, Clerk)
        return await do(task, clerk, office)

    @tool
    async def stream(task: Task) -> AsyncIterator[int]:
        """Yield a few values."""
        for number in range(3):
            await asyncio.sleep(0)
            yield number
        office.books.handled(task)

    return [handle, stream]


def make_hook(office: Office) -> Hook:
    """Return the hook that denies a turn."""

    @hook(TurnHook.BEFORE_RUN)
    async def deny(turn: Turn[Any]) -> Deny | None:
        """Deny the turn, and strike it off."""
        if office.calm:
            return None
        office.books.handled(turn.args[0])
        return Deny("by the soak")

    return deny


def turn_for(task: Task, deny: Hook) -> Turn[Any]:
    """Return the turn that has a message done."""
    name = "stream" if task.deed is Deed.STREAM else "handle"
    timeout = LIMIT if task.deed is Deed.HANG else None
    return Turn(name, [task], timeout=timeout, hooks=[deny] if task.deed is Deed.DENIED else [])
