"""The first program: a tool, an agent, two turns."""

# It is kept as short as a first program should be, so the checkers don't ask for annotations here.
# ruff: noqa: ANN201, B007, D103
# mypy: allow-untyped-defs, allow-untyped-calls
# pyright: reportUnusedVariable=false

import asyncio

from pygents import Agent, Turn, tool


@tool()
async def greet(name: str) -> str:
    return f"Hello, {name}!"


async def main():
    agent = Agent("greeter", "Greets people", [greet])
    await agent.put(Turn("greet", kwargs={"name": "Ada"}))
    await agent.put(Turn("greet", args=["Grace"]))

    async for turn, value in agent.run():
        print(value)


asyncio.run(main())
