"""An agent against a simple model, whatever its senders and consumers do to it, in any order.

The laws: no turn is lost, none is run twice (but one that its consumer's cancellation cut is run again), their order is
kept, every asker is answered, and a restored snapshot goes on exactly where it was taken, wherever that was.
"""

import asyncio
import copy
import json
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pykka import ActorDeadError

from pygents import (
    Agent,
    AgentHook,
    AgentRegistry,
    HookRegistry,
    ToolRegistry,
    Turn,
    TurnCancelledError,
    TurnTimeoutError,
    hook,
    tool,
)
from pygents.actors import ActorFailedError
from pygents.testing import VirtualTimeLoop


class LeftError(Exception):
    """What a consumer raises to leave its run."""


class CutError(Exception):
    """The model's word for the cancellation of a consumer while a tool works."""


ERRORS = {
    "fails": ValueError,
    "hangs": TurnTimeoutError,
    "strays": TurnCancelledError,
    "exits": SystemExit,
    "streams and fails": ValueError,
}
STREAMS = {"streams", "streams and fails"}


@dataclass
class Job:
    """A message: which turn, or none ("junk"), or the end ("stop")."""

    number: int
    kind: str
    child: "Job | None" = None
    completed: bool = False
    failed: bool = False
    due: str = "after_turn"

    def spec(self):
        return [self.number, self.kind, self.child and self.child.spec()]

    def values(self):
        if self.kind in STREAMS:
            return [[self.number, 0], [self.number, 1]]
        return [] if self.kind in ERRORS else [self.child.spec() if self.child else self.number]

    def message(self):
        return turn_of(self.spec()) if self.kind != "junk" else "junk"


def turn_of(spec):
    name = "stream" if spec[1] in STREAMS else "single"
    return Turn(name, [spec], timeout=5 if spec[1] == "hangs" else 60)


class Model:
    """What an agent should do, one plain step after another."""

    def __init__(self, queue, hand, *, hooked):
        self.queue, self.hand, self.hooked = queue, hand, hooked
        self.asked = set()
        self.answers = {}
        self.begin(0, None, 0)

    def begin(self, at, action, cut_at):
        self.at, self.action, self.cut_at = at, action, cut_at
        self.alive, self.moments, self.steps, self.ran, self.saved = True, 0, 0, [], None

    def moment(self):
        self.moments += 1
        if self.moments == self.at:
            self.action(self)

    def event(self):
        if self.hooked:
            self.moment()

    def step(self):
        self.steps += 1
        self.moment()
        if self.steps == self.cut_at:
            raise CutError

    def put(self, job):
        self.event()
        self.queue.append(job)
        self.event()

    def state(self):
        queue = [job for job in self.queue if job.kind not in {"stop", "junk"}]
        return copy.deepcopy((queue, None if self.hand and self.hand.failed else self.hand))

    def results(self):
        try:
            while self.alive and (self.hand or self.queue):
                if self.hand and self.hand.completed:
                    if self.hand.due == "value":
                        yield from self.show(self.hand, self.hand.values()[0])
                    self.complete()
                elif self.hand is None and self.queue[0].kind == "junk":
                    self.answer(self.queue.pop(0), TypeError)
                elif self.hand is None and self.queue[0].kind == "stop":
                    self.die()
                else:
                    self.event()
                    self.hand = self.hand or self.queue.pop(0)
                    yield from self.work(self.hand)
        finally:
            if any(job.kind == "stop" for job in self.queue):
                self.die()

    def work(self, job):
        self.ran.append(job.number)
        for value in job.values():
            self.step()
            if job.kind not in STREAMS:
                job.completed, job.due = True, "value"
            yield from self.show(job, value)
        if job.kind in STREAMS or job.kind in ERRORS:
            self.step()
        if job.kind in ERRORS:
            job.failed = True
            self.event()
            self.spend(ERRORS[job.kind])
            raise ERRORS[job.kind](job.number)
        self.complete()

    def show(self, job, value):
        self.event()
        job.due = "after_turn"
        try:
            yield value
        except GeneratorExit:
            if job.completed:
                self.complete()
            else:
                self.spend(TurnCancelledError)
            raise

    def complete(self):
        job = self.hand
        job.completed = True
        if job.due != "put":
            self.event()
        job.due = "put"
        if job.child:
            self.event()
            self.queue.append(copy.deepcopy(job.child))
            self.hand = None
            self.event()
        self.hand = job
        self.spend(job.values() if job.kind in STREAMS else job.values()[0])

    def spend(self, outcome):
        job, self.hand = self.hand, None
        self.answer(job, outcome)

    def answer(self, job, outcome):
        if job.number in self.asked:
            self.asked.remove(job.number)
            self.answers[job.number] = outcome

    def die(self):
        self.alive = False
        self.queue = [job for job in self.queue if job.kind != "stop"]
        self.answers.update(dict.fromkeys(self.asked, ActorDeadError))
        self.asked.clear()


def plain(value):
    return value.args[0] if isinstance(value, Turn) else value


class AgentMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        for registry in (AgentRegistry, HookRegistry, ToolRegistry._table):
            registry.clear()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.tools = self.make_tools()
        self.numbers = 0
        self.replies = {}
        self.streams_open = 0

    def make_tools(self):
        @tool()
        async def single(spec):
            number, kind, child = spec
            self.ran.append(number)
            await self.step()
            if kind == "hangs":
                await asyncio.sleep(1000)
            if kind in ERRORS:
                raise asyncio.CancelledError if kind == "strays" else ERRORS[kind](number)
            return turn_of(child) if child else number

        @tool()
        async def stream(spec):
            assert self.streams_open == 0
            self.streams_open += 1
            self.ran.append(spec[0])
            try:
                for n in range(2):
                    await self.step()
                    yield [spec[0], n]
                await self.step()
                if spec[1] in ERRORS:
                    raise ERRORS[spec[1]](spec[0])
            finally:
                await asyncio.sleep(1)
                self.streams_open -= 1

        return [single, stream]

    @initialize(hooked=st.booleans())
    def make(self, hooked):
        async def any_event(*args):
            await self.moment()

        any_event = hook(list(AgentHook))(any_event)
        self.agent = Agent("a", "d", self.tools)
        self.agent.hooks += [any_event] if hooked else []
        self.model = Model([], None, hooked=hooked)
        self.begin(0, None, 0)

    def begin(self, at, action, cut_at):
        self.at, self.action, self.cut_at = at, action, cut_at
        self.moments, self.steps, self.ran, self.saved, self.consumer = 0, 0, [], None, None

    async def moment(self):
        self.moments += 1
        if self.moments == self.at:
            await self.action()

    async def step(self):
        self.steps += 1
        await self.moment()
        if self.steps == self.cut_at:
            self.consumer.cancel()
        await asyncio.sleep(1)

    def job(self, kind, child_kind=None):
        self.numbers += 1
        job = Job(self.numbers, kind)
        if kind == "chains":
            job.child = self.job(child_kind)
        return job

    async def send(self, job, way):
        match way:
            case "put" | "send" if job.kind != "junk":
                other = Agent("other", "d", [])
                await (self.agent.put(job.message()) if way == "put" else other.send_turn("a", job.message()))
                await other.stop()
            case "ask":
                self.replies[job.number] = self.agent.ref.ask(job.message(), block=False)
            case _:
                self.agent.ref.tell(job.message())

    @staticmethod
    def send_to_model(model, job, way):
        if way in {"put", "send"} and job.kind != "junk":
            model.put(job)
        else:
            model.queue.append(job)
        if way == "ask":
            model.asked.add(job.number)

    kinds = st.sampled_from(["value", "value", "streams", "chains", *ERRORS, "junk"])
    child_kinds = st.sampled_from(["value", "streams", "fails"])
    ways = st.sampled_from(["put", "send", "tell", "ask"])

    @rule(kind=kinds, child_kind=child_kinds, way=ways)
    def arrive(self, kind, child_kind, way):
        job = self.job(kind, child_kind)
        self.begin(0, None, 0)
        self.runner.run(self.send(job, way))
        self.model.begin(0, None, 0)
        self.send_to_model(self.model, copy.deepcopy(job), way)

    def prepare(self, action, at, way, cut_at):
        """Have the same thing done at the same moment of the run and of the model's."""
        job = self.job("value")

        async def act():
            if action == "snapshot":
                self.saved = json.loads(json.dumps(self.agent.to_dict()))
            elif action == "stop":
                self.agent.ref.stop(block=False)
            else:
                await self.send(job, way)

        def act_in_model(model):
            if action == "snapshot":
                model.saved = model.state()
            elif action == "stop":
                model.queue.append(Job(0, "stop"))
            else:
                self.send_to_model(model, copy.deepcopy(job), way)

        self.begin(at, act, cut_at)
        self.model.begin(at, act_in_model, cut_at)

    async def consume(self, agent, leave=None, after=0):
        """Return what a consumer got and how its run ended for it."""
        self.consumer, values = asyncio.current_task(), []
        try:
            results = agent.run()
            async for _, value in results:
                values.append(plain(value))
                await self.moment()
                if len(values) == after:
                    if leave == "break":
                        break
                    await self.leave(leave, agent, results)
        except BaseException as error:  # noqa: BLE001 (compared with the model's)
            return values, type(error)
        return values, None

    async def leave(self, way, agent, results):
        match way:
            case "raise":
                raise LeftError
            case "aclose":
                await results.aclose()
            case "stop":
                await agent.stop()
            case "be cancelled":
                self.consumer.cancel()
                await asyncio.sleep(1)

    @staticmethod
    def consume_model(model, leave=None, after=0):
        values, results, outcome = [], model.results(), None
        try:
            for value in results:
                values.append(value)
                model.moment()
                if len(values) == after and leave:
                    results.close()
                    outcome = {"raise": LeftError, "be cancelled": asyncio.CancelledError}.get(leave)
                    if leave == "stop":
                        model.die()
        except CutError:
            outcome = asyncio.CancelledError
        except tuple({*ERRORS.values()}) as error:
            outcome = type(error)
        return values, outcome

    leaves = st.sampled_from([None, None, "break", "raise", "aclose", "stop", "be cancelled"])
    deeds = st.tuples(st.sampled_from(["snapshot", "stop", "arrive"]), st.integers(0, 12), ways)

    @rule(leave=leaves, after=st.integers(1, 4), deed=deeds, cut_at=st.integers(0, 8), at_once=st.booleans())
    def run(self, leave, after, deed, cut_at, at_once):
        """Run once: to the end, a failure, a cancellation in a tool, or until the consumer leaves after some values."""
        self.prepare(*deed, cut_at)
        expected = self.consume_model(self.model, leave, after)
        again = self.model.alive and at_once

        async def main():
            got = await asyncio.create_task(self.consume(self.agent, leave, after))
            if again:  # before what the consumer has left is closed
                assert got == expected
                got = await asyncio.create_task(self.consume(self.agent))
            await asyncio.sleep(100)
            return got

        if again:
            expected_again = self.consume_model(self.model)
        got = self.runner.run(main())
        assert got == (expected_again if again else expected)
        assert (self.ran, self.moments, self.steps) == (self.model.ran, self.model.moments, self.model.steps)
        assert (self.saved is None, self.streams_open) == (self.model.saved is None, 0)
        self.check()
        if self.model.saved or not self.model.alive:
            self.restore(self.saved or self.agent.to_dict(), *(self.model.saved or self.model.state()))

    @rule()
    def stop_and_restore(self):
        self.restore(self.agent.to_dict(), *self.model.state())

    def restore(self, data, queue, hand):
        self.runner.run(self.agent.stop())
        self.model.die()
        self.check_answers()
        self.replies.clear()
        self.agent = Agent.from_dict(data)
        self.model = Model(queue, hand, hooked=self.model.hooked)

    @rule()
    def branch(self):
        """Run a branch to its end, whatever fails on the way; the agent is none the worse for it."""
        child = self.agent.branch("child")
        model = Model(self.model.state()[0], None, hooked=self.model.hooked)
        self.begin(0, None, 0)
        model.begin(0, None, 0)
        while model.queue:
            assert self.runner.run(self.consume(child)) == self.consume_model(model)
        assert self.ran == model.ran
        self.runner.run(child.stop())

    @invariant()
    def check(self):
        if not hasattr(self, "agent"):
            return
        assert self.agent.ref.is_alive() == self.model.alive
        data = self.agent.to_dict()
        queue, hand = self.model.state()
        assert [turn["args"][0] for turn in data["queue"]] == [job.spec() for job in queue]
        current = data["current_turn"]
        assert (current and current["args"][0]) == (hand and hand.spec())
        assert (current is not None and current["stop_reason"] == "completed") == (hand is not None and hand.completed)
        self.check_answers()

    def check_answers(self):
        for number, reply in self.replies.items():
            assert reply.done == (number in self.model.answers)
            if reply.done:
                try:
                    outcome = plain(reply.get(timeout=0))
                except Exception as error:  # noqa: BLE001 (compared with the model's)
                    outcome = type(error)
                expected = self.model.answers[number]
                assert outcome == (ActorFailedError if expected is SystemExit else expected)

    def teardown(self):
        if hasattr(self, "agent"):
            self.runner.run(self.agent.stop())
        self.runner.close()
        AgentRegistry.clear()


TestAgentMachine = AgentMachine.TestCase
TestAgentMachine.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
