"""Snapshots: an agent is saved before each turn, so when its process crashes, a new process goes on.

Without arguments this runs itself as two workers, one after the other; the first one crashes in its second turn.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pygents import Agent, AgentHook, Turn, hook, tool


@tool
async def square(number: int) -> int:
    """Return the square of a number, or crash as if the power went."""
    if number == 2 and "crash" in sys.argv:
        print("crashing", flush=True)
        os._exit(1)
    return number * number


@hook(AgentHook.BEFORE_TURN)
async def checkpoint(agent: Agent) -> None:
    """Save the agent; the turn that is next is still in its queue."""
    await asyncio.to_thread(save, agent, Path(sys.argv[1]))


def save(agent: Agent, file: Path) -> None:
    """Write a snapshot in one step, so that a crash in the middle of it leaves the one before."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(agent.to_dict()))
    draft.replace(file)


def load(file: Path) -> Agent:
    """Return the saved agent with its hooks and turns, or a new one."""
    if file.exists():
        return Agent.from_dict(json.loads(file.read_text()))
    agent = Agent("mathematician", "Squares numbers", [square])
    agent.hooks.append(checkpoint)
    for number in 1, 2, 3:
        agent.ref.tell(Turn(square, [number]))
    return agent


async def work(agent: Agent) -> None:
    """Run what is left to do."""
    async for turn, value in agent.run():
        print(f"{turn.args[0]} squared is {value}", flush=True)


def main() -> None:
    """Run two workers on one file."""
    with tempfile.TemporaryDirectory() as folder:
        for arguments in ["crash"], []:
            worker = [sys.executable, __file__, f"{folder}/snapshot.json", *arguments]
            ended = subprocess.run(worker, check=False)  # noqa: S603 (it runs itself)
            print(f"worker ended with status {ended.returncode}", flush=True)


if len(sys.argv) > 1:
    asyncio.run(work(load(Path(sys.argv[1]))))
else:
    main()
