"""Streaming: a value reaches its consumer before the tool goes on, and a consumer that leaves ends the tool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from pygents import Agent, Turn, TurnTimeoutError, tool


@tool
async def count_down(start: int) -> AsyncIterator[int]:
    """Yield the numbers from `start` to 1."""
    try:
        for number in range(start, 0, -1):
            print(f"tool yields {number}")
            yield number
    finally:
        print("tool has ended")


@tool
async def stall() -> AsyncIterator[str]:
    """Yield one word, and nothing ever after."""
    yield "well..."
    await asyncio.Event().wait()


async def main() -> None:
    """Consume three turns: to its end, not to its end, and one that has no end."""
    agent = Agent("speaker", "Streams words and numbers", [count_down, stall])

    print("-- all of it")
    await agent.put(Turn(count_down, [2]))
    async for _, value in agent.run():
        print(f"consumer has {value}")

    print("-- the first is enough")
    enough = Turn(count_down, [1_000_000])
    await agent.put(enough)
    async with aclosing(agent.run()) as results:  # with a bare `break` the tool ends a little later
        async for _, value in results:
            print(f"consumer has {value}")
            break
    print(f"the turn was {enough.stop_reason}")

    print("-- a time limit")
    await agent.put(Turn(stall, timeout=0.1))
    try:
        async for _, value in agent.run():
            print(f"consumer has {value}")
            await asyncio.sleep(0.2)  # the consumer's time is its own
    except TurnTimeoutError as error:
        print(error)


asyncio.run(main())
