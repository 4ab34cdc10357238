"""Putting turns into an agent's mailbox, without a bound and with one, where there is room; they are run untimed."""

import asyncio
from time import perf_counter

from peers.checks import expect
from peers.turns import BATCH, noop
from pygents import Agent, Turn
from pygents.actors import MailboxPolicy

UNBOUNDED = Agent("unbounded", "Runs trivial tools", [noop])
BOUNDED = Agent("bounded", "Runs trivial tools", [noop], mailbox=MailboxPolicy(capacity=BATCH))


def put(size: int) -> float:
    """Put constructed turns, without hooks."""
    return asyncio.run(_put(UNBOUNDED, size))


def put_bounded(size: int) -> float:
    """Put them into a mailbox that senders wait for when it is full, which it never is."""
    return asyncio.run(_put(BOUNDED, size))


async def _put(agent: Agent, size: int) -> float:
    seconds, results = 0.0, 0
    for start in range(0, size, BATCH):
        turns: list[Turn[int]] = [
            Turn("noop", kwargs={"value": value}) for value in range(start, min(start + BATCH, size))
        ]
        begin = perf_counter()
        for each in turns:
            await agent.put(each)
        seconds += perf_counter() - begin
        async for _ in agent.run():
            results += 1
    expect("results", results, size)
    return seconds / size


WORKLOADS = {"put": put, "put_bounded": put_bounded}
