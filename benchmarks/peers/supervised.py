"""Our agents and actors in an actor system, which runs and supervises them, on one event loop."""

import asyncio
import logging
from time import perf_counter

from peers.async_messages import Echo, Tally
from peers.checks import expect
from peers.turns import AGENT, BATCH, noop
from pygents import ActorSystem, Agent, Turn
from pygents.actors import ActorRef, AsyncActor, Supervision

type Turns = list[Turn[int]]

FEW = 10
MANY = 10_000

logging.getLogger("pygents.actors").setLevel(logging.CRITICAL)  # a failure with its traceback for each restart


class Fragile(AsyncActor):
    """Fails if the message says so."""

    async def on_receive(self, fails: bool) -> None:  # noqa: FBT001 -- a message
        """Fail, or not."""
        if fails:
            raise ValueError


def told(size: int) -> float:
    """Tell an agent that nobody supervises constructed turns, and run them: what `live` is compared with."""
    return asyncio.run(_told(size))


def live(size: int) -> float:
    """Tell an agent that lives in a system constructed turns, until they have been run."""
    return asyncio.run(_live(size))


def tell_supervised(size: int) -> float:
    """Tell, and wait until the last message is handled, as `tell` does."""
    return asyncio.run(_tell(size))


def restart(size: int) -> float:
    """Have one of ten children fail, until it is restarted and has answered."""
    return asyncio.run(_restart(size, FEW))


def restart_many(size: int) -> float:
    """Do so with ten of many children."""
    return asyncio.run(_restart(size, MANY))


def spawn(size: int) -> float:
    """Spawn children, until the last one answers."""
    return asyncio.run(_spawn_and_stop(size))[0] / size


def shutdown(size: int) -> float:
    """Shut a system of so many children down."""
    return asyncio.run(_spawn_and_stop(size))[1] / size


def _batches(size: int) -> list[Turns]:
    starts = range(0, size, BATCH)
    return [
        [Turn("noop", kwargs={"value": value}) for value in range(start, min(start + BATCH, size))] for start in starts
    ]


async def _told(size: int) -> float:
    seconds, results = 0.0, 0
    for turns in _batches(size):
        begin = perf_counter()
        for each in turns:
            AGENT.ref.tell(each)
        async for _ in AGENT.run():
            results += 1
        seconds += perf_counter() - begin
    expect("results", results, size)
    return seconds / size


async def _live(size: int) -> float:
    seconds = 0.0
    async with ActorSystem("benchmark") as system:
        agent = Agent("live", "Runs trivial tools", [noop])
        system.spawn(agent)
        await system.wait_idle()
        for turns in _batches(size):
            begin = perf_counter()
            for each in turns:
                agent.tell(each)
            await system.wait_idle()
            seconds += perf_counter() - begin
        expect("turns run", system.statistics().handled, size)
    return seconds / size


async def _tell(size: int) -> float:
    done = asyncio.Event()
    async with ActorSystem("benchmark") as system:
        ref: ActorRef[Tally] = system.spawn(Tally, size, done)
        await system.wait_idle()
        begin = perf_counter()
        for value in range(size):
            ref.tell(value)
        await done.wait()
        return (perf_counter() - begin) / size


async def _restart(size: int, children: int) -> float:
    async with ActorSystem("benchmark", supervision=Supervision(max_restarts=size)) as system:
        refs: list[ActorRef[Fragile]] = [system.spawn(Fragile) for _ in range(children)]
        await refs[-1].ask_async(False)  # noqa: FBT003
        failing = refs[:: children // FEW]  # as many, however many others there are
        begin = perf_counter()
        for index in range(size):
            failing[index % FEW].tell(True)  # noqa: FBT003
            await failing[index % FEW].ask_async(False)  # noqa: FBT003
        seconds = perf_counter() - begin
        expect("dead letters", len(system.dead_letters), size)
    return seconds / size


async def _spawn_and_stop(size: int) -> tuple[float, float]:
    async with ActorSystem("benchmark") as system:
        begin = perf_counter()
        refs: list[ActorRef[Echo]] = [system.spawn(Echo) for _ in range(size)]
        expect("the last one's answer", await refs[-1].ask_async(size), size)
        spawned = perf_counter() - begin
        begin = perf_counter()
        await system.shutdown()
        stopped = perf_counter() - begin
        expect("children alive", sum(ref.is_alive() for ref in refs), 0)
    return spawned, stopped


WORKLOADS = {
    "told": told,
    "live": live,
    "tell_supervised": tell_supervised,
    "restart": restart,
    "restart_many": restart_many,
    "spawn": spawn,
    "spawn_many": spawn,
    "shutdown": shutdown,
    "shutdown_many": shutdown,
}
