"""Agents driven from plain synchronous code, which has no event loop of its own and need not become async."""

import asyncio
from threading import Thread
from typing import Any

from pygents import Agent, Turn, tool
from pygents.actors import AsyncActor


@tool
async def fahrenheit(celsius: float) -> float:
    """Convert a temperature."""
    return celsius * 9 / 5 + 32


class Counter(AsyncActor):
    """Counts messages."""

    total = 0

    async def on_receive(self, message: int) -> int:
        """Add a number, and answer with the total."""
        self.total += message
        return self.total


async def drain(agent: Agent) -> list[Any]:
    """Run what the agent was sent, and return the values."""
    return [value async for _, value in agent.run()]


def main() -> None:
    """Send from any thread, run when and where it suits, keep the agent between two runs."""
    agent = Agent("converter", "Converts temperatures", [fahrenheit])

    agent.ref.tell(Turn(fahrenheit, [100]))  # needs no event loop
    print("one run:", asyncio.run(drain(agent)))

    with asyncio.Runner() as runner:  # one event loop for many runs
        for celsius in (0, 20):
            agent.ref.tell(Turn(fahrenheit, [celsius]))
            print("one of many:", runner.run(drain(agent)))

    threads = [Thread(target=agent.ref.tell, args=[Turn(fahrenheit, [celsius])]) for celsius in (-40, 37)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("from threads:", sorted(asyncio.run(drain(agent))))

    counter = Counter.start()  # a plain actor runs by itself: without a running loop, on one in the background
    counter.tell(40)
    print("an actor:", counter.ask(2))
    print("the actor stopped:", counter.stop())
    print("the agent stopped:", agent.ref.stop())


main()
