"""A system of a few actors under everything that can happen to them, in any order: nothing is lost or hung.

The model is small: what was accepted, who asked, who watches. After each step the system comes to rest on virtual time.
"""

import asyncio
import logging
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pygents.actors import ActorDeadError, AsyncActor
from pygents.actors.supervision import Backoff, Directive, Restart, Strategy, Supervision
from pygents.actors.system import ActorSystem
from pygents.actors.watch import Terminated
from pygents.testing import VirtualTimeLoop

MOST = 6
PATIENCE = 10_000.0  # virtual seconds


class Failure(Exception):  # noqa: N818 (it is what an actor is told to raise)
    pass


class Node(AsyncActor):
    """Handles a message as the message says, and writes down who handles what."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__()
        self._world = world
        self._name = name

    async def on_start(self):
        await asyncio.sleep(0.01)

    async def on_receive(self, message):
        world = self._world
        if isinstance(message, Terminated):
            world.terminated[self._name, message.ref.actor_urn] += 1
            return None
        assert self._name not in world.busy, "two at once"
        world.busy.add(self._name)
        try:
            number, what = message
            world.begun.append((self._name, number))
            if what == "slow":
                await asyncio.sleep(3)
            elif what == "hang":
                await asyncio.Event().wait()
            elif what == "spawn" and len(world.living()) < MOST:
                name = f"n{next(world.names)}"
                world.refs[name] = self.spawn(Node, world, name, name=name, shutdown=2.0)
            elif what == "stop":
                self.stop()
            elif what != "fine":
                raise what("fails")
            return number
        finally:
            world.busy.discard(self._name)


class World(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        logging.disable(logging.CRITICAL)  # thousands of failures, each with its traceback
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.names = iter(range(10_000))
        self.refs = {}
        self.busy = set()
        self.begun = []
        self.terminated = Counter()
        self.watches = set()
        self.accepted = 0
        self.asked = []
        self.numbers = iter(range(1_000_000))
        self.failed = False

    def run(self, work):
        async def bounded():
            async with asyncio.timeout(PATIENCE):
                return await work()

        return self.runner.run(bounded())

    def living(self):
        return [name for name, ref in self.refs.items() if ref.is_alive()]

    @initialize(
        strategy=st.sampled_from(Strategy),
        restarts=st.integers(0, 3),
        backoff=st.sampled_from([None, Backoff(initial=0.5, maximum=2.0, jitter=0.0)]),
        directive=st.sampled_from(Directive),
    )
    def start(self, strategy, restarts, backoff, directive):
        policy = Supervision(strategy=strategy, max_restarts=restarts, backoff=backoff)
        self.system = ActorSystem("s", supervision=Supervision(max_restarts=1_000))
        inner = Supervision(
            strategy=strategy,
            max_restarts=restarts,
            backoff=backoff,
            decide={Failure: directive, KeyError: Directive.RESUME},
        )

        async def enter():
            await self.system.__aenter__()
            self.system._body = None
            self.team = self.system.supervisor("team", policy)
            self.inner = self.team.supervisor("inner", inner)

        self.run(enter)

    @rule(
        where=st.sampled_from(["system", "team", "inner"]),
        restart=st.sampled_from(Restart),
    )
    def spawn(self, where, restart):
        if len(self.living()) >= MOST:
            return
        name = f"n{next(self.names)}"
        parent = {"system": self.system, "team": self.team, "inner": self.inner}[where]

        async def do():
            self.refs[name] = parent.spawn(Node, self, name, name=name, restart=restart, shutdown=2.0)

        self.run(do)

    @rule(
        data=st.data(),
        what=st.lists(
            st.sampled_from(["fine", "slow", "hang", "spawn", "stop", Failure, KeyError, ValueError]),
            min_size=1,
            max_size=4,
        ),
        asks=st.booleans(),
        pause=st.sampled_from([0.0, 0.02, 1.0]),
    )
    def send(self, data, what, asks, pause):
        if not self.refs:
            return
        name = data.draw(st.sampled_from(sorted(self.refs)))
        ref = self.refs[name]

        async def do():
            for one in what:
                message = (next(self.numbers), one)
                if asks:
                    alive = ref.is_alive()
                    self.asked.append(ref.ask(message, block=False))
                    self.accepted += alive
                else:
                    try:
                        ref.tell(message)
                    except ActorDeadError:
                        continue
                    self.accepted += 1
            await asyncio.sleep(pause)

        self.run(do)

    @rule(data=st.data(), kill=st.booleans())
    def end(self, data, kill):
        if not self.refs:
            return
        ref = self.refs[data.draw(st.sampled_from(sorted(self.refs)))]

        async def do():
            if kill:
                ref.kill()
            else:
                ref.stop(block=False)

        self.run(do)

    @rule(data=st.data())
    def watch(self, data):
        living = self.living()
        if len(living) < 2:
            return
        watcher, other = data.draw(st.permutations(living))[:2]
        if (watcher, other) in self.watches:
            return

        async def do():
            await self.refs[watcher].watch(self.refs[other])
            self.watches.add((watcher, other))

        self.run(do)

    @rule(seconds=st.sampled_from([0.0, 0.3, 6.0]))
    def wait(self, seconds):
        self.run(lambda: asyncio.sleep(seconds))

    @invariant()
    def counting_law(self):
        if not hasattr(self, "team"):
            return
        counts = self.system.statistics()
        assert counts.accepted == self.accepted, counts
        parts = [counts.handled, counts.answered_with_error, counts.dead_lettered, counts.queued]
        assert min(parts) >= 0, counts
        assert sum(parts) == counts.accepted

    @invariant()
    def at_most_one_terminated(self):
        assert max(self.terminated.values(), default=0) <= 1

    def teardown(self):
        try:
            self.check_the_end()
        finally:
            self.runner.close()
            logging.disable(logging.NOTSET)

    def check_the_end(self):
        if hasattr(self, "team"):
            report = self.run(lambda: self.system.shutdown(drain=False))
            assert report.abandoned == ()
            assert self.living() == []
            self.counting_law()
            assert self.system.statistics().queued == 0
            for reply in self.asked:
                assert reply.done, "everybody who asked is answered"
            orders = {}
            for name, number in self.begun:
                assert number >= orders.get(name, -1), "in the order sent; a retried one again, but nothing overtakes"
                orders[name] = number
            left = self.run(self._others)
            assert left == set()

    async def _others(self):
        return asyncio.all_tasks() - {asyncio.current_task()}


TestSystem = World.TestCase
TestSystem.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
