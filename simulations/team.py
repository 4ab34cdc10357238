"""A supervised team: actors and agents that fail, are cut short, and are restarted alone or with others.

Its policy is drawn, and its failures are the faults'. A handler that is cancelled takes a moment to clean up: only then
may anybody go on for its actor.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any, override

from pykka import Timeout

from pygents.actors.actor import AsyncActor
from pygents.actors.dispatcher import ThreadDispatcher
from pygents.actors.ref import ActorRef
from pygents.actors.supervision import Backoff, Directive, Restart, Strategy, Supervision
from pygents.actors.system import ActorSystem
from pygents.agent import Agent
from pygents.context import current_agent
from pygents.testing import Faults
from pygents.tool import tool
from pygents.turn import Turn
from simulations.account import Account, Job

__all__ = ["FAULTS", "team"]


class GaveUpError(Exception):
    """Raised as a fault: its actor ends for good."""


class SkippedError(Exception):
    """Raised as a fault: its actor goes on as it is."""


FAULTS = Faults(
    raising=0.15,
    delaying=0.1,
    cancelling=0.15,
    errors=(ConnectionError, ConnectionError, ValueError, SkippedError, GaveUpError, asyncio.CancelledError),
    only=("team/*",),
)
"""What may go wrong in it."""
DECIDE: Mapping[type[BaseException], Directive] = {
    ConnectionError: Directive.RETRY,
    SkippedError: Directive.RESUME,
    GaveUpError: Directive.STOP,
}
CUSTOMERS = 3
JOBS = 12
"""Which each of the customers sends."""
INTERVENTIONS = 6
"""Of the manager, at the most."""


class Member(AsyncActor):
    """An actor of the team."""

    def __init__(self, account: Account, name: str) -> None:
        super().__init__()
        self._account = account
        self._name = name

    @override
    async def on_receive(self, message: Job) -> int:
        return await work(self._account, self._name, message)


class Clerk(Agent):
    """An agent of the team."""

    account: Account


@tool
async def file(job: Job) -> int:
    """Do a job, as an agent does."""
    clerk = current_agent()
    assert isinstance(clerk, Clerk)
    return await work(clerk.account, clerk.name, job)


async def work(account: Account, who: str, job: Job) -> int:
    """Do a job, which takes a moment, and so does cleaning up."""
    with account.doing(who, job):
        try:
            await asyncio.sleep(random.choice([0, 0.1, 1]))
        finally:
            await asyncio.sleep(random.choice([0, 0.01]))
        return job.item


async def team(system: ActorSystem) -> None:
    """Have customers tell and ask a team whose members fail."""
    account = Account()
    boss = system.supervisor(
        "team",
        Supervision(
            strategy=random.choice(list(Strategy)),
            max_restarts=random.choice([1, 1_000]),
            backoff=random.choice([None, Backoff(initial=0.1, maximum=1)]),
            decide=DECIDE,
        ),
    )
    refs: dict[str, ActorRef[Any]] = {}
    for name in ("ann", "bob"):
        dispatcher = random.choice([None, ThreadDispatcher])
        refs[name] = boss.spawn(Member, account, name, name=name, dispatcher=dispatcher)
    for name in ("cid", "dot"):
        clerk = Clerk(name, "Files", [file])
        clerk.account = account
        refs[name] = boss.spawn(clerk, restart=random.choice([Restart.TRANSIENT, Restart.PERMANENT]))
    async with asyncio.TaskGroup() as group:
        for number in range(CUSTOMERS):
            group.create_task(_customer(account, f"customer {number}", refs))
        group.create_task(_manager(account, refs))
    await system.wait_idle()
    account.check(system)


async def _manager(account: Account, refs: dict[str, ActorRef[Any]]) -> None:
    """Cancel what members do, and have them pause, now and then."""
    for _ in range(random.randint(0, INTERVENTIONS)):
        await asyncio.sleep(random.choice([0.1, 0.5, 1]))
        ref = refs[random.choice(list(refs))]
        if random.random() < 0.5:
            await account.cancel(ref)
        else:
            ref.pause()
            await asyncio.sleep(random.choice([0, 0.5]))
            ref.resume()


async def _customer(account: Account, name: str, refs: dict[str, ActorRef[Any]]) -> None:
    for item in range(JOBS):
        member = random.choice(list(refs))
        wrap = _turn if member in {"cid", "dot"} else _plain
        if random.random() < 0.5:
            account.tell(name, refs[member], item, wrap)
            await asyncio.sleep(random.choice([0, 0, 0.3]))
            continue
        try:
            answer = await account.ask(name, refs[member], item, wrap).get_async(timeout=random.choice([None, 1]))
        except Timeout:
            continue
        except Exception:  # noqa: BLE001, S112 (it is the answer, which is in the account)
            continue
        assert answer == item


def _plain(job: Job) -> Job:
    return job


def _turn(job: Job) -> Turn[int]:
    return Turn("file", [job])
