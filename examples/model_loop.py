"""A model in a loop: it answers with a call of a tool, or with its final words, and each step is a turn.

The model here is an async function that follows a script; put a request to a real one in its place.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from pygents import Agent, AgentHook, Memory, Turn, hook, tool


@dataclass(frozen=True)
class Call:
    """A model's wish to have a tool called."""

    tool: str
    arguments: dict[str, Any]


async def model(messages: list[dict[str, Any]]) -> Call | str:
    """Pretend to be a language model."""
    match [message["content"] for message in messages if message["role"] == "tool"]:
        case []:
            return Call("population", {"city": "Oslo"})
        case [_]:
            return Call("population", {"city": "Bergen"})
        case [oslo, bergen]:
            return Call("add", {"a": oslo, "b": bergen})
        case results:
            return f"{results[-1]:,} people live in the two of them."


history = Memory(50)


@tool
async def think() -> Turn[Any] | str:
    """Ask the model for the next step: the call that it wishes for is a turn, so the agent runs that next."""
    answer = await model(history.items)
    if isinstance(answer, str):
        return answer
    await history.append({"role": "model", "content": answer})
    return Turn(answer.tool, kwargs=answer.arguments)


@tool
async def population(city: str) -> int:
    """Look up how many people live in a city."""
    return {"Oslo": 717_710, "Bergen": 291_940}[city]


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@hook(AgentHook.AFTER_TURN)
async def report(agent: Agent, turn: Turn[Any]) -> None:
    """Write down what a tool gave, and have the model think again."""
    if turn.tool is not think:
        await history.append({"role": "tool", "content": turn.output})
        await agent.put(Turn(think))


async def main() -> None:
    """Ask a question and follow the steps to its answer."""
    agent = Agent("assistant", "Answers questions", [think, population, add])
    agent.hooks.append(report)
    await history.append({"role": "user", "content": "How many people live in Oslo and Bergen together?"})
    await agent.put(Turn(think))
    async for _, step in agent.run():
        print(step)


asyncio.run(main())
