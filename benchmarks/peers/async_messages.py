"""Messages between our actors, with coroutine handlers, all on one event loop."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from peers.checks import expect
from pygents.actors import ActorRef, AsyncActor

type Ref = ActorRef[Any]

RING = 100
WORKERS = 100


class Echo(AsyncActor):
    """Answers with the message."""

    async def on_receive(self, message: object) -> object:
        """Return `message`."""
        return message


class Tally(AsyncActor):
    """Counts messages down to zero."""

    def __init__(self, expected: int, done: asyncio.Event) -> None:
        """Set `done` after `expected` messages."""
        super().__init__()
        self.left = expected
        self.done = done

    async def on_receive(self, message: object) -> None:  # noqa: ARG002 -- only their number matters
        """Count a message."""
        self.left -= 1
        if not self.left:
            self.done.set()


class Node(AsyncActor):
    """Passes a number of hops on to its successor in a ring."""

    def __init__(self, ring: Sequence[Ref], successor: int, done: asyncio.Event) -> None:
        """Set `done` when no hops are left."""
        super().__init__()
        self.ring = ring
        self.successor = successor
        self.done = done

    async def on_receive(self, message: int) -> None:
        """Take one hop."""
        if message:
            self.ring[self.successor].tell(message - 1)
        else:
            self.done.set()


class Worker(AsyncActor):
    """Tells the boss whose ref is the message."""

    async def on_receive(self, message: Ref) -> None:
        """Answer by `tell`."""
        message.tell(None)


class Boss(AsyncActor):
    """Tells all workers at once, and again when all have answered."""

    def __init__(self, workers: Sequence[Ref], rounds: int, done: asyncio.Event) -> None:
        """Set `done` after `rounds`; the first message starts the first one."""
        super().__init__()
        self.workers = workers
        self.rounds = rounds
        self.done = done
        self.missing = 1

    async def on_receive(self, message: None) -> None:  # noqa: ARG002 -- only their number matters
        """Count an answer."""
        self.missing -= 1
        if self.missing:
            return
        if not self.rounds:
            self.done.set()
            return
        self.rounds -= 1
        self.missing = len(self.workers)
        for worker in self.workers:
            worker.tell(self.actor_ref)


def tell(size: int) -> float:
    """Tell, and wait until the last message is handled."""
    return asyncio.run(_tell(size))


def ask(size: int) -> float:
    """Ask, awaiting each answer."""
    return asyncio.run(_ask(size))


def ring(size: int) -> float:
    """Pass a message round a ring."""
    return asyncio.run(_ring(size, RING))


def ping_pong(size: int) -> float:
    """Pass a message between two actors: a ring of two."""
    return asyncio.run(_ring(size, 2))


def fan_out(size: int) -> float:
    """Tell all workers and wait for all their answers, round after round."""
    return asyncio.run(_fan_out(size))


async def _tell(size: int) -> float:
    done = asyncio.Event()
    ref = Tally.start(size, done)
    begin = perf_counter()
    for value in range(size):
        ref.tell(value)
    await done.wait()
    seconds = perf_counter() - begin
    await ref.stop_async()
    return seconds / size


async def _ask(size: int) -> float:
    ref = Echo.start()
    total = 0
    begin = perf_counter()
    for value in range(size):
        total += await ref.ask_async(value)
    seconds = perf_counter() - begin
    await ref.stop_async()
    expect("sum of answers", total, sum(range(size)))
    return seconds / size


async def _ring(size: int, actors: int) -> float:
    done = asyncio.Event()
    refs: list[Ref] = []
    refs.extend(Node.start(refs, (place + 1) % actors, done) for place in range(actors))
    begin = perf_counter()
    refs[0].tell(size)
    await done.wait()
    seconds = perf_counter() - begin
    for ref in refs:
        await ref.stop_async()
    return seconds / size


async def _fan_out(size: int) -> float:
    done = asyncio.Event()
    rounds = max(1, size // WORKERS)
    workers: list[Ref] = [Worker.start() for _ in range(WORKERS)]
    boss = Boss.start(workers, rounds, done)
    begin = perf_counter()
    boss.tell(None)
    await done.wait()
    seconds = perf_counter() - begin
    for ref in [boss, *workers]:
        await ref.stop_async()
    return seconds / (rounds * WORKERS)


WORKLOADS = {"tell": tell, "ask": ask, "ring": ring, "ping_pong": ping_pong, "fan_out": fan_out}
