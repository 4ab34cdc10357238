"""Actors that ask each other at random: a ring of waits is refused, nothing else is, and every script ends."""

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygents.actors import AskCycleError, AsyncActor, Timeout
from pygents.actors.system import ActorSystem
from pygents.testing import run

NAMES = "abcd"


@dataclass
class Step:
    """What a handler does next."""

    how: str
    target: str
    script: "list[Step]"
    seconds: int


@dataclass
class Message:
    number: int
    script: list[Step]


HOW = ["ask", "ask", "ask", "ask in time", "send and await", "tell", "begin", "pause"]


@st.composite
def scripts(draw):
    """Draw some scripts: each step's own script is one of those before."""
    made: list[list[Step]] = [[]]
    for _ in range(draw(st.integers(1, 6))):
        step = st.builds(Step, st.sampled_from(HOW), st.sampled_from(NAMES), st.sampled_from(made), st.integers(0, 3))
        made.append(draw(st.lists(step, max_size=3)))
    return made


@dataclass
class Model:
    """Who waits for whom: an edge for each handler that waits, until it is answered or goes on."""

    edges: dict[str, tuple[str, int]] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    refused: int = 0
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def closes(self, asker, target, number):
        while target != asker:
            target, waits_for = self.edges.get(target, (None, None))
            if target is None or waits_for in self.answered:
                return False
        return number not in self.answered

    async def wait(self, asker, target, number, work):
        """Await an answer as one of the actors, and see that this is refused if, and only if, it closes a ring."""
        expected = self.closes(asker, target, number)
        if not expected:
            self.edges[asker] = target, number
        refused = False
        try:
            await work
        except AskCycleError as error:
            refused = True
            self.refused += 1
            if error.cycle[:2] != (asker, target)[: len(error.cycle)]:
                self.problems.append(f"{asker} asks {target}, and is told of {error.cycle}")
        except (Timeout, TimeoutError):
            pass
        finally:
            if not expected:
                del self.edges[asker]
        if refused is not expected:
            self.problems.append(f"{asker} asks {target}: {refused=}, {expected=}, {self.edges}")


class Follows(AsyncActor):
    """Does what the script of a message says."""

    def __init__(self, name, model, refs):
        super().__init__()
        self.name, self.model, self.refs = name, model, refs
        self.tasks = []

    async def on_receive(self, message):
        try:
            for each in message.script:
                await self.follow(each)
        finally:
            self.model.answered.add(message.number)

    async def follow(self, each):
        model, ref = self.model, self.refs[each.target]
        number = next(model.numbers)
        message = Message(number, each.script)
        match each.how:
            case "ask":
                await model.wait(self.name, each.target, number, ref.ask_async(message))
            case "ask in time":
                work = ref.ask_async(message)
                await model.wait(self.name, each.target, number, asyncio.wait_for(work, 0.5 + each.seconds))
            case "send and await":
                reply = ref.ask(message, block=False)
                await asyncio.sleep(each.seconds)
                await model.wait(self.name, each.target, number, reply)
            case "tell":
                ref.tell(message)
            case "begin":
                self.tasks.append(asyncio.create_task(ref.ask_async(message)))
            case "pause":
                await asyncio.sleep(each.seconds)


async def follow_all(messages):
    model, refs = Model(), {}
    async with ActorSystem("s") as system:
        for name in NAMES:
            refs[name] = system.spawn(Follows, name, model, refs, name=name)
        tasks = [ref._actor_weakref().tasks for ref in refs.values()]
        for name, script, seconds in messages:
            refs[name].tell(Message(next(model.numbers), script))
            await asyncio.sleep(seconds)
        await system.wait_idle()  # if they waited for each other, nothing could happen, and the loop says so
        while waiting := [task for begun in tasks for task in begun if not task.done()]:
            await asyncio.wait(waiting)
            await system.wait_idle()
        counts = system.statistics()
        assert counts.handled == counts.accepted
        assert model.edges == {}
        assert all(ref._cell().waits_for is None for ref in refs.values())
    assert model.problems == []
    return model.refused


messages = scripts().flatmap(
    lambda made: st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(made), st.integers(0, 2)), max_size=5)
)


@settings(deadline=None)
@given(messages)
def test_an_ask_is_refused_if_and_only_if_it_closes_a_ring_and_every_script_ends(messages):
    run(follow_all(messages))


async def test_the_law_sees_rings():
    back = Step("ask", "a", [], 0)
    ring = Step("ask", "b", [Step("ask", "c", [back], 0)], 0)
    assert await follow_all([("a", [ring], 0)]) == 1
    assert await follow_all([("a", [ring], 0), ("d", [Step("ask", "d", [], 0)], 0)]) == 2


@pytest.mark.parametrize("how", ["tell", "begin", "pause"])
async def test_the_law_sees_no_ring_where_none_is(how):
    assert await follow_all([("a", [Step("ask", "b", [Step(how, "a", [], 1)], 0)], 0)]) == 0
