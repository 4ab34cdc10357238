"""A pool of workers under overload: more comes in than they can do, and some of them are killed or stopped meanwhile.

A worker takes so many jobs and no more, and the foreman, who hands them out, waits until there is room. He is told when
a worker ends, for whom there is another one then. What a dead worker had not done is a dead letter; whoever asked is
told so.
"""

import asyncio
import random
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, override

from pykka import Timeout

from pygents.actors.actor import AsyncActor
from pygents.actors.mailbox_policy import MailboxPolicy
from pygents.actors.ref import ActorRef
from pygents.actors.supervision import Restart
from pygents.actors.supervisor import Supervisor
from pygents.actors.system import ActorSystem
from pygents.actors.watch import Terminated
from pygents.testing import Faults
from simulations.account import Account, Job

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAULTS", "pool"]

FAULTS = Faults(delaying=0.1, longest=3, only=("pool/worker-*",))
"""What may go wrong in it."""
DESK = MailboxPolicy(capacity=3)
"""What a worker may have before it."""
WORKERS = 3
CUSTOMERS = 3
BURSTS = 4
"""How often each of the customers sends."""
BURST = 12
"""Jobs that it sends at once, at the most."""


class Worker(AsyncActor):
    """Does one job after the other."""

    def __init__(self, account: Account, name: str) -> None:
        super().__init__()
        self._account = account
        self._name = name

    @override
    async def on_receive(self, message: Job) -> int:
        with self._account.doing(self._name, message):
            await asyncio.sleep(random.choice([0, 0.1, 0.5]))
            return message.item


class Foreman(AsyncActor):
    """Hands jobs out in turn, and sees that there are enough workers."""

    def __init__(self, account: Account, staff: Supervisor) -> None:
        super().__init__()
        self._account = account
        self._staff = staff
        self._numbers = count()
        self.workers: list[ActorRef[Worker]] = []
        self.losses = 0

    @override
    async def on_start(self) -> None:
        for _ in range(WORKERS):
            await self._hire()

    @override
    async def on_receive(self, message: Job | Terminated) -> object:
        if isinstance(message, Terminated):
            self.losses += 1
            self.workers = [worker for worker in self.workers if worker is not message.ref]
            await self._hire()
            return None
        with self._account.doing("foreman", message):
            self.workers.append(worker := self.workers.pop(0))
            await self._account.send("foreman", worker, message.item)  # who waits until there is room
        return worker

    async def _hire(self) -> None:
        name = f"worker-{next(self._numbers)}"
        worker = self._staff.spawn(Worker, self._account, name, name=name, restart=Restart.TEMPORARY, mailbox=DESK)
        self.workers.append(worker)
        await self.actor_ref.watch(worker)


async def pool(system: ActorSystem) -> None:
    """Flood a pool, and end workers meanwhile."""
    account = Account()
    staff = system.supervisor("pool")
    foreman = staff.spawn(Foreman, account, staff, name="foreman")
    async with asyncio.TaskGroup() as group:
        for number in range(CUSTOMERS):
            group.create_task(_customer(account, f"customer {number}", foreman))
        ended = group.create_task(_end_some(account, foreman))
    await system.wait_idle()
    account.check(system)
    assert len(list(system.root.all_children())) == WORKERS + 1, system.tree()
    assert await foreman.proxy().losses == ended.result()


async def _customer(account: Account, name: str, foreman: ActorRef[Foreman]) -> None:
    for burst in range(BURSTS):
        for item in range(random.randint(1, BURST)):
            account.tell(name, foreman, burst * BURST + item)
        try:
            worker: ActorRef[Worker] = await account.ask(name, foreman, burst)
            answer = await account.ask(name, worker, burst).get_async(timeout=random.choice([None, 0.3]))
        except Timeout:
            continue
        except Exception:  # noqa: BLE001, S112 (it is the answer, which is in the account)
            continue
        assert answer == burst


async def _end_some(account: Account, foreman: ActorRef[Foreman]) -> int:
    """End workers, each in one of three ways, and return how many."""
    ended: set[ActorRef[Worker]] = set()
    for item in range(random.randint(0, 4)):
        await asyncio.sleep(random.choice([0, 0.2, 1]))
        worker: ActorRef[Worker] = await account.ask("vandal", foreman, item)
        ways: list[Callable[[], object]] = [worker.kill, worker.stop_now, partial(worker.stop, block=False)]
        random.choice(ways)()
        ended.add(worker)
    return len(ended)
