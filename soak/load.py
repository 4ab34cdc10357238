"""Who sends, and who makes trouble: customers tell and ask by chance, and a vandal ends actors from outside."""

import asyncio
import random
from collections.abc import Callable

from pykka import ActorDeadError, Timeout

from soak.books import Books
from soak.crew import Office
from soak.deeds import Deed, Task
from soak.teams import Place, Teams

__all__ = ["Stint", "customer", "make_pass_on", "muster", "vandal"]

BURST = 10
"""Messages that a customer tells before it lets others run."""
PAUSE = 0.02
"""Seconds between two acts of a vandal."""


class Stint:
    """How long customers go on: seconds of the loop, messages, or both."""

    def __init__(self, *, seconds: float, messages: float) -> None:
        self._end = asyncio.get_running_loop().time() + seconds
        self._left = messages

    def begin_message(self) -> bool:
        """Return whether there is another message to send, and count it."""
        self._left -= 1
        return not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether it is time to rest."""
        return self._left < 0 or asyncio.get_running_loop().time() >= self._end


async def customer(teams: Teams, office: Office, chance: random.Random, stint: Stint) -> None:
    """Tell and ask members, by chance, until the stint is over."""
    while stint.begin_message():
        place = chance.choice(teams.places)
        if place.is_crowded:
            await asyncio.sleep(0)
            continue
        (deed,) = chance.choices(list(place.deeds), list(place.deeds.values()))
        if chance.random() < 0.5:
            await _ask(place, office.books.task(deed, asked=True), office.books)
        else:
            task = office.books.task(deed, asked=False)
            office.tell(place.ref, task, place.message(task))
            if chance.randrange(BURST) == 0:
                await asyncio.sleep(0)


async def muster(teams: Teams, office: Office, chance: random.Random) -> None:
    """Have every member do each of its deeds once, so that later nobody does anything for the first time.

    A child keeps the last message that it has run again. A poisonous one that somebody asked is the largest.
    """
    for place in teams.places:
        for deed in chance.sample(list(place.deeds), len(place.deeds)):
            task = office.books.task(deed, asked=False)
            office.tell(place.ref, task, place.message(task))
        await asyncio.sleep(0)
    async with asyncio.TaskGroup() as group:
        for place in teams.places:
            group.create_task(_ask(place, office.books.task(Deed.POISON, asked=True), office.books))


async def _ask(place: Place, task: Task, books: Books) -> None:
    books.asked(task)
    try:
        await place.ask(task)
    except ActorDeadError as error:
        if "takes no more" in str(error):
            books.refused(task)
        else:
            books.answered_with_error()
    except Timeout:
        books.unanswered(task)
    except Exception:  # noqa: BLE001 (it is the answer)
        books.answered_with_error()


def make_pass_on(teams: Teams, office: Office, chance: random.Random) -> Callable[[], None]:
    """Return what tells somebody on this loop to work."""

    def pass_on() -> None:
        place = chance.choice(teams.places)
        task = office.books.task(Deed.WORK, asked=False)
        office.tell(place.ref, task, place.message(task))

    return pass_on


async def vandal(teams: Teams, chance: random.Random, stint: Stint) -> None:
    """Kill and stop members, and now and then a whole team, and fill the places again, until the stint is over."""
    while not stint.is_over:
        team = chance.choice(teams.teams)
        place = chance.choice(team.places)
        match chance.randrange(10):
            case 0:
                await teams.reopen(team)
            case 1 | 2 | 3:
                place.ref.stop(block=False)
            case 4 | 5 | 6:
                await team.stop(place)
            case _:
                place.ref.kill()
        await asyncio.sleep(PAUSE)
        await teams.restore()
