"""A turn that an agent runs in a system: when its time is up and its tool ignores that, and whose task it runs in."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar

import pytest

from pygents import (
    ActorSystem,
    Agent,
    AgentHook,
    StopReason,
    Turn,
    TurnCancelledError,
    TurnHook,
    TurnTimeoutError,
    hook,
    tool,
)
from pygents.actors import ActorDeadError, DeadLetterReason, Directive, Ended, TurnFailed, TurnStarted

TIMEOUT, SHUTDOWN = 2, 3
KINDS = ["returning", "yielding", "closing", "evaluating"]


class Stubborn:
    """Ignores its cancellation in its first run, until it is released."""

    def __init__(self):
        self.runs = 0
        self.late = None
        self.released = asyncio.Event()
        self.called = []

    async def run(self):
        self.runs += 1
        if self.runs > 1:
            return "again"
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()
        if isinstance(self.late, Exception):
            raise self.late
        return "late"

    def turn(self, kind, **options):
        """Return a turn whose tool, or what comes before or after it, ignores its cancellation."""

        async def argument():
            return await self.run()

        if kind == "evaluating":
            return Turn(kind, args=[argument], kwargs={"called": self.called}, **options)
        return Turn(kind, args=[[self]], **options)


@pytest.fixture
def stubborn():
    return Stubborn()


@pytest.fixture
def agent():
    @tool()
    async def returning(stubborn):
        return await stubborn[0].run()

    @tool()
    async def yielding(stubborn):
        yield await stubborn[0].run()

    @tool()
    async def closing(stubborn):
        try:
            yield "first" if stubborn[0].runs == 0 else await stubborn[0].run()
            if stubborn[0].runs == 0:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                yield "second"
        finally:
            if stubborn[0].runs == 0:
                await stubborn[0].run()

    @tool()
    async def evaluating(value, called):
        called.append(value)
        return value

    @tool()
    async def fine():
        return "fine"

    return Agent("worker", "Works", [returning, yielding, closing, evaluating, fine])


def now():
    return asyncio.get_running_loop().time()


def watch(seen, event, says=None):
    async def note(*args):
        seen.append(event)
        return says

    note.__name__ = f"note_{event.name}"
    return hook(event)(note)


def state_of(turn, system):
    return turn.running, turn.stop_reason, turn.output, turn.end_time, system.statistics()


@pytest.mark.parametrize("kind", KINDS)
class TestATurnWhoseToolIgnoresThatItsTimeIsUp:
    async def test_ends_as_timed_out_and_the_tool_is_abandoned(self, agent, stubborn, kind):
        seen = []
        agent.hooks = [watch(seen, AgentHook.ON_TURN_TIMEOUT), watch(seen, AgentHook.ON_TURN_ERROR)]
        own = [watch(seen, TurnHook.ON_TIMEOUT), watch(seen, TurnHook.ON_ERROR)]
        async with ActorSystem("s") as system:
            system.spawn(agent, shutdown=SHUTDOWN)
            turn = stubborn.turn(kind, timeout=TIMEOUT, hooks=own)
            asked = asyncio.ensure_future(agent.ask(turn))
            other = asyncio.ensure_future(agent.ask(Turn("fine")))
            with pytest.raises(TurnTimeoutError):
                await asked
            assert now() == TIMEOUT + SHUTDOWN
            assert (turn.running, turn.stop_reason) == (False, StopReason.TIMEOUT)
            assert seen == [TurnHook.ON_TIMEOUT, AgentHook.ON_TURN_TIMEOUT]
            assert await other == "fine"
            assert "1 restart" in system.tree()
            counts = system.statistics()
            assert (counts.handled, counts.answered_with_error, counts.dead_lettered) == (1, 1, 0)
            report = await system.shutdown()
            assert report.abandoned == ("worker",)
        stubborn.released.set()

    @pytest.mark.parametrize("late", [None, ValueError("late")], ids=repr)
    async def test_is_not_changed_by_what_the_late_one_ends_in(self, agent, stubborn, kind, late, caplog):
        seen = []
        events = [event for event in AgentHook if "PUT" not in event.name and event is not AgentHook.BEFORE_TURN]
        agent.hooks = [watch(seen, event) for event in events]
        stubborn.late = late
        async with ActorSystem("s") as system:
            system.spawn(agent, shutdown=SHUTDOWN)
            turn = stubborn.turn(kind, timeout=TIMEOUT, hooks=[watch(seen, event) for event in TurnHook])
            with pytest.raises(TurnTimeoutError):
                await agent.ask(turn)
            await system.wait_idle()
            before, told, log = state_of(turn, system), [*seen], len(caplog.records)
            await asyncio.sleep(100)
            assert len(caplog.records) == log, "nobody waits for it"
            stubborn.released.set()
            await asyncio.sleep(100)
            assert (state_of(turn, system), seen, stubborn.called) == (before, told, [])
            assert await agent.ask(turn) == ("again" if kind in {"returning", "evaluating"} else ["again"])
            assert turn.stop_reason is StopReason.COMPLETED
        if late is not None:
            assert "late" in caplog.text

    async def test_is_run_again_beside_the_late_one_if_a_hook_says_so(self, agent, stubborn, kind):
        seen = []
        agent.hooks = [watch(seen, AgentHook.ON_TURN_TIMEOUT, Directive.RETRY)]
        async with ActorSystem("s") as system:
            events = system.events()
            system.spawn(agent, shutdown=SHUTDOWN)
            turn = stubborn.turn(kind, timeout=TIMEOUT)
            assert await agent.ask(turn) == ("again" if kind in {"returning", "evaluating"} else ["again"])
            stubborn.released.set()
            await asyncio.sleep(1)
            assert (turn.stop_reason, turn.attempt) == (StopReason.COMPLETED, 2)
            assert turn.output == ("again" if kind in {"returning", "evaluating"} else ["again"])
        told = [event.attempt async for event in events if isinstance(event, TurnStarted)]
        assert told == [1, 2]

    async def test_is_abandoned_once_if_its_agent_is_killed_meanwhile(self, agent, stubborn, kind):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent, shutdown=SHUTDOWN)
            asked = asyncio.ensure_future(agent.ask(stubborn.turn(kind, timeout=TIMEOUT)))
            await asyncio.sleep(TIMEOUT + 1)
            ref.kill()
            assert await ref.wait_stopped() is Ended.KILLED
            assert now() <= TIMEOUT + 1 + SHUTDOWN
            with pytest.raises(ActorDeadError):
                await asked
            stubborn.released.set()
            report = await system.shutdown()
        assert report.abandoned == ("worker",)

    async def test_comes_to_nothing_if_it_was_abandoned_before(self, agent, stubborn, kind):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent, shutdown=SHUTDOWN)
            turn = stubborn.turn(kind, timeout=20)
            agent.tell(turn)
            await asyncio.sleep(1)
            ref.kill()
            assert await ref.wait_stopped() is Ended.KILLED
            before = state_of(turn, system)
            await asyncio.sleep(100)
            stubborn.released.set()
            await asyncio.sleep(100)
            assert state_of(turn, system) == before
            report = await system.shutdown()
        assert report.abandoned == ("worker",)

    async def test_is_not_abandoned_if_it_ends_soon_enough(self, agent, stubborn, kind):
        async with ActorSystem("s") as system:
            events = system.events()
            system.spawn(agent, shutdown=SHUTDOWN)
            asked = asyncio.ensure_future(agent.ask(stubborn.turn(kind, timeout=TIMEOUT)))
            await asyncio.sleep(TIMEOUT + SHUTDOWN - 1)
            stubborn.released.set()
            with pytest.raises(TurnTimeoutError):
                await asked
            assert now() == TIMEOUT + SHUTDOWN - 1
            report = await system.shutdown()
        assert report.abandoned == ()
        assert [type(event.failure) async for event in events if isinstance(event, TurnFailed)] == [TurnTimeoutError]


async def test_the_hooks_for_a_timeout_are_not_part_of_the_tools_patience(agent, stubborn):
    @hook(TurnHook.ON_TIMEOUT)
    async def slow(turn):
        await asyncio.sleep(10 * SHUTDOWN)

    async with ActorSystem("s") as system:
        system.spawn(agent, shutdown=SHUTDOWN)
        asked = asyncio.ensure_future(agent.ask(stubborn.turn("yielding", timeout=TIMEOUT, hooks=[slow])))
        await asyncio.sleep(TIMEOUT + 1)
        stubborn.released.set()
        with pytest.raises(TurnTimeoutError):
            await asked
        assert now() == TIMEOUT + 1 + 10 * SHUTDOWN
        report = await system.shutdown()
    assert report.abandoned == ()


@pytest.mark.parametrize("error", [ConnectionError("first"), asyncio.CancelledError(), SystemExit()], ids=repr)
async def test_a_hook_before_a_turn_that_raises_fails_that_turn(agent, error):
    @hook(AgentHook.BEFORE_TURN)
    async def refuse_once(agent):
        agent.hooks.clear()
        raise error

    agent.hooks.append(refuse_once)
    async with ActorSystem("s") as system:
        system.spawn(agent)
        first = Turn("fine")
        agent.tell(first)
        assert await agent.ask(Turn("fine")) == "fine"
        (letter,) = system.dead_letters
        assert (letter.message, letter.reason) == (first, DeadLetterReason.FAILED)
        assert first.start_time is None, "its tool has not run"
        assert "1 restart" in system.tree()


class TestAGeneratorTool:
    async def test_that_has_a_scope_fire_while_a_hook_has_its_value_fails_its_turn_only(self):
        @tool()
        async def scoped():
            async with asyncio.timeout(1):
                yield 1

        @tool()
        async def fine():
            return "fine"

        @hook(AgentHook.ON_TURN_VALUE)
        async def slow(agent, turn, value):
            await asyncio.sleep(2)

        agent = Agent("worker", "Works", [scoped, fine])
        agent.hooks = [slow]
        async with ActorSystem("s") as system:
            system.spawn(agent)
            turn = Turn("scoped")
            with pytest.raises(TurnCancelledError):
                await agent.ask(turn)
            assert turn.stop_reason is StopReason.CANCELLED
            assert await agent.ask(Turn("fine")) == "fine"

    async def test_leaves_its_context_variables_to_itself(self):
        var = ContextVar("var", default="untouched")

        @tool()
        async def setting():
            var.set("set")
            yield var.get()
            yield var.get()

        @tool()
        async def reading():
            return var.get()

        agent = Agent("worker", "Works", [setting, reading])
        async with ActorSystem("s") as system:
            system.spawn(agent)
            assert await agent.ask(Turn("setting")) == ["set", "set"]
            assert await agent.ask(Turn("reading")) == "untouched"
