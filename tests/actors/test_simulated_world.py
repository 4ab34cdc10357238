"""The state machine's world, simulated: what happens in it is drawn from a seed, and so is whose turn it is.

Hypothesis shrinks what it finds; this finds other orders.
"""

import asyncio
import random
from contextlib import suppress

import pytest

from pygents.actors import (
    ActorDeadError,
    Backoff,
    Directive,
    MailboxPolicy,
    Overflow,
    Restart,
    Strategy,
    Supervision,
)
from pygents.testing import simulate_many
from tests.actors.helpers import cell_of
from tests.actors.laws import DECIDE, Escalate
from tests.actors.world import FAILURES, MOST, PAUSES, Clerk, Node, World

WHATS = [
    *("fine", "slow", "hang", "stubborn", "spawn", "relay", "stop", "turn", "message", "deny", "strange", "late"),
    *FAILURES,
]
PLACES = ["on_start", "on_stop", "on_restart"]
ACTS = 30


class Fate:
    """What happens in a world, one thing after the other."""

    def __init__(self, system):
        self.system = system
        self.world = World(system)
        self.supervisors = []

    async def act(self):
        """Do something, or wait."""
        acts = {
            self.send: 8,
            self.spawn: 3,
            self.supervise: 1,
            self.plan: 1,
            self.end: 2,
            self.control: 4,
            self.end_supervisor: 1,
            self.watch: 1,
            self.wait: 2,
            self.release: 1,
        }
        (act,) = random.choices(list(acts), list(acts.values()))
        await act()
        self.check()

    def check(self):
        self.world.check_counts()
        for name in self.world.living():
            if cell_of(self.world.refs[name]).is_idle:
                self.world.check_terminated(name)
        assert not self.world.problems, self.world.problems

    def parent(self):
        self.supervisors = [one for one in self.supervisors if not one.transitions.closed]
        return random.choice([self.system, *self.supervisors])

    def somebody(self):
        return random.choice(list(self.world.refs))

    async def supervise(self):
        if len(self.supervisors) < 3:
            name, restart = f"s{next(self.world.moments)}", random.choice(list(Restart))
            with suppress(ActorDeadError):  # it has just stopped
                self.supervisors.append(self.parent().supervisor(name, policy(), restart=restart))

    async def spawn(self):
        if len(self.world.living()) >= MOST:
            return
        parent, kind = self.parent(), random.choice([Node, Clerk])
        options = {} if parent is self.system else {"supervision": random.choice([None, policy()])}
        options["mailbox"] = random.choice([None, bounds()])
        with suppress(ActorDeadError):  # it has just stopped
            self.world.spawn(parent, kind, restart=random.choice(list(Restart)), **options)

    async def plan(self):
        self.world.plans[self.somebody(), random.choice(PLACES)] = random.choice(["hang", *FAILURES])

    async def send(self):
        name = self.somebody()
        for _ in range(random.randint(1, 5)):
            self.world.send("test", name, random.choice(WHATS), asks=random.random() < 0.5)
        await asyncio.sleep(random.choice([0, 0.02, 1.07]))

    async def end(self):
        name = self.somebody()
        ref = self.world.refs[name]
        match random.randrange(3):
            case 0:
                ref.kill()
                for child in self.world.children_of(name):
                    assert not self.world.refs[child].is_alive(), f"{child} outlives its parent {name}"
            case 1:
                ref.stop(block=False)
            case _ if ref.is_alive():
                cell_of(ref).parent.stop(name)

    async def control(self):
        how = random.choice(["cancel", "pause", "resume", "steer", "stop now"])
        at_work = sorted(self.world.busy) if how in {"cancel", "steer"} else []
        self.world.control(random.choice(at_work) if at_work else self.somebody(), how)
        await asyncio.sleep(random.choice([0, 0.02, 1.07]))

    async def end_supervisor(self):
        parent = self.parent()
        if parent is not self.system:
            (self.system.root if parent._parent is None else parent._parent).stop(parent.name)

    async def watch(self):
        living, other = self.world.living(), self.somebody()
        watcher = random.choice(living) if living else other
        if watcher != other:
            await self.world.watch(watcher, other)

    async def wait(self):
        await asyncio.sleep(random.choice([0, 0.3, 6]))

    async def release(self):
        await asyncio.sleep(30)
        while any(map(self.is_cut, self.world.living())):  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(1)  # until it is abandoned
        self.world.released.set()
        self.world.released = asyncio.Event()
        await asyncio.sleep(1)

    def is_cut(self, name):
        cell = cell_of(self.world.refs[name])
        return cell.cuts.has_cut or (cell.control is not None and cell.control.reason is not None)

    async def end_all(self):
        await asyncio.sleep(100)
        self.check()
        await self.system.shutdown(drain=random.random() < 0.5, timeout=20)
        assert self.world.living() == []
        self.world.check_counts()
        self.world.check_outcomes()
        assert all(reply.done for reply in self.world.over)
        self.world.released.set()
        await asyncio.sleep(1)
        self.world.check_outcomes()
        assert not self.world.problems, self.world.problems


def policy():
    return Supervision(
        strategy=random.choice(list(Strategy)),
        max_restarts=random.randint(0, 3),
        within=random.choice([5, 1_000_000]),
        backoff=random.choice([None, Backoff(initial=0.5, maximum=2, jitter=0)]),
        decide=DECIDE,
    )


def bounds():
    kinds = [overflow for overflow in Overflow if overflow is not Overflow.COALESCE]  # which changes the order
    return MailboxPolicy(capacity=random.randint(1, 3), overflow=random.choice(kinds))


async def scenario(system):
    fate = Fate(system)
    for _ in range(random.randint(1, 3)):
        await fate.supervise()
    for _ in range(random.randint(2, 5)):
        await fate.spawn()
    for _ in range(ACTS):
        await fate.act()
    await fate.end_all()


@pytest.mark.parametrize("strategy", Strategy)
def test_the_laws_hold_in_any_order(strategy, caplog, monkeypatch):
    caplog.set_level(100)
    monkeypatch.setitem(PAUSES, "slow", 3.30071)  # what ends in the very instant in which it is cut may run again
    root = Supervision(strategy=strategy, max_restarts=9_999, decide=DECIDE | {Escalate: Directive.RESTART})
    simulate_many(scenario, range(30), supervision=root)
