"""Cancelling the turn that a live agent runs: what has ended when it is through, and who is told what."""

import asyncio
import threading
from contextlib import suppress

import pytest

from pygents import (
    ActorSystem,
    Agent,
    AgentHook,
    SafeExecutionError,
    StopReason,
    ToolHook,
    Turn,
    TurnCancelledError,
    TurnHook,
    hook,
    tool,
)
from pygents.actors import ActorDeadError, Directive, Restart, Strategy, Supervision, ThreadDispatcher, TurnFailed
from tests.actors.helpers import PATIENCE, hang, messages_of

ESCALATES = Supervision(decide=lambda error: Directive.ESCALATE)  # so that any directive would end the system


@pytest.fixture
def log():
    return []


@pytest.fixture
def tools(log):
    @tool()
    async def waits(seconds=1_000):
        try:
            await asyncio.sleep(seconds)
        finally:
            log.append("ended")
        return seconds

    @tool()
    async def streams():
        try:
            for number in range(1_000):
                yield number
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(0.5)
            log.append("ended")

    @tool()
    async def calls(functions):  # in a list: a function by itself would be a dynamic argument
        return await functions[0]()

    return [waits, streams, calls]


@pytest.fixture
def agent(tools):
    return Agent("worker", "Works", tools)


class ThreadBlocks:
    """Blocks the thread that it runs on, until it is let go."""

    def __init__(self):
        self.entered, self.let_go = threading.Event(), threading.Event()

    async def run(self):
        self.entered.set()
        self.let_go.wait(PATIENCE)


@pytest.fixture
def thread_blocks():
    blocks = ThreadBlocks()
    yield blocks
    blocks.let_go.set()


def now():
    return asyncio.get_running_loop().time()


async def begun(agent, turn, seconds=2.5):
    """Ask for a turn, and let it run for a while."""
    asked = asyncio.ensure_future(agent.ask(turn))
    await asyncio.sleep(seconds)
    return asked


@pytest.mark.parametrize("name", ["waits", "streams"])
class TestATurnThatIsCancelled:
    async def test_has_ended_when_it_is_through_and_its_agent_goes_on(self, agent, log, name):
        turn = Turn(name)
        async with ActorSystem("s", supervision=ESCALATES) as system:
            ref = system.spawn(agent)
            asked = await begun(agent, turn)
            agent.tell(Turn("waits", args=[1]))
            assert await agent.cancel_turn("enough") is True
            assert log == ["ended"]
            assert turn.stop_reason is StopReason.CANCELLED
            with pytest.raises(TurnCancelledError, match="enough") as caught:
                await asked
            assert caught.value.reason == "enough"
            await system.wait_idle()
            counts = ref.statistics()
            assert (counts.handled, counts.answered_with_error, counts.dead_lettered) == (1, 1, 0)

    async def test_is_handled_if_nobody_asked_for_it(self, agent, name):
        async with ActorSystem("s", supervision=ESCALATES) as system:
            ref = system.spawn(agent)
            agent.tell(Turn(name))
            await asyncio.sleep(1)
            assert await ref.cancel_turn() is True
            assert ref.statistics().handled == 1
            assert list(system.dead_letters) == []

    async def test_is_seen_by_the_hooks_for_a_failure(self, agent, name):
        seen = []

        @hook(TurnHook.ON_ERROR)
        async def on_error(turn, error):
            seen.append((turn.stop_reason, error))

        @hook(AgentHook.ON_TURN_ERROR)
        async def on_turn_error(agent, turn, error):
            seen.append((turn.stop_reason, error))
            return Directive.ESCALATE

        agent.hooks.append(on_turn_error)
        async with ActorSystem("s", supervision=ESCALATES) as system:
            system.spawn(agent)
            events = system.events()
            asked = await begun(agent, Turn(name, hooks=[on_error]))
            await agent.cancel_turn("enough")
            with pytest.raises(TurnCancelledError) as caught:
                await asked
            assert seen == [(StopReason.CANCELLED, caught.value)] * 2
        failures = [event.failure async for event in events if isinstance(event, TurnFailed)]
        assert failures == [caught.value]

    async def test_is_cancelled_whatever_its_tool_raises_then(self, agent, caplog, name):
        async def fails():
            try:
                await hang()
            finally:
                raise ValueError("late")

        turn = Turn("calls", args=[[fails]])
        async with ActorSystem("s", supervision=ESCALATES) as system:
            system.spawn(agent)
            asked = await begun(agent, turn)
            assert await agent.cancel_turn("enough")
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
        assert turn.stop_reason is StopReason.CANCELLED
        assert messages_of(caplog, "told to end and raised, which is dropped")

    async def test_can_be_cancelled_by_several_and_the_first_reason_holds(self, agent, name):
        async with ActorSystem("s") as system:
            system.spawn(agent)
            asked = await begun(agent, Turn(name))
            both = await asyncio.gather(agent.cancel_turn("one"), agent.cancel_turn("two"))
            assert both == [True, True]
            with pytest.raises(TurnCancelledError, match="one"):
                await asked

    async def test_can_be_cancelled_from_another_thread(self, agent, name):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            asked = await begun(agent, Turn(name))
            assert await asyncio.to_thread(lambda: ref.cancel_turn("elsewhere").get(timeout=PATIENCE)) is True
            with pytest.raises(TurnCancelledError, match="elsewhere"):
                await asked

    async def test_is_spent_though_a_siblings_failure_would_have_run_it_again(self, agent, log, name):
        async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
            ref = system.spawn(agent, shutdown=1.0)
            other = Agent("other", "Fails", agent.tools)
            system.spawn(other)
            asked = await begun(agent, Turn(name))

            async def fails():
                raise ValueError

            cancelled = asyncio.ensure_future(agent.cancel_turn("enough"))
            other.tell(Turn("calls", args=[[fails]]))
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            assert await cancelled
            await system.wait_idle()
            assert log == ["ended"]
            assert ref.statistics().accepted == 1


class TestPartialOutput:
    async def test_is_kept(self, agent):
        turn = Turn("streams")
        async with ActorSystem("s") as system:
            system.spawn(agent)
            asked = await begun(agent, turn)
            await agent.cancel_turn()
            assert turn.output == [0, 1, 2]
            asked.cancel()


class TestNothingToCancel:
    async def test_is_said(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            assert await agent.cancel_turn() is False
            assert await agent.ask(Turn("waits", args=[1])) == 1
            assert await agent.cancel_turn() is False
        assert await agent.cancel_turn() is False
        assert await ref.cancel_turn() is False

    async def test_is_said_of_an_agent_in_no_system(self, agent):
        await agent.put(Turn("waits"))
        assert await agent.cancel_turn() is False
        assert len(agent.to_dict()["queue"]) == 1

    @pytest.mark.parametrize("wrong", [None, 1])
    async def test_a_reason_is_a_string(self, agent, wrong):
        with pytest.raises(TypeError, match=f"reason must be .*, not {wrong!r}"):
            await agent.cancel_turn(wrong)


class TestItsOwnCode:
    @pytest.mark.parametrize("event", [None, TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN, ToolHook.BEFORE_INVOKE])
    async def test_cannot_cancel_a_turn(self, agent, tools, event):
        refused = []

        async def cancels(*args):
            with pytest.raises(SafeExecutionError, match="cannot cancel what it handles from within"):
                await agent.cancel_turn()
            with pytest.raises(SafeExecutionError):
                agent.ref.cancel_turn()
            refused.append(True)

        turn = Turn("waits", args=[1]) if event is not None else Turn("calls", args=[[cancels]])
        if event is not None:
            {AgentHook: agent, TurnHook: turn, ToolHook: tools[0]}[type(event)].hooks.append(hook(event)(cancels))
        async with ActorSystem("s") as system:
            system.spawn(agent)
            await agent.ask(turn)
        assert refused == [True]

    async def test_may_have_a_task_of_its_own_do_it(self, agent):
        holder = []

        async def spawns():
            holder.append(asyncio.create_task(agent.cancel_turn("by a task")))
            await hang()

        async with ActorSystem("s") as system:
            system.spawn(agent)
            with pytest.raises(TurnCancelledError, match="by a task"):
                await agent.ask(Turn("calls", args=[[spawns]]))
            assert await holder[0] is True

    async def test_may_cancel_the_turn_of_another_agent(self, agent, tools):
        other = Agent("other", "Waits", tools)

        async def cancels():
            return await other.cancel_turn("by a friend")

        async with ActorSystem("s") as system:
            system.spawn(agent)
            system.spawn(other)
            asked = await begun(other, Turn("waits"))
            assert await agent.ask(Turn("calls", args=[[cancels]])) is True
            with pytest.raises(TurnCancelledError, match="by a friend"):
                await asked


HOOKS = [
    *(AgentHook.BEFORE_TURN, AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN),
    *(TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN, TurnHook.ON_VALUE),
    *(ToolHook.BEFORE_INVOKE, ToolHook.AFTER_INVOKE, ToolHook.ON_YIELD),
]


class TestAHookThatWaits:
    @pytest.mark.parametrize("limit", [None, 1_000])
    @pytest.mark.parametrize("event", HOOKS)
    async def test_is_cancelled(self, agent, tools, log, event, limit):
        @hook(event)
        async def waiting(*args):
            try:
                await hang()
            finally:
                log.append("hook ended")

        turn = Turn("streams" if event in {TurnHook.ON_VALUE, ToolHook.ON_YIELD} else "waits", timeout=None)
        if turn.tool is tools[0]:
            turn.args = [1]
        {AgentHook: agent, TurnHook: turn, ToolHook: turn.tool}[type(event)].hooks.append(waiting)
        async with ActorSystem("s", supervision=ESCALATES, hook_timeout=limit) as system:
            system.spawn(agent)
            asked = await begun(agent, turn)
            assert await agent.cancel_turn("enough") is True
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            assert "hook ended" in log
            assert turn.stop_reason is StopReason.CANCELLED
            agent.hooks.clear()
            turn.tool.hooks.clear()
            assert await agent.ask(Turn("waits", args=[1])) == 1

    async def test_for_what_the_turn_has_failed_by_can_be_cancelled_too(self, agent):
        @hook(AgentHook.ON_TURN_ERROR)
        async def waiting(agent, turn, error):
            await hang()

        async def fails():
            raise ValueError("first")

        agent.hooks.append(waiting)
        async with ActorSystem("s", supervision=ESCALATES) as system:
            system.spawn(agent)
            asked = await begun(agent, Turn("calls", args=[[fails]]))
            assert await agent.cancel_turn("enough") is True
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            agent.hooks.clear()
            assert await agent.ask(Turn("waits", args=[1])) == 1


class TestADynamicArgument:
    async def test_that_waits_is_cancelled(self, agent):
        async def argument():
            await hang()

        turn = Turn("waits", args=[argument])
        async with ActorSystem("s", supervision=ESCALATES) as system:
            system.spawn(agent)
            asked = await begun(agent, turn)
            assert await agent.cancel_turn("enough")
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked


class TestOneThatIgnoresIt:
    @pytest.mark.parametrize("where", ["tool", TurnHook.BEFORE_RUN, AgentHook.BEFORE_TURN])
    async def test_is_abandoned_after_the_shutdown_seconds(self, agent, where, caplog):
        let_go = asyncio.Event()

        async def stubborn(*args):
            while not let_go.is_set():
                with suppress(asyncio.CancelledError):
                    await let_go.wait()

        turn = Turn("waits", args=[1]) if where != "tool" else Turn("calls", args=[[stubborn]])
        if where != "tool":
            (agent if isinstance(where, AgentHook) else turn).hooks.append(hook(where)(stubborn))
        async with ActorSystem("s", supervision=ESCALATES) as system:
            system.spawn(agent, shutdown=3.0)
            asked = await begun(agent, turn, 1)
            assert await agent.cancel_turn("enough") is True
            assert now() == 4
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            assert turn.stop_reason is StopReason.CANCELLED
            agent.hooks.clear()
            assert await agent.ask(Turn("waits", args=[1])) == 1
            let_go.set()
            assert (await system.shutdown()).abandoned == ("worker",)
        assert messages_of(caplog, "worker ignores its cancellation")

    async def test_is_none_if_it_ends_in_time(self, agent):
        async def slow():
            try:
                await hang()
            finally:
                await asyncio.sleep(2.9)

        async with ActorSystem("s", supervision=ESCALATES) as system:
            system.spawn(agent, shutdown=3.0)
            asked = await begun(agent, Turn("calls", args=[[slow]]), 1)
            assert await agent.cancel_turn("enough") is True
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            agent.tell(Turn("waits", args=[1_000]))  # it is not abandoned for the one before
            await asyncio.sleep(50)
            assert (await system.shutdown(drain=False)).abandoned == ()

    @pytest.mark.real_time
    async def test_is_abandoned_though_it_blocks_its_thread(self, agent, thread_blocks):
        async with ActorSystem("s", supervision=ESCALATES) as system:
            system.spawn(agent, shutdown=0.05, dispatcher=ThreadDispatcher)
            asked = asyncio.ensure_future(agent.ask(Turn("calls", args=[[thread_blocks.run]])))
            assert await asyncio.to_thread(thread_blocks.entered.wait, PATIENCE)
            assert await agent.cancel_turn("enough") is True
            with pytest.raises(TurnCancelledError, match="enough"):
                await asked
            assert await agent.ask(Turn("waits", args=[0])) == 0
            thread_blocks.let_go.set()


class TestWhatGoesFirst:
    async def test_a_kill_overtakes_it(self, agent, log):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent)
            asked = await begun(agent, Turn("waits"))
            cancelled = ref.cancel_turn("enough")
            ref.kill()
            with pytest.raises((ActorDeadError, TurnCancelledError)):
                await asked
            assert await cancelled is True
            await ref.wait_stopped()
            assert log == ["ended"]
            counts = ref.statistics()
            assert counts.accepted == counts.dead_lettered == 1

    async def test_a_timeout_at_the_same_moment_does_not_end_it_twice(self, agent, log):
        turn = Turn("waits", timeout=2)
        async with ActorSystem("s", supervision=Supervision(decide=lambda _: Directive.RESUME)) as system:
            ref = system.spawn(agent)
            asked = await begun(agent, turn, 2)
            await agent.cancel_turn("enough")
            with pytest.raises((TurnCancelledError, TimeoutError)):
                await asked
            assert log == ["ended"]
            assert ref.statistics().accepted == ref.statistics().answered_with_error == 1
            assert await agent.ask(Turn("waits", args=[1])) == 1

    async def test_an_asker_that_gave_up_changes_nothing(self, agent):
        async with ActorSystem("s") as system:
            ref = system.spawn(agent, restart=Restart.TEMPORARY)
            asked = await begun(agent, Turn("waits"))
            asked.cancel()
            assert await agent.cancel_turn() is True
            assert ref.is_alive()


async def test_a_sleeping_tool_is_through_within_three_iterations_of_the_loop(agent):
    async with ActorSystem("s") as system:
        ref = system.spawn(agent)
        await begun(agent, Turn("waits"))
        cancelled = ref.cancel_turn()
        iterations = 0
        while not cancelled.done:
            await asyncio.sleep(0)
            iterations += 1
        assert iterations <= 3
