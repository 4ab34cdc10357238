"""The teams: the tree that the crew lives in, and how a place is filled again whose holder has ended."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, override

from pygents.actors.dispatcher import Dispatcher, LoopDispatcher, ThreadDispatcher
from pygents.actors.supervision import Backoff, Restart, Strategy, Supervision
from pygents.actors.supervisor import Supervisor
from pygents.actors.system import ActorSystem
from pygents.hooks import Hook
from pygents.tool import Tool
from soak.crew import Clerk, Office, Worker, make_hook, make_tools, turn_for
from soak.deeds import DECIDE, Deed, Task, for_actors, for_agents, for_threads

if TYPE_CHECKING:
    from pygents.actors.ref import ActorRef

__all__ = ["Place", "Team", "Teams"]

SIZE = 20
"""Places in a team."""
CROWDED = 20
"""Queued messages at which nobody sends more."""
PATIENCE = 30.0
"""Seconds after which nobody waits for an answer any more."""
SHUTDOWN = 0.05
"""Seconds that a stopping actor has for the message in hand."""
POLICIES = [
    Supervision(strategy=strategy, max_restarts=20, within=1, backoff=backoff, decide=DECIDE)
    for strategy in Strategy
    for backoff in (None, Backoff(initial=0.001, maximum=0.05))
]


class Place(ABC):
    """A place in a team. It outlives who holds it."""

    def __init__(self, name: str, restart: Restart) -> None:
        self.name = name
        self.restart = restart
        self.ref: ActorRef[Any]
        self.deeds: Mapping[Deed, int]

    @property
    def is_crowded(self) -> bool:
        """Whether too much is queued already."""
        return len(self.ref.actor_inbox) >= CROWDED

    @abstractmethod
    def fill(self, supervisor: Supervisor) -> None:
        """Start who holds it from now on."""

    def message(self, task: Task) -> object:
        """Return what is sent to have a task done."""
        return task

    async def ask(self, task: Task) -> object:
        """Have a task done, and wait for the answer."""
        return await self.ref.ask_async(task, timeout=PATIENCE)


class ActorPlace(Place):
    """A place for an actor."""

    def __init__(self, name: str, restart: Restart, office: Office, *, threaded: bool) -> None:
        super().__init__(name, restart)
        self.deeds = for_threads if threaded else for_actors
        self._office = office
        self._dispatcher: type[Dispatcher] = ThreadDispatcher if threaded else LoopDispatcher

    @override
    def fill(self, supervisor: Supervisor) -> None:
        options: dict[str, Any] = {"name": self.name, "restart": self.restart, "dispatcher": self._dispatcher}
        self.ref = supervisor.spawn(Worker, self._office, shutdown=SHUTDOWN, **options)


class AgentPlace(Place):
    """A place for an agent."""

    def __init__(self, name: str, restart: Restart, tools: list[Tool], deny: Hook) -> None:
        super().__init__(name, restart)
        self.deeds = for_agents
        self._tools = tools
        self._deny = deny
        self._agent: Clerk

    @override
    def fill(self, supervisor: Supervisor) -> None:
        self._agent = Clerk(self.name, "Does what it is told", self._tools)
        self.ref = supervisor.spawn(self._agent, restart=self.restart, shutdown=SHUTDOWN)

    @override
    def message(self, task: Task) -> object:
        return task if task.deed is Deed.NONSENSE else turn_for(task, self._deny)

    @override
    async def ask(self, task: Task) -> object:
        if task.deed is Deed.NONSENSE:
            return await super().ask(task)
        return await self._agent.ask(turn_for(task, self._deny), timeout=PATIENCE)


class Team:
    """A supervisor, and the places under it."""

    def __init__(self, name: str, policy: Supervision, places: list[Place]) -> None:
        self.name = name
        self.places = places
        self._policy = policy
        self._supervisor: Supervisor

    def open(self, system: ActorSystem) -> None:
        """Make the supervisor, and fill every place."""
        self._supervisor = system.supervisor(self.name, self._policy)
        for place in self.places:
            place.fill(self._supervisor)

    async def stop(self, place: Place) -> None:
        """Have the supervisor stop who holds a place."""
        await self._supervisor.stop(place.name)

    async def restore(self) -> bool:
        """Fill the places again whose holders have ended; return whether there were any."""
        dead = [place for place in self.places if not place.ref.is_alive()]
        for place in dead:
            await place.ref.wait_stopped()
            place.fill(self._supervisor)
        return bool(dead)


class Teams:
    """All teams of a system.

    Args:
        system: the system, which has been entered
        office: what the crew shares
        members: how many places there are
        threads: how many of them are held by actors with a thread of their own

    """

    def __init__(self, system: ActorSystem, office: Office, members: int, threads: int) -> None:
        self._system = system
        places = list(_places(office, members, threads))
        self.teams = [
            Team(f"team-{index}", POLICIES[index % len(POLICIES)], places[index :: max(1, members // SIZE)])
            for index in range(max(1, members // SIZE))
        ]
        self.places = places
        for team in self.teams:
            team.open(system)

    async def restore(self) -> bool:
        """Fill every place again whose holder has ended; return whether there were any."""
        return any([await team.restore() for team in self.teams])

    async def reopen(self, team: Team) -> None:
        """Stop a whole team, and have a new one in its place."""
        await self._system.root.stop(team.name)
        team.open(self._system)


def _places(office: Office, members: int, threads: int) -> Iterator[Place]:
    """Yield places, those for threads first; of the others, three in five are for agents."""
    tools, deny = make_tools(office), make_hook(office)
    restarts = random.Random(0).choices([Restart.TRANSIENT, Restart.PERMANENT, Restart.TEMPORARY], [6, 3, 1], k=members)
    for number, restart in zip(count(), restarts, strict=False):
        name = f"member-{number}"
        if number < threads:
            yield ActorPlace(name, restart, office, threaded=True)
        elif number % 5 < 3:
            yield AgentPlace(name, restart, tools, deny)
        else:
            yield ActorPlace(name, restart, office, threaded=False)
