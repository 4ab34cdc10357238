"""Many of our actors on one event loop: what one takes to start, to stop and to keep."""

import asyncio
import tracemalloc
from collections.abc import Callable
from time import perf_counter
from typing import Any

from peers.async_messages import Echo
from peers.checks import expect
from peers.memory import resident_bytes, traced_bytes
from pygents.actors import ActorRef

type Refs = list[ActorRef[Any]]


def start(size: int) -> float:
    """Start actors, until the last one answers."""
    return asyncio.run(_start(size))


def stop_oldest(size: int) -> float:
    """Stop actors one by one, in the order they were started."""
    return asyncio.run(_start_and_stop(size, step=1))


def stop_youngest(size: int) -> float:
    """Stop actors one by one, the last started first."""
    return asyncio.run(_start_and_stop(size, step=-1))


def traced(size: int) -> float:
    """Weigh idle actors by `tracemalloc`."""
    return _traced(size, used=False)


def traced_used(size: int) -> float:
    """Weigh actors that have handled a message, by `tracemalloc`."""
    return _traced(size, used=True)


def resident(size: int) -> float:
    """Weigh idle actors by the resident set."""
    return asyncio.run(_grown(size, resident_bytes, used=False))


def alive(size: int) -> float:
    """Count actors that answer while all the others are alive."""
    return asyncio.run(_alive(size))


async def _alive(size: int) -> float:
    refs = await _started(size)
    answers = 0
    for value, ref in enumerate(refs):
        answers += await ref.ask_async(value) == value
    expect("actors alive", sum(ref.is_alive() for ref in refs), size)
    await _stop(refs)
    return answers


async def _start(size: int) -> float:
    begin = perf_counter()
    refs = await _started(size)
    seconds = perf_counter() - begin
    await _stop(refs)
    return seconds / size


async def _start_and_stop(size: int, *, step: int) -> float:
    refs = await _started(size)
    return await _stop(refs[::step]) / size


def _traced(size: int, *, used: bool) -> float:
    tracemalloc.start()
    try:
        return asyncio.run(_grown(size, traced_bytes, used=used))
    finally:
        tracemalloc.stop()


async def _grown(size: int, probe: Callable[[], int], *, used: bool) -> float:
    before = probe()
    refs = await _started(size)
    if used:
        for ref in refs:
            await ref.ask_async(None)
    grown = probe() - before
    expect("actors alive", sum(ref.is_alive() for ref in refs), size)
    await _stop(refs)
    return grown / size


async def _started(size: int) -> Refs:
    refs = [Echo.start() for _ in range(size)]
    await refs[-1].ask_async(None)
    return refs


async def _stop(refs: Refs) -> float:
    begin = perf_counter()
    for ref in refs:
        await ref.stop_async()
    return perf_counter() - begin


WORKLOADS = {
    "start": start,
    "start_many": start,
    "stop_oldest": stop_oldest,
    "stop_oldest_many": stop_oldest,
    "stop_youngest": stop_youngest,
    "stop_youngest_many": stop_youngest,
    "traced": traced,
    "traced_used": traced_used,
    "resident": resident,
    "alive": alive,
}
