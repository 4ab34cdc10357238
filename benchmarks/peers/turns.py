"""Turns on an agent: one code for whichever package is importable as `pygents`, ours or the published one."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter

from peers.checks import expect
from pygents import Agent, Turn, tool

BATCH = 1_000
"""Turns queued at a time, or values of a stream: a busy agent, yet no queue that leaves the processor's cache."""


@tool()
async def noop(value: int) -> int:
    """Return `value`."""
    return value


@tool()
async def count(limit: int) -> AsyncIterator[int]:
    """Yield the integers below `limit`."""
    for value in range(limit):
        yield value


AGENT = Agent("benchmark", "Runs trivial tools", [noop, count])


def construct(size: int) -> float:
    """Construct a turn."""
    begin = perf_counter()
    for value in range(size):
        Turn("noop", kwargs={"value": value})
    return (perf_counter() - begin) / size


def turn(size: int) -> float:
    """Put constructed turns, without hooks, and run them."""
    return asyncio.run(_turn(size))


def stream(size: int) -> float:
    """Run turns that yield their values."""
    return asyncio.run(_stream(size))


async def _turn(size: int) -> float:
    seconds, results = 0.0, 0
    for start in range(0, size, BATCH):
        turns: list[Turn[int]] = [
            Turn("noop", kwargs={"value": value}) for value in range(start, min(start + BATCH, size))
        ]
        begin = perf_counter()
        for each in turns:
            await AGENT.put(each)
        async for _ in AGENT.run():
            results += 1
        seconds += perf_counter() - begin
    expect("results", results, size)
    return seconds / size


async def _stream(size: int) -> float:
    values = 0
    begin = perf_counter()
    for start in range(0, size, BATCH):
        await AGENT.put(Turn("count", kwargs={"limit": min(BATCH, size - start)}))
        async for _ in AGENT.run():
            values += 1
    seconds = perf_counter() - begin
    expect("values", values, size)
    return seconds / size


WORKLOADS = {"construct": construct, "turn": turn, "stream": stream}
