"""A supervised team: a scout whose line keeps failing, a writer and a clerk, in an actor system that restarts them."""

import asyncio
import logging

from pygents import ActorSystem, Agent, Turn, current_turn, tool
from pygents.actors import ActorRestarted, Directive, Strategy, Supervision

logging.getLogger("pygents.actors").addHandler(logging.NullHandler())  # or failures go to stderr, with tracebacks

WEATHER = {"Oslo": "snow", "Rome": "sun"}


@tool
async def look_up(town: str) -> None:
    """Find the weather out and tell the writer; the line works at the second attempt only."""
    turn = current_turn()
    attempt = turn.attempt if turn else 1  # None outside a turn
    print(f"scout: {town}, attempt {attempt}")
    if attempt == 1:
        raise ConnectionError("the line is down")
    writer.tell(Turn(write, [town, WEATHER[town]]))  # a KeyError for a town that nobody knows


@tool
async def write(town: str, weather: str) -> None:
    """Write a line and tell the clerk."""
    clerk.tell(Turn(file, [f"{weather} in {town}"]))


@tool
async def file(text: str) -> None:
    """Keep a text."""
    clerk.texts.append(text)


class Clerk(Agent):
    """Keeps texts; what it has survives its restarts."""

    texts: list[str]


class Scout(Agent):
    """Says when it is restarted."""

    def on_restart(self, failure: BaseException | None) -> None:
        """Run by the system."""
        print(f"{self.name}: restarted after {failure!r}")


scout = Scout("scout", "Looks the weather up", [look_up])
writer = Agent("writer", "Writes reports", [write])
clerk = Clerk("clerk", "Keeps reports", [file])
clerk.texts = []


async def main() -> None:
    """Send the scout to three towns, one of which fails for good."""
    async with ActorSystem("weather") as system:
        policy = Supervision(strategy=Strategy.REST_FOR_ONE, decide={ConnectionError: Directive.RETRY})
        team = system.supervisor("team", policy)
        team.spawn(clerk)
        team.spawn(scout)
        team.spawn(writer)  # behind the scout, so it is restarted with it
        events = system.events()
        for town in ("Oslo", "Atlantis", "Rome"):
            scout.tell(Turn(look_up, [town]))
        await system.wait_idle()
        print(system.tree())
    print("clerk:", clerk.texts)
    print("restarted:", [event.path async for event in events if isinstance(event, ActorRestarted)])
    for letter in system.dead_letters.where(recipient="team/scout"):
        print(f"dead letter: {letter.message}, {letter.reason.value}: {letter.failure!r}")


asyncio.run(main())
