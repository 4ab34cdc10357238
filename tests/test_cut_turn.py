"""A turn that its system cuts: by a kill, a stop or a sibling's restart. That is its outcome, whatever raises then."""

import asyncio
import logging

import pytest

from pygents import ActorSystem, Agent, AgentHook, Deny, StopReason, ToolHook, Turn, TurnHook, current_turn, hook, tool
from pygents.actors import (
    ActorDeadError,
    ActorFailed,
    AsyncActor,
    DeadLetterReason,
    Directive,
    Statistics,
    Strategy,
    Supervision,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from tests.actors.helpers import hang

PLACES = [
    *("tool", "stream", "on_message"),
    *(AgentHook.BEFORE_TURN, AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN, AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT),
    *(AgentHook.ON_TURN_ERROR, TurnHook.BEFORE_RUN, TurnHook.ON_VALUE, TurnHook.AFTER_RUN, TurnHook.ON_ERROR),
    *(ToolHook.BEFORE_INVOKE, ToolHook.AFTER_INVOKE),
]
LATE = [AgentHook.ON_TURN_ERROR, TurnHook.ON_ERROR]


class Breaks:
    """Waits, and fails when that is cancelled, or does something else."""

    def __init__(self, then=None):
        self.runs = []
        self._then = then

    async def __call__(self):
        self.runs.append(current_turn().attempt if current_turn() is not None else 1)
        if len(self.runs) > 1:
            return None
        try:
            await hang()
        except asyncio.CancelledError:
            if self._then is None:
                raise ConnectionError("broken while closing") from None
            return self._then


class Worker(Agent):
    breaks: Breaks

    async def on_message(self, message):
        await self.breaks()


class Fails(AsyncActor):
    def on_receive(self, message):
        raise ValueError(message)


def make(place, breaks, seen=()):
    """Return an agent, and a message for it that comes to the place."""

    async def act(*args, **kwargs):
        return await breaks()

    hooks = [] if isinstance(place, str) and not hasattr(place, "name") else [hook(place)(act)]

    @tool(hooks=hooks if isinstance(place, ToolHook) else None)
    async def work():
        if place == "tool":
            await breaks()
        if place in LATE:
            raise OSError
        return Turn("then") if place in {AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT, AgentHook.AFTER_TURN} else "done"

    @tool()
    async def then():
        return "then"

    @tool()
    async def stream():
        yield 1
        if place == "stream":
            await breaks()

    agent = Worker("worker", "Works", [work, then, stream])
    agent.breaks = breaks
    agent.hooks = [*seen, *(hooks if isinstance(place, AgentHook) else [])]
    if place == "on_message":
        return agent, "message"
    streams = place in {"stream", TurnHook.ON_VALUE}
    of_the_turn = [*seen, *(hooks if isinstance(place, TurnHook) else [])]
    return agent, Turn("stream" if streams else "work", hooks=of_the_turn)


@pytest.fixture
def seen():
    return []


def watch(seen, *events):
    def watcher(event):
        async def note(*args):
            seen.append(event)

        note.__name__ = f"note_{event.name}"
        return hook(event)(note)

    return [watcher(event) for event in events]


@pytest.fixture
def watchers(seen):
    return watch(seen, AgentHook.ON_TURN_ERROR, TurnHook.ON_ERROR)


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_has_not_failed_whatever_raises_when_it_is_cut(place, how, seen, watchers, caplog):
    breaks = Breaks()
    agent, message = make(place, breaks, [] if place in LATE else watchers)
    policy = Supervision(decide={BaseException: Directive.ESCALATE})
    async with ActorSystem("s", supervision=policy) as system:
        events = system.events()
        system.spawn(agent, shutdown=1)
        asked = agent.ref.ask(message, block=False)
        await asyncio.sleep(1)
        assert breaks.runs == [1]
        agent.ref.kill() if how == "killed" else await system.root.stop("worker")
        with pytest.raises(ActorDeadError):
            await asked
        (letter,) = [letter for letter in system.dead_letters if letter.message is message]
        assert letter.reason is DeadLetterReason.CUT
        put = place is AgentHook.AFTER_PUT
        assert system.statistics() == Statistics(accepted=1 + put, dead_lettered=1 + put)
        assert agent.ref.statistics() == system.statistics()
    told = [event async for event in events]
    assert not any(isinstance(event, ActorFailed) for event in told)
    assert seen == []
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info].count("broken while closing") == 1
    if isinstance(message, Turn):
        assert sum(isinstance(event, TurnStarted) for event in told) == 1
        assert [type(event.failure) for event in told if isinstance(event, TurnFailed)] == [asyncio.CancelledError]
        begun = place is not AgentHook.BEFORE_TURN
        assert message.stop_reason is ((StopReason.ERROR if place in LATE else StopReason.CANCELLED) if begun else None)


@pytest.mark.parametrize("place", PLACES, ids=str)
async def test_is_run_again_after_a_siblings_restart(place, seen, watchers):
    breaks = Breaks()
    agent, message = make(place, breaks, [] if place in LATE else watchers)
    policy = Supervision(strategy=Strategy.ONE_FOR_ALL, max_restarts=1, decide={OSError: Directive.RESUME})
    async with ActorSystem("s", supervision=policy) as system:
        failing = system.spawn(Fails)
        system.spawn(agent, shutdown=1)
        agent.ref.tell(message)
        await asyncio.sleep(1)
        failing.tell("now")
        await asyncio.sleep(5)
        await system.wait_idle()
        outside = {AgentHook.BEFORE_TURN, AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT, "on_message"}
        assert breaks.runs[:2] == [1, 1 if place in outside else 2]
        counts = agent.ref.statistics()
    returned = {AgentHook.BEFORE_PUT: 1, AgentHook.AFTER_TURN: 1, AgentHook.AFTER_PUT: 2}.get(place, 0)
    failed = int(place in LATE)
    assert counts == Statistics(accepted=1 + returned, handled=1 + returned - failed, dead_lettered=failed)
    assert seen == []


async def test_is_not_denied_by_a_hook_that_is_cut():
    agent, turn = make(AgentHook.BEFORE_TURN, Breaks(then=Deny("closing")))
    async with ActorSystem("s") as system:
        system.spawn(agent)
        agent.tell(turn)
        await asyncio.sleep(1)
        agent.ref.kill()
        await agent.ref.wait_stopped()
        assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.CUT]


async def test_is_handled_and_what_it_returned_is_run_if_its_last_hook_ends_when_it_is_cut():
    agent, turn = make(AgentHook.AFTER_TURN, Breaks(then="in time"))
    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        failing = system.spawn(Fails)
        system.spawn(agent, shutdown=1)
        agent.tell(turn)
        await asyncio.sleep(1)
        failing.tell("now")
        await asyncio.sleep(5)
        await system.wait_idle()
        assert agent.ref.statistics() == Statistics(accepted=2, handled=2)


async def test_is_cut_also_by_the_end_of_the_loop(caplog):
    agent, turn = make("on_message", Breaks())

    async def leave_open():
        system = ActorSystem("s")
        await system.__aenter__()
        system.spawn(agent)
        agent.ref.tell(turn)
        await asyncio.sleep(0.01)
        return system

    with caplog.at_level(logging.ERROR):
        system = await asyncio.to_thread(asyncio.run, leave_open())
    assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.CUT]
    assert [text for text in caplog.messages if "dropped" in text] == [
        "worker was cut on 'message' and raised, which is dropped:"
    ]


class Ignores:
    """Ignores its cancellation in its first run, until it is released; then it does what it says."""

    def __init__(self, late):
        self.runs = 0
        self.released = asyncio.Event()
        self._late = late

    async def __call__(self):
        self.runs += 1
        if self.runs > 1:
            await asyncio.sleep(50)
            return
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue
        if self._late is not None:
            raise self._late


def told_of(events):
    return [type(event) for event in events if isinstance(event, (TurnStarted, TurnCompleted, TurnFailed))]


ABANDONED = [place for place in PLACES if place not in {"on_message", AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT}]


@pytest.mark.parametrize("late", [None, OSError("late")], ids=repr)
@pytest.mark.parametrize("place", ABANDONED, ids=str)
class TestThatIgnoresItAndIsAbandoned:
    @pytest.mark.parametrize("how", ["killed", "stopped"])
    async def test_has_ended_once_for_who_reads_the_events(self, place, late, how):
        ignores = Ignores(late)
        agent, turn = make(place, ignores)
        if place is AgentHook.AFTER_TURN:
            turn = Turn("then")  # with no other to put behind the hook
        async with ActorSystem("s") as system:
            events = system.events()
            system.spawn(agent, shutdown=1)
            agent.tell(turn)
            await asyncio.sleep(1)
            agent.ref.kill() if how == "killed" else await system.root.stop("worker")
            await agent.ref.wait_stopped()
            ignores.released.set()
            await asyncio.sleep(1)
        assert told_of([event async for event in events]) == [TurnStarted, TurnFailed]

    async def test_has_ended_once_in_each_run_and_the_late_one_changes_nothing(self, place, late, seen):
        ignores = Ignores(late)
        events = AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN, AgentHook.ON_TURN_ERROR, TurnHook.ON_ERROR
        agent, turn = make(place, ignores, watch(seen, *events))
        policy = Supervision(strategy=Strategy.ONE_FOR_ALL, decide={OSError: Directive.RESUME})
        async with ActorSystem("s", supervision=policy) as system:
            events = system.events()
            failing = system.spawn(Fails)
            system.spawn(agent, shutdown=1)
            agent.tell(turn)
            await asyncio.sleep(1)
            failing.tell("now")
            await asyncio.sleep(10)
            assert ignores.runs == 2
            before = turn.running, turn.stop_reason, [*seen], system.statistics()
            ignores.released.set()
            await asyncio.sleep(1)
            assert (turn.running, turn.stop_reason, seen, system.statistics()) == before
            await system.wait_idle()
            end = TurnFailed if place in LATE else TurnCompleted
            assert agent.ref.statistics().handled == (0 if place in LATE else 2 if place is AgentHook.AFTER_TURN else 1)
        told = told_of([event async for event in events])
        assert told[:4] == [TurnStarted, TurnFailed, TurnStarted, end]
        assert len(told) == (6 if place is AgentHook.AFTER_TURN else 4)


async def test_that_ignores_that_its_time_is_up_has_ended_once():
    ignores = Ignores(None)
    agent, turn = make("tool", ignores)
    turn.timeout = 1
    async with ActorSystem("s", supervision=Supervision(decide={TimeoutError: Directive.RESUME})) as system:
        events = system.events()
        system.spawn(agent, shutdown=1)
        agent.tell(turn)
        await system.wait_idle()
        ignores.released.set()
    assert told_of([event async for event in events]) == [TurnStarted, TurnFailed]
