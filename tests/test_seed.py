"""Whole programs as users write them, each in a process of its own, with what they print."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SEED = """
import asyncio
from pygents import Agent, Turn, tool

@tool()
async def greet(name: str) -> str:
    return f"Hello, {name}!"

async def main():
    agent = Agent("greeter", "Greets people", [greet])
    await agent.put(Turn("greet", kwargs={"name": "World"}))
    await agent.put(Turn("greet", args=["World"]))

    async for turn, value in agent.run():
        print(value)  # Hello, World!

asyncio.run(main())
"""

STREAM = '''
import asyncio
from pygents import Agent, AgentHook, ToolHook, Turn, TurnHook, hook, tool

@hook(ToolHook.BEFORE_INVOKE)
async def announce(*args, **kwargs):
    print("called with", args, kwargs)

@hook([TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN], lock=True)
async def audit(*args, **kwargs):
    print("audit", args[-1].metadata["id"])

@hook(AgentHook.ON_TURN_VALUE, prefix=">")
async def show(agent, turn, value, prefix):
    print(prefix, agent.name, turn.tool.metadata.name, value)

@tool(lock=True, hooks=[announce], step=2)
async def count(to, step):
    """Count up."""
    for number in range(0, to, step):
        await asyncio.sleep(0)
        yield number

@tool
async def total(numbers, start=0):
    return sum(numbers, start)

async def main():
    agent = Agent("counter", "Counts", [count, total])
    agent.hooks.append(show)
    agent.hooks.append(audit)
    counted = Turn(count, args=[lambda: 6], metadata={"id": 1}, hooks=[audit])
    await agent.put(counted)
    await agent.put(Turn("total", kwargs={"numbers": [1, 2], "start": 10}, metadata={"id": 2}))
    async for turn, value in agent.run():
        print(value)
    print(counted.output, counted.stop_reason.value, count.metadata.dict()["description"])

asyncio.run(main())
'''

STREAMED = """
audit 1
called with (6,) {'step': 2}
> counter count 0
0
> counter count 2
2
> counter count 4
4
audit 1
> counter total 13
13
audit 2
[0, 2, 4] completed Count up.
"""

FAIL = """
import asyncio
from pygents import Agent, AgentHook, StopReason, Turn, TurnHook, TurnTimeoutError, hook, tool

@tool()
async def divide(a, b):
    return a / b

@tool()
async def sleep(seconds):
    await asyncio.sleep(seconds)

@hook(AgentHook.ON_TURN_ERROR)
async def on_error(agent, turn, exception):
    print("error", turn.kwargs, repr(exception))

@hook(AgentHook.ON_TURN_TIMEOUT)
async def on_timeout(agent, turn):
    print("timeout", turn.timeout)

async def drain(agent):
    while True:
        try:
            async for _, value in agent.run():
                print(value)
            return
        except TurnTimeoutError as error:
            print(error)
        except ZeroDivisionError as error:
            print(error)

async def main():
    agent = Agent("careful", "Goes on", [divide, sleep])
    agent.hooks.extend([on_error, on_timeout])
    turns = [Turn("divide", kwargs={"a": 1, "b": b}) for b in (0, 2)]
    turns.append(Turn("sleep", args=[60], timeout=0.05))
    turns.append(Turn("divide", args=[9, 3]))
    for turn in turns:
        await agent.put(turn)
    await drain(agent)
    print([str(turn.stop_reason.value) for turn in turns], turns[0].stop_reason is StopReason.ERROR)
    try:
        await agent.put(Turn("unknown"))
    except KeyError as error:
        print(type(error).__name__)

asyncio.run(main())
"""

FAILED = """
error {'a': 1, 'b': 0} ZeroDivisionError('division by zero')
division by zero
0.5
timeout 0.05
Turn timed out after 0.05s
3.0
['error', 'completed', 'timeout', 'completed'] True
UnregisteredToolError
"""

TEAM = """
import asyncio, json
from pygents import Agent, AgentRegistry, Memory, SafeExecutionError, Turn, tool

@tool()
async def draft(topic):
    return Turn("polish", args=[f"about {topic}"])

@tool()
async def polish(text):
    return text.capitalize() + "."

@tool()
async def review(text):
    return f"reviewed: {text}"

async def main():
    writer = Agent("writer", "Writes", [draft, polish])
    reviewer = Agent("reviewer", "Reviews", [review])
    notes = Memory(2)
    await writer.put(Turn("draft", args=["actors"]))
    await writer.put(Turn("draft", args=["mailboxes"]))
    saved = None
    async for turn, value in writer.run():
        if isinstance(value, Turn):
            saved = saved or json.dumps(writer.branch("copy").to_dict())
            try:
                writer.description = "busy"
            except SafeExecutionError as error:
                print(error)
            continue
        await notes.append(value)
        await writer.send_turn("reviewer", Turn("review", args=[value]))
    async for _, value in AgentRegistry.get("reviewer").run():
        print(value)
    print(notes.items, notes)
    for made in (AgentRegistry.get, lambda name: Agent.from_dict(json.loads(saved))):
        copy = made("copy")
        print(copy, [value async for turn, value in copy.run() if turn.tool is polish])
        AgentRegistry.clear()

asyncio.run(main())
"""

TEAMED = """
Cannot change property 'description' while the agent is running.
Cannot change property 'description' while the agent is running.
reviewed: About actors.
reviewed: About mailboxes.
['About actors.', 'About mailboxes.'] Memory(limit=2, len=2)
Agent(name='copy', tools=['draft', 'polish']) ['About mailboxes.']
Agent(name='copy', tools=['draft', 'polish']) ['About mailboxes.']
"""

SYNCHRONOUS = """
import asyncio
from pygents import Agent, Turn, tool

@tool()
async def double(number):
    return 2 * number

agent = Agent("plain", "Built, filled and run on different loops", [double])
for number in range(3):
    asyncio.run(agent.put(Turn(double, args=[number])))

async def consume(most):
    async for _, value in agent.run():
        print(value)
        most -= 1
        if not most:
            break

asyncio.run(consume(1))
asyncio.run(consume(5))
"""

PROGRAMS = {
    "the seed's example": (SEED, "Hello, World!\nHello, World!"),
    "streaming, hooks and fixed arguments": (STREAM, STREAMED),
    "errors and timeouts": (FAIL, FAILED),
    "a team, memory, a branch and a snapshot": (TEAM, TEAMED),
    "several loops": (SYNCHRONOUS, "0\n2\n4"),
}


@pytest.mark.parametrize(("program", "output"), PROGRAMS.values(), ids=PROGRAMS)
def test_the_program_runs_as_it_stands(program, output):
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stderr, done.stdout.strip(), done.returncode) == ("", output.strip(), 0)
