"""The world of a state machine: actors and agents that do what a message says, and tell the laws what they do."""

import asyncio
import itertools

from pygents import (
    Agent,
    AgentHook,
    AgentRegistry,
    Deny,
    HookRegistry,
    ToolRegistry,
    Turn,
    TurnHook,
    current_agent,
    current_turn,
    hook,
    tool,
)
from pygents.actors import ActorDeadError, AsyncActor, Reply
from pygents.actors.supervision import Restart, Strategy, Supervision
from pygents.actors.system import ActorSystem
from pygents.actors.watch import Terminated
from tests.actors.helpers import cell_of, hang
from tests.actors.laws import ATTEMPTS, DECIDE, NOTE, Escalate, Grave, Job, Laws, Resume, Retry, Stop, job_of

MOST = 6
"""Actors that live at once."""


FAILURES = [Resume, Retry, Stop, Escalate, ValueError, Grave, SystemExit, asyncio.CancelledError]
PAUSES = {"slow": 3.3, "stubborn": 50.5}  # what is stubborn in its first run takes its time in the next one


class Life:
    """What an actor and an agent have in common: each thing that happens is told to the world."""

    async def start_in(self, world: "World", name: str) -> None:
        await world.come_to(name, "on_start")
        await asyncio.sleep(0.01)
        world.note_up(name)

    async def stop_in(self, world: "World", name: str) -> None:
        world.note_down(name)
        await world.come_to(name, "on_stop")

    async def restart_in(self, world: "World", name: str, failure: BaseException | None) -> None:
        world.note_restart(name, failure)
        await world.come_to(name, "on_restart")


class Node(AsyncActor, Life):
    """A plain actor."""

    supervision = Supervision(strategy=Strategy.REST_FOR_ONE, max_restarts=1, decide=DECIDE)

    def __init__(self, world: "World", name: str) -> None:
        super().__init__()
        self._world = world
        self._name = name
        self._fresh = True

    def on_start(self):
        self._world.check(self._fresh, f"{self._name} is restarted as it is")
        self._fresh = False
        return self.start_in(self._world, self._name)

    def on_stop(self):
        return self.stop_in(self._world, self._name)

    def on_failure(self, *failure):
        self._world.note_down(self._name)

    def on_restart(self, failure):
        return self.restart_in(self._world, self._name, failure)

    async def on_receive(self, message):
        if isinstance(message, Terminated):
            return self._world.note_terminated(self._name, message)
        return await self._world.do(self._name, message, self)


class Clerk(Agent, Life):
    """An agent."""

    supervision = Node.supervision
    world: "World"

    def on_start(self):
        return self.start_in(self.world, self.name)

    def on_stop(self):
        return self.stop_in(self.world, self.name)

    def on_restart(self, failure):
        return self.restart_in(self.world, self.name, failure)

    async def on_message(self, message):
        if isinstance(message, Terminated):
            return self.world.note_terminated(self.name, message)
        return await self.world.do(self.name, message, self)


class World(Laws):
    """Who lives, and what they do."""

    def __init__(self, system: ActorSystem) -> None:
        super().__init__(system)
        self.names = (f"n{number}" for number in itertools.count())
        self.plans: dict[tuple[str, str], object] = {}
        self.released = asyncio.Event()
        self.over: list[Reply[object]] = []
        self.tools = self._make_tools()

    def _make_tools(self):
        for registry in (AgentRegistry, HookRegistry, ToolRegistry._table):
            registry.clear()

        @tool()
        async def work(jobs):
            agent = current_agent()
            (job,) = jobs
            self.check(current_turn().attempt == job.begun + 1, f"{job} is at attempt {current_turn().attempt}")
            return await self.do(agent.name, job, agent)

        @tool()
        async def strange():
            """Be none of the agents'."""

        @hook(TurnHook.BEFORE_RUN)
        async def deny(turn):
            return Deny("denied")

        @hook(AgentHook.AFTER_PUT)
        async def count(agent, turn):
            self.accepted += 1
            turn.args[0][0].accepted = True

        self.strange, self.deny, self.count = strange, deny, count
        return [work]

    def living(self) -> list[str]:
        return [name for name, ref in self.refs.items() if ref.is_alive()]

    # What is done to it.

    def spawn(self, parent, kind, **options) -> str:
        """Spawn an actor or an agent under a system, a supervisor, an actor or an agent."""
        name = next(self.names)
        options |= {"shutdown": 2.0, "start_timeout": 2.0}
        if kind is Clerk:
            agent = Clerk(name, "Works", self.tools)
            agent.world = self
            agent.hooks = [self.count]
            try:
                ref = parent.spawn(agent, **options)
            except ActorDeadError:
                agent.ref.stop(block=False)
                raise
        else:
            ref = parent.spawn(Node, self, name, name=name, **options)
        self.refs[name], self.kinds[name] = ref, kind
        self.spawned_at[name] = next(self.moments)
        self.parents[name] = parent
        self.restart_types[name] = options.get("restart", Restart.TRANSIENT)
        return name

    def send(self, sender: str, name: str, what: object, *, asks: bool) -> None:
        """Tell or ask somebody to do something."""
        job = Job(sender, len(self.jobs), what)
        message: object = job
        if self.kinds[name] is Clerk and what not in {"message", "stubborn"}:
            hooks = [self.deny] if what == "deny" else None
            message = Turn("work", [[job]], timeout=1 if what == "late" else None, hooks=hooks)
            if what == "strange":
                message.tool = self.strange
        ref = self.refs[name]
        if asks:
            alive = not ref.actor_inbox.closed
            job.asked = ref.ask(message, block=False)
            self.check(alive or job.asked.done, "one that asks a dead actor is told at once")
        else:
            alive = True
            try:
                ref.tell(message)
            except ActorDeadError:
                alive = False
        if alive:
            self.accepted += 1
            self.jobs.append(job)

    async def watch(self, watcher: str, other: str) -> None:
        pair = watcher, other
        try:
            await self.refs[watcher].watch(self.refs[other])
        except ActorDeadError:
            return
        if self.has_ended(other):
            self.watched_dead[pair] += 1
        else:
            self.watching.add(pair)

    def control(self, name: str, how: str) -> None:
        """Say something to an actor that overtakes its queue."""
        ref, in_hand = self.refs[name], self.refs[name].actor_inbox.in_hand
        if how == "cancel":
            if name in self.busy and in_hand is not None:
                job_of(in_hand.message).cancelled = True
            self.over.append(ref.cancel_turn("by chance"))
        elif how == "pause":
            ref.pause()
            self.paused.add(name)
        elif how == "resume":
            self.paused.discard(name)
            ref.resume()
        elif how == "steer":
            self.over.append(ref.steer(NOTE))
        else:
            ref.stop_now()

    # What happens in it.

    async def come_to(self, name: str, place: str) -> None:
        await self.act(self.plans.pop((name, place), None))

    async def act(self, what: object) -> None:
        if what in {"hang", "late"}:
            await hang()
        elif isinstance(what, type):
            raise what

    async def do(self, name: str, job: Job, actor) -> object:
        """Do what a job says, as one of the actors."""
        self.note_begun(name, job)
        if job.what == "stubborn" and job.begun == 1:
            return await self.be_stubborn(name, job)
        try:
            value = await self.do_what(name, job, actor)
        except asyncio.CancelledError:
            if job.what is not asyncio.CancelledError and job.what != "late" and not job.cancelled:
                self.expect_again(name, job)  # if it was cut, and not killed
            raise
        except Retry:
            self.expect_again(name, job)
            raise
        except BaseException:
            job.begun = ATTEMPTS  # it must not be run again
            raise
        finally:
            self.busy.discard(name)
        job.returned = True
        return value

    async def do_what(self, name: str, job: Job, actor) -> object:
        if job.what in PAUSES:
            await asyncio.sleep(PAUSES[job.what])
        elif job.what == "spawn" and len(self.living()) < MOST:
            self.spawn(actor, Clerk if job.number % 2 else Node)
        elif job.what == "relay":
            for other in self.living():
                self.send(name, other, "fine", asks=job.number % 2)
        elif job.what == "stop":
            self.note_own_stop(name)
            cell_of(self.refs[name]).actor.stop()
        elif job.what == "turn" and isinstance(actor, Clerk):
            follow_up = Job(f"{name} itself", len(self.jobs), "fine", accepted=False)
            self.jobs.append(follow_up)
            return Turn("work", [[follow_up]])
        else:
            await self.act(job.what)
        return job.number

    async def be_stubborn(self, name: str, job: Job) -> object:
        """Wait for a release, and ignore being cancelled; if that has happened, what comes then is late."""
        released, late = self.released, False
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                if not late and job.cancelled:  # its actor goes on as it is
                    self.busy.discard(name)
                elif not late:
                    self.busy.discard(name)
                    self.up.discard(name)  # it will be abandoned
                    self.expect_again(name, job)
                late = True
        if late:
            return "late"
        self.busy.discard(name)
        job.returned = True
        return job.number
