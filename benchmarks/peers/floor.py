"""The floor: the least that a queue of awaited calls with a timeout can cost."""

import asyncio
import platform
from collections import deque
from time import perf_counter

from peers.checks import expect

VERSION = f"asyncio of {platform.python_version()}"
BATCH = 1_000
"""Calls queued at a time, as in `peers/turns.py`."""


async def noop(value: int) -> int:
    """Return `value`."""
    return value


def turn(size: int) -> float:
    """Pop a coroutine function and its arguments from a deque and await it under `asyncio.timeout`."""
    return asyncio.run(_turn(size))


async def _turn(size: int) -> float:
    seconds, results = 0.0, 0
    for start in range(0, size, BATCH):
        calls = [(noop, {"value": value}) for value in range(start, min(start + BATCH, size))]
        begin = perf_counter()
        queue = deque(calls)
        while queue:
            function, kwargs = queue.popleft()
            async with asyncio.timeout(60):
                await function(**kwargs)
            results += 1
        seconds += perf_counter() - begin
    expect("calls", results, size)
    return seconds / size


WORKLOADS = {"turn": turn}
