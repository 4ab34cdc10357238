"""A system of a few actors and agents in a random tree, under everything that can happen to them, in any order.

What happens is drawn here; the laws that must hold are in ``world``. Time is virtual.
"""

import asyncio
import logging
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pygents.actors import ActorDeadError
from pygents.actors.supervision import Backoff, Directive, Restart, Strategy, Supervision
from pygents.actors.system import ActorSystem
from pygents.testing import VirtualTimeLoop
from tests.actors.helpers import cell_of
from tests.actors.laws import DECIDE, Escalate
from tests.actors.world import FAILURES, MOST, Clerk, Node, World

PATIENCE = 10_000.0  # virtual seconds

POLICIES = st.builds(
    Supervision,
    strategy=st.sampled_from(Strategy),
    max_restarts=st.integers(0, 3),
    within=st.sampled_from([5.0, 1_000_000.0]),
    backoff=st.sampled_from([None, Backoff(initial=0.5, maximum=2.0, jitter=0.0)]),
    decide=st.just(DECIDE),
)
JOBS = ["fine", "slow", "hang", "stubborn", "spawn", "relay", "stop", "turn", "message", "deny", "strange", "late"]
WHATS = st.lists(st.sampled_from([*JOBS, *FAILURES]), min_size=1, max_size=5)
PAUSES = st.sampled_from([0.0, 0.02, 1.0])
PLACES = st.sampled_from(["on_start", "on_stop", "on_restart"])
WAYS = st.sampled_from(["hang", *FAILURES])
ACTORS = st.tuples(
    st.sampled_from([Node, Clerk]),
    st.sampled_from(Restart),
    st.none() | POLICIES,
    st.none() | st.tuples(PLACES, WAYS),
)


class Machine(RuleBasedStateMachine):
    world: World

    def __init__(self):
        super().__init__()
        logging.disable(logging.CRITICAL)  # thousands of failures, each with its traceback
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)

    def run(self, work):
        async def bounded():
            async with asyncio.timeout(PATIENCE):
                return await work()

        return self.runner.run(bounded())

    @initialize(
        data=st.data(),
        strategy=st.sampled_from(Strategy),
        drain=st.booleans(),
        supervisors=st.lists(POLICIES, min_size=1, max_size=3),
        actors=st.lists(ACTORS, min_size=2, max_size=5),
    )
    def start(self, data, strategy, drain, supervisors, actors):
        decide = DECIDE | {Escalate: Directive.RESTART}
        self.system = ActorSystem("s", supervision=Supervision(strategy=strategy, max_restarts=9_999, decide=decide))
        self.drain = drain
        self.supervisors = []

        async def enter():
            await self.system.__aenter__()
            self.system._body.leave(None)
            self.world = World(self.system)

        self.run(enter)
        for policy in supervisors:
            self.supervise(data, policy, Restart.TRANSIENT)
        for actor in actors:
            self.spawn(data, *actor)
        self.send(data, ["spawn"], 0.02, asks=False)

    @rule(data=st.data(), policy=POLICIES, restart=st.sampled_from(Restart))
    def supervise(self, data, policy, restart):
        if len(self.supervisors) >= 3:
            return

        async def do():
            name = f"s{next(self.world.moments)}"
            with suppress(ActorDeadError):  # it has just stopped
                supervisor = self.parent(data).supervisor(name, policy, restart=restart)
                self.supervisors.append(supervisor)

        self.run(do)

    def parent(self, data):
        self.supervisors = [one for one in self.supervisors if not one.transitions.closed]
        return data.draw(st.sampled_from([self.system, *self.supervisors]))

    def somebody(self, data, names=None):
        names = list(self.world.refs if names is None else names)
        return data.draw(st.sampled_from(names)) if names else None

    @rule(data=st.data(), actor=ACTORS)
    def spawn_one(self, data, actor):
        self.spawn(data, *actor)

    def spawn(self, data, kind, restart, own, failing):
        if len(self.world.living()) >= MOST:
            return
        parent = self.parent(data)

        async def do():
            options = {} if parent is self.system else {"supervision": own}  # or the system would fail
            with suppress(ActorDeadError):  # it has just stopped
                name = self.world.spawn(parent, kind, restart=restart, **options)
                if failing is not None:
                    self.world.plans[name, failing[0]] = failing[1]

        self.run(do)

    @rule(data=st.data(), whats=WHATS, pause=PAUSES)
    def tell(self, data, whats, pause):
        self.send(data, whats, pause, asks=False)

    @rule(data=st.data(), whats=WHATS, pause=PAUSES)
    def ask(self, data, whats, pause):
        self.send(data, whats, pause, asks=True)

    def send(self, data, whats, pause, *, asks):
        name = self.somebody(data)

        async def do():
            for what in whats:
                self.world.send("test", name, what, asks=asks)
            await asyncio.sleep(pause)

        if name is not None:
            self.run(do)

    @rule(data=st.data(), place=PLACES, way=WAYS)
    def plan(self, data, place, way):
        if (name := self.somebody(data)) is not None:
            self.world.plans[name, place] = way

    @rule(data=st.data(), how=st.sampled_from(["stop", "by name", "kill"]))
    def end(self, data, how):
        name = self.somebody(data)

        async def do():
            ref = self.world.refs[name]
            if how == "kill":
                ref.kill()
                for child in self.world.children_of(name):
                    self.world.check(not self.world.refs[child].is_alive(), f"{child} outlives its parent {name}")
            elif how == "stop":
                ref.stop(block=False)
            elif ref.is_alive():
                cell_of(ref).parent.stop(name)

        if name is not None:
            self.run(do)

    @rule(data=st.data(), how=st.sampled_from(["cancel", "pause", "resume", "steer", "stop now"]), pause=PAUSES)
    def control(self, data, how, pause):
        at_work = sorted(self.world.busy) if how in {"cancel", "steer"} else []
        name = self.somebody(data, at_work or None)

        async def do():
            self.world.control(name, how)
            await asyncio.sleep(pause)

        if name is not None:
            self.run(do)

    @rule(data=st.data())
    def end_supervisor(self, data):
        parent = self.parent(data)

        async def do():
            (self.system.root if parent._parent is None else parent._parent).stop(parent.name)

        if parent is not self.system:
            self.run(do)

    @rule(data=st.data())
    def watch(self, data):
        watcher, other = self.somebody(data, self.world.living()), self.somebody(data)
        if watcher is not None and watcher != other:
            self.run(lambda: self.world.watch(watcher, other))

    @rule(seconds=st.sampled_from([0.0, 0.3, 6.0]))
    def wait(self, seconds):
        self.run(lambda: asyncio.sleep(seconds))

    @rule()
    def release(self):
        """Let those end that ignore their cancellation; those that have been cancelled are abandoned by then."""

        async def do():
            await asyncio.sleep(30)
            self.world.released.set()
            self.world.released = asyncio.Event()
            await asyncio.sleep(1)

        self.run(do)

    @invariant()
    def laws_hold(self):
        if not hasattr(self, "world"):
            return
        self.world.check_counts()
        for name in self.world.living():
            if cell_of(self.world.refs[name]).is_idle:
                self.world.check_terminated(name)
        assert not self.world.problems, self.world.problems

    def teardown(self):
        try:
            if hasattr(self, "world"):
                self.check_the_end()
        finally:
            if hasattr(self, "world"):  # a problem may have come before the end
                self.world.released.set()
                self.run(lambda: self.system.shutdown(drain=False))
            self.runner.close()
            logging.disable(logging.NOTSET)

    def check_the_end(self):
        self.run(lambda: asyncio.sleep(100))
        self.laws_hold()
        report = self.run(lambda: self.system.shutdown(drain=self.drain, timeout=20.0))
        assert self.world.living() == []
        assert self.world.system.root.nodes() == []
        self.world.check_counts()
        self.world.check_outcomes()
        assert all(reply.done for reply in self.world.over)
        before = self.system.statistics()
        left = self.run(self.others)
        assert len(left) <= len(report.abandoned)
        self.world.released.set()
        self.run(lambda: asyncio.sleep(1))
        assert self.run(self.others) == set()
        assert self.system.statistics() == before
        self.world.check_outcomes()
        assert not self.world.problems, self.world.problems

    async def others(self):
        return asyncio.all_tasks() - {asyncio.current_task()}


TestSystem = Machine.TestCase
TestSystem.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
