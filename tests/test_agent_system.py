"""Agents that live in an actor system: run by it, restarted by it, asked and told."""

import asyncio
import gc
import weakref
from contextlib import aclosing

import pytest

from pygents import (
    ActorSystem,
    Agent,
    AgentHook,
    AgentRegistry,
    Deny,
    Replace,
    SafeExecutionError,
    StopReason,
    Turn,
    TurnDeniedError,
    TurnHook,
    UnregisteredAgentError,
    current_agent,
    current_turn,
)
from pygents import hook as make_hook
from pygents import tool as make_tool
from pygents.actors import (
    ActorDeadError,
    DeadLetterReason,
    Directive,
    Ended,
    Restart,
    StartTimeoutError,
    Strategy,
    Supervision,
)
from tests.actors.helpers import until


@pytest.fixture
def tools():
    @make_tool()
    async def square(n):
        if n == 13:
            raise ConnectionError("unlucky")
        return n * n

    @make_tool()
    async def count(n):
        for number in range(n):
            yield number

    @make_tool()
    async def then(tool, *args):
        return Turn(tool, args=args)

    @make_tool()
    async def call(functions):  # in a list: a function by itself would be a dynamic argument
        return await functions[0]()

    return [square, count, then, call]


@pytest.fixture
def agent(tools):
    return Agent("worker", "Works", tools)


async def test_an_agent_is_asked_and_told(agent):
    async with ActorSystem("s") as system:
        ref = system.spawn(agent)
        ref.tell(Turn("square", args=[2]))
        agent.tell(Turn("square", args=[2]))
        assert await agent.ask(Turn("square", args=[3])) == 9
        assert await agent.ask(Turn("count", args=[3])) == [0, 1, 2]
        assert system.whereis("worker") is ref is agent.ref
        with pytest.raises(ConnectionError, match="unlucky"):
            await agent.ask(Turn("square", args=[13]))
        counts = system.statistics()
        assert (counts.accepted, counts.handled, counts.answered_with_error) == (5, 4, 1)
    with pytest.raises(UnregisteredAgentError):
        AgentRegistry.get("worker")
    with pytest.raises(ActorDeadError):
        await agent.put(Turn("square", args=[1]))


async def test_a_returned_turn_is_the_answer_and_is_run(agent):
    seen = []

    async def note():
        seen.append(current_turn().tool.metadata.name)

    async with ActorSystem("s") as system:
        system.spawn(agent)
        answer = await agent.ask(Turn("then", args=["call", [note]]))
        assert isinstance(answer, Turn)
        await system.wait_idle()
        assert seen == ["call"]
        assert system.statistics().accepted == 2


async def test_what_was_queued_before_is_run(agent):
    await agent.put(Turn("square", args=[2]))
    async with ActorSystem("s") as system:
        system.spawn(agent)
        await system.wait_idle()
        assert system.statistics().handled == 1


async def test_an_agent_survives_its_restart_with_its_attributes(tools):
    class Learner(Agent):
        def on_start(self):
            lives.append("start")

        async def on_restart(self, failure):
            lives.append(f"restart {failure!r}")

        async def on_stop(self):
            lives.append("stop")

        def on_message(self, message):
            return "echo", message

    lives = []
    learner = Learner("learner", "Learns", tools)
    learner.lessons = [1]
    async with ActorSystem("s") as system:
        ref = system.spawn(learner)
        agent_told = ref.tell
        agent_told(Turn("square", args=[13]))
        assert await learner.ask(Turn("square", args=[3])) == 9
        assert await ref.ask_async("hello") == ("echo", "hello")
        assert learner.lessons == [1]
        assert lives == ["start", "restart ConnectionError('unlucky')", "start"]
        (letter,) = system.dead_letters
        assert (letter.reason, letter.recipient) == (DeadLetterReason.FAILED, "learner")
    assert lives[-1] == "stop"


async def test_what_is_no_turn_is_unhandled_and_no_failure(agent):
    async with ActorSystem("s") as system:
        ref = system.spawn(agent)
        ref.tell("what")
        with pytest.raises(TypeError):
            await ref.ask_async("what")
        await system.wait_idle()
        assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.UNHANDLED] * 2
        assert "0 restarts" in system.tree()


async def test_a_turn_knows_its_attempt(agent):
    attempts = []

    async def flaky():
        attempts.append(current_turn().attempt)
        if len(attempts) < 3:
            raise ConnectionError

    async with ActorSystem("s", supervision=Supervision(decide={ConnectionError: Directive.RETRY})) as system:
        system.spawn(agent)
        await agent.ask(Turn("call", args=[[flaky]]))
        assert attempts == [1, 2, 3]


async def test_hooks_run_as_in_a_drain(agent):
    events = []

    def watch(kind):
        async def note(*args):
            events.append(kind.value)

        note.__name__ = kind.value
        agent.hooks.append(make_hook(kind)(note))

    for kind in AgentHook:
        watch(kind)
    async with ActorSystem("s") as system:
        system.spawn(agent)
        await agent.ask(Turn("square", args=[2]))
        with pytest.raises(ConnectionError):
            await agent.ask(Turn("square", args=[13]))
    assert events == [
        *("before_put", "after_put", "before_turn", "on_turn_value", "after_turn"),
        *("before_put", "after_put", "before_turn", "on_turn_error"),
    ]


async def test_a_tool_spawns_children_of_its_agent(agent, tools):
    helper = Agent("helper", "Helps", tools)

    async def hire():
        current_agent().spawn(helper)

    async with ActorSystem("s") as system:
        ref = system.spawn(agent)
        await agent.ask(Turn("call", args=[[hire]]))
        assert system.whereis("worker/helper") is helper.ref
        assert await helper.ask(Turn("square", args=[4])) == 16
        ref.kill()
        assert await ref.wait_stopped() is Ended.KILLED
        assert not helper.ref.is_alive()


async def test_attributes_are_guarded_while_a_turn_is_in_hand_only(agent):
    async def change():
        agent.description = "new"

    async with ActorSystem("s") as system:
        system.spawn(agent)
        with pytest.raises(SafeExecutionError):
            await agent.ask(Turn("call", args=[[change]]))
        agent.description = "other"
        assert agent.description == "other"


async def test_a_killed_agent_cancels_its_tool(agent):
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def long():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with ActorSystem("s") as system:
        ref = system.spawn(agent)
        asked = asyncio.ensure_future(agent.ask(Turn("call", args=[[long]])))
        await begun.wait()
        ref.kill()
        assert await ref.wait_stopped() is Ended.KILLED
        assert ended.is_set()
        with pytest.raises(ActorDeadError):
            await asked


async def test_a_run_that_was_made_before_the_agent_was_spawned_takes_nothing_from_the_system(agent):
    run = agent.run()
    async with ActorSystem("s") as system:
        system.spawn(agent)
        assert await agent.ask(Turn("square", args=[2])) == 4
        with pytest.raises(SafeExecutionError, match="lives in a system"):
            await anext(run)
        assert await agent.ask(Turn("square", args=[3])) == 9


async def test_one_whose_run_was_left_by_break_is_refused_until_that_is_closed_and_told_how_to_leave_it(agent):
    for number in range(3):
        await agent.put(Turn("square", args=[number]))
    async with ActorSystem("s") as system:
        async for _ in agent.run():
            break
        with pytest.raises(SafeExecutionError, match=r"is running: .* `async with aclosing\(agent.run\(\)\)`"):
            system.spawn(agent)
        assert system.root.nodes() == []
        await until(lambda: not agent.ref.actor_inbox.claimed)
        async with aclosing(agent.run()) as results:
            async for _ in results:
                break
        system.spawn(agent)
        assert await agent.ask(Turn("square", args=[3])) == 9


async def test_bad_use_is_refused_at_the_call(agent, tools):
    with pytest.raises(RuntimeError, match="spawn it in an ActorSystem"):
        await agent.ask(Turn("square", args=[1]))
    with pytest.raises(RuntimeError, match="spawn it in an ActorSystem"):
        agent.tell(Turn("square", args=[1]))
    with pytest.raises(RuntimeError, match="no supervisor"):
        agent.spawn(Agent("other", "Other", tools))
    async with ActorSystem("s") as system, ActorSystem("t") as other:
        system.spawn(agent)
        for place in [system, other]:
            with pytest.raises((SafeExecutionError, ValueError)):
                place.spawn(agent)
        with pytest.raises(TypeError, match="as it is"):
            system.spawn(AgentRegistry.get("other"), name="alias")
        with pytest.raises(SafeExecutionError, match="lives in a system"):
            agent.run()
        with pytest.raises(ValueError, match="does not accept"):
            agent.tell(Turn(make_tool()(_stranger)))
        with pytest.raises(TypeError):
            await agent.ask("no turn")
    stopped = Agent("stopped", "Stopped", tools)
    await stopped.stop()
    async with ActorSystem("u") as system:
        with pytest.raises(ActorDeadError):
            system.spawn(stopped)
        assert system.root.nodes() == []


async def _stranger():
    """Do nothing."""


async def test_an_agent_that_starts_slowly_fails(tools):
    class Slow(Agent):
        async def on_start(self):
            await asyncio.sleep(10)

    slow = Slow("slow", "Slow", tools)
    async with ActorSystem("s", supervision=Supervision(decide={StartTimeoutError: Directive.STOP})) as system:
        ref = system.spawn(slow, start_timeout=1.0, restart=Restart.PERMANENT)
        assert await ref.wait_stopped() is Ended.FAILED


async def test_what_hooks_decide_holds_in_a_system(agent):
    @make_hook(TurnHook.BEFORE_RUN)
    async def deny(turn):
        return Deny("not today") if turn.args == [7] else None

    @make_hook(AgentHook.BEFORE_PUT)
    async def double(agent, turn):
        return Replace(args=[2 * turn.args[0]]) if turn.args == [4] else None

    agent.hooks.append(double)
    async with ActorSystem("s") as system:
        ref = system.spawn(agent)
        assert await agent.ask(Turn("square", args=[4])) == 64
        with pytest.raises(TurnDeniedError, match="not today"):
            await agent.ask(Turn("square", args=[7], hooks=[deny]))
        ref.tell(Turn("square", args=[7], hooks=[deny]))
        await system.wait_idle()
        assert "0 restarts" in system.tree()
        counts = system.statistics()
        assert (counts.handled, counts.answered_with_error, counts.dead_lettered) == (2, 1, 0)


async def test_a_restored_turn_whose_tool_had_completed_is_not_run_again(agent, tools):
    runs, stored = [], []

    async def once():
        runs.append(1)
        return "done"

    @make_hook(AgentHook.AFTER_TURN)
    async def after(one, turn):
        stored.append(one.to_dict())

    agent.hooks.append(after)
    await agent.put(Turn("call", args=[[once]]))
    async for _ in agent.run():
        pass
    await agent.stop()
    snapshot = stored[0]
    snapshot["current_turn"]["args"] = [[]]
    restored = Agent.from_dict(snapshot)
    async with ActorSystem("s") as system:
        system.spawn(restored)
        await system.wait_idle()
    assert len(runs) == 1
    assert len(stored) == 2, "what follows a turn is done"


async def test_an_agent_that_has_lived_in_a_system_is_collected_as_any_other(tools):
    async with ActorSystem("s") as system:
        agent = Agent("gone", "Has lived", tools)
        system.spawn(agent)
        await agent.ask(Turn("square", args=[2]))
    trace = weakref.ref(agent)
    del agent, system
    gc.collect()
    assert trace() is None


class Stubborn:
    """Ignores its cancellation in its first run, until it is released."""

    def __init__(self, late):
        self.runs = []
        self.released = asyncio.Event()
        self.ended = asyncio.Event()
        self._late = late

    async def __call__(self):
        self.runs.append(current_turn().attempt)
        if len(self.runs) > 1:
            await asyncio.sleep(50)
            return "again"
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue
        self.ended.set()
        return self._late() if callable(self._late) else self._late


class TestATurnWhoseToolIgnoresItsCancellation:
    @pytest.mark.parametrize("streams", [False, True])
    @pytest.mark.parametrize("late", ["late", lambda: Turn("square", args=[2]), lambda: 1 / 0], ids=str)
    async def test_is_run_again_and_what_the_late_one_ends_in_comes_to_nothing(self, tools, late, streams):
        @make_tool()
        async def stream(functions):
            yield await functions[0]()

        seen = []

        def watch(event):
            async def note(*args):
                seen.append(event)

            note.__name__ = f"note_{event.name}"
            return make_hook(event)(note)

        stubborn = Stubborn(late)
        agent = Agent("stubborn", "Ignores", [*tools, stream])
        events = [event for event in AgentHook if "PUT" not in event.name and event is not AgentHook.BEFORE_TURN]
        agent.hooks = [watch(event) for event in events]
        async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
            system.spawn(agent, shutdown=1)
            failing = Agent("failing", "Fails", tools)
            system.spawn(failing)
            turn = Turn("stream" if streams else "call", args=[[stubborn]])
            asked = asyncio.ensure_future(agent.ask(turn))
            await asyncio.sleep(1)
            failing.tell(Turn("square", args=[13]))
            await asyncio.sleep(10)
            assert (stubborn.runs, turn.running) == ([1, 2], True)
            stubborn.released.set()
            await stubborn.ended.wait()
            await asyncio.sleep(10)
            assert (seen, turn.running, turn.stop_reason, asked.done()) == ([], True, None, False)
            assert await asked == (["again"] if streams else "again")
            await system.wait_idle()
            assert (turn.running, turn.stop_reason) == (False, StopReason.COMPLETED)
            assert seen == [AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN]
            counts = system.statistics()
            assert (counts.accepted, counts.handled, counts.dead_lettered) == (2, 1, 1)

    async def test_can_be_sent_again_when_its_agent_was_killed(self, tools):
        stubborn = Stubborn("late")
        agent = Agent("stubborn", "Ignores", tools)
        other = Agent("other", "Takes over", tools)
        async with ActorSystem("s") as system:
            ref = system.spawn(agent, shutdown=1)
            turn = Turn("call", args=[[stubborn]])
            agent.tell(turn)
            await asyncio.sleep(1)
            ref.kill()
            await ref.wait_stopped()
            assert (turn.running, turn.stop_reason) == (False, StopReason.CANCELLED)
            system.spawn(other)
            system.dead_letters.redrive_all(to="other")
            stubborn.released.set()
            await system.wait_idle()
            assert (turn.output, turn.stop_reason) == ("again", StopReason.COMPLETED)
