"""A chat agent that is steered in the middle of its answer, paused, and cancelled: `python examples/steered_chat.py`.

The model here takes a line from a script every tenth of a second; put a request to a real one in its place.
"""

import asyncio
from collections.abc import AsyncIterator

from pygents import ActorSystem, Agent, AgentHook, Turn, TurnCancelledError, hook, steering, tool

STORY = ["Once", "there", "was", "a", "fox", "who", "lived", "in", "a", "wood"]


@tool
async def answer(question: str) -> AsyncIterator[str]:
    """Stream an answer, word by word; a note that comes meanwhile goes into it."""
    print(f"> {question}")
    try:
        for word in STORY:
            await asyncio.sleep(0.1)
            note = steering.take_nowait()
            yield word if note is None else f"({note}!) {word}"
    finally:
        print("the model is let go")


@hook(AgentHook.ON_TURN_VALUE)
async def show(agent: Agent, _turn: Turn[str], word: str) -> None:
    """Print a word as it comes, and pass it on."""
    print(f"{agent.name}: {word}")
    heard.put_nowait(word)


@hook([AgentHook.ON_PAUSE, AgentHook.ON_RESUME])
async def tell(agent: Agent) -> None:
    """Print when the agent reaches the gate, and when it leaves it."""
    print(f"{agent.name} is {'paused' if agent.is_paused else 'back'}")


heard: asyncio.Queue[str] = asyncio.Queue()


async def hear(word: str) -> None:
    """Listen until a word comes."""
    while await heard.get() != word:
        pass


async def main() -> None:
    """Ask for two stories, and change one's mind twice."""
    chat = Agent("chat", "Tells stories", [answer])
    chat.hooks += [show, tell]
    async with ActorSystem("system") as system:
        system.spawn(chat)
        told = asyncio.create_task(chat.ask(Turn(answer, ["Tell me a story"])))
        await hear("there")
        chat.tell(Turn(answer, ["And another one"]))  # it waits its turn

        await chat.steer("shorter")  # the turn that is running reads it
        await hear("a")
        chat.pause()  # no other turn is begun
        print("cancelled:", await chat.cancel_turn("that is enough"))
        try:
            await told
        except TurnCancelledError as error:
            print(error)
        print(system.tree())

        chat.ref.stop_now()  # nor is the other story wanted
        print("ended:", (await chat.ref.wait_stopped()).value)
        print("not told:", *(letter.message for letter in system.dead_letters))


if __name__ == "__main__":
    asyncio.run(main())
