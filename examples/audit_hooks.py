"""Hooks: a log of turns that end well or fail, and a permission check in front of a tool. The tools know of neither.

A turn that its consumer leaves or cancels fires no event at its end: its `stop_reason` tells.
"""

import asyncio
from typing import Any

from pygents import Agent, AgentHook, Deny, ToolHook, Turn, TurnDeniedError, current_turn, hook, tool

ADMINS = {"ada"}
files = {"notes.txt": "buy milk", "plan.txt": "write docs"}


def user() -> object:
    """Return who sent the turn that is running."""
    turn = current_turn()
    return turn.metadata.get("user") if turn is not None else None


@hook(ToolHook.BEFORE_INVOKE)
async def admins_only(*_: object, **__: object) -> Deny | None:
    """Refuse to run the tool for anybody but an admin. A denial is no failure, so nobody else writes it down."""
    if user() in ADMINS:
        return None
    print(f"audit: denied to {user()}: {current_turn()!r}")
    return Deny(f"{user()} is not an admin")


@hook([AgentHook.AFTER_TURN, AgentHook.ON_TURN_TIMEOUT, AgentHook.ON_TURN_ERROR])
async def audit(agent: Agent, turn: Turn[Any], error: BaseException | None = None) -> None:
    """Write down who had what done, and how it ended."""
    print(f"audit: {agent.name} for {turn.metadata['user']}: {turn!r} {error or turn.stop_reason}")


@tool
async def read(name: str) -> str:
    """Return the text of a file."""
    return files[name]


@tool(hooks=[admins_only])
async def delete(name: str) -> None:
    """Delete a file."""
    del files[name]


async def main() -> None:
    """Run turns of two users; a refused one is spent, and the next run goes on behind it."""
    agent = Agent("clerk", "Keeps files", [read, delete])
    agent.hooks.append(audit)
    for sender, job in ("bob", "read"), ("bob", "delete"), ("ada", "delete"):
        await agent.put(Turn(job, ["notes.txt"], metadata={"user": sender}))

    for _ in range(2):
        try:
            async for _, value in agent.run():
                print(f"result: {value}")
        except TurnDeniedError as error:
            print(f"refused: {error.reason}")
    print(f"left: {', '.join(files)}")


asyncio.run(main())
