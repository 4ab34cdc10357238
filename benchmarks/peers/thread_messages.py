"""Messages between `pykka.ThreadingActor`s, each an operating system thread, driven from the main thread."""

import threading
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from pykka import ActorRef, ThreadingActor

from peers.checks import expect

type Ref = ActorRef[Any]

RING = 100
WORKERS = 100


class Echo(ThreadingActor):
    """Answers with the message."""

    def on_receive(self, message: object) -> object:
        """Return `message`."""
        return message


class Tally(ThreadingActor):
    """Counts messages down to zero."""

    def __init__(self, expected: int, done: threading.Event) -> None:
        """Set `done` after `expected` messages."""
        super().__init__()
        self.left = expected
        self.done = done

    def on_receive(self, message: object) -> None:  # noqa: ARG002 -- only their number matters
        """Count a message."""
        self.left -= 1
        if not self.left:
            self.done.set()


class Node(ThreadingActor):
    """Passes a number of hops on to its successor in a ring."""

    def __init__(self, ring: Sequence[Ref], successor: int, done: threading.Event) -> None:
        """Set `done` when no hops are left."""
        super().__init__()
        self.ring = ring
        self.successor = successor
        self.done = done

    def on_receive(self, message: int) -> None:
        """Take one hop."""
        if message:
            self.ring[self.successor].tell(message - 1)
        else:
            self.done.set()


class Worker(ThreadingActor):
    """Tells the boss whose ref is the message."""

    def on_receive(self, message: Ref) -> None:
        """Answer by `tell`."""
        message.tell(None)


class Boss(ThreadingActor):
    """Tells all workers at once, and again when all have answered."""

    def __init__(self, workers: Sequence[Ref], rounds: int, done: threading.Event) -> None:
        """Set `done` after `rounds`; the first message starts the first one."""
        super().__init__()
        self.workers = workers
        self.rounds = rounds
        self.done = done
        self.missing = 1

    def on_receive(self, message: None) -> None:  # noqa: ARG002 -- only their number matters
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
    done = threading.Event()
    ref = Tally.start(size, done)
    begin = perf_counter()
    for value in range(size):
        ref.tell(value)
    done.wait()
    seconds = perf_counter() - begin
    ref.stop()
    return seconds / size


def ask(size: int) -> float:
    """Ask, blocking until each answer."""
    ref = Echo.start()
    total = 0
    begin = perf_counter()
    for value in range(size):
        total += ref.ask(value, block=True)
    seconds = perf_counter() - begin
    ref.stop()
    expect("sum of answers", total, sum(range(size)))
    return seconds / size


def ring(size: int) -> float:
    """Pass a message round a ring."""
    return _ring(size, RING)


def ping_pong(size: int) -> float:
    """Pass a message between two actors: a ring of two."""
    return _ring(size, 2)


def _ring(size: int, actors: int) -> float:
    done = threading.Event()
    refs: list[Ref] = []
    refs.extend(Node.start(refs, (place + 1) % actors, done) for place in range(actors))
    begin = perf_counter()
    refs[0].tell(size)
    done.wait()
    seconds = perf_counter() - begin
    for ref in refs:
        ref.stop()
    return seconds / size


def fan_out(size: int) -> float:
    """Tell all workers and wait for all their answers, round after round."""
    done = threading.Event()
    rounds = max(1, size // WORKERS)
    workers: list[Ref] = [Worker.start() for _ in range(WORKERS)]
    boss = Boss.start(workers, rounds, done)
    begin = perf_counter()
    boss.tell(None)
    done.wait()
    seconds = perf_counter() - begin
    for ref in [boss, *workers]:
        ref.stop()
    return seconds / (rounds * WORKERS)


WORKLOADS = {"tell": tell, "ask": ask, "ring": ring, "ping_pong": ping_pong, "fan_out": fan_out}
