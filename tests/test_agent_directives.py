"""Hooks of a live agent as supervisory interceptors: what they direct, how long they may take, what is told of it."""

import asyncio
import logging

import pytest

from pygents import (
    ActorSystem,
    Agent,
    AgentHook,
    Deny,
    StopReason,
    ToolHook,
    Turn,
    TurnDeniedError,
    TurnHook,
    TurnTimeoutError,
    hook,
    tool,
)
from pygents.actors import (
    ActorFailed,
    DeadLetterReason,
    Directive,
    Supervision,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from tests.actors.helpers import hang


@pytest.fixture
def tools():
    @tool()
    async def act(what="fine"):
        if what == "fails":
            raise ValueError(what)
        if what == "hangs":
            await hang()
        return what

    @tool()
    async def call(functions):  # in a list: a function by itself would be a dynamic argument
        return await functions[0]()

    return [act, call]


@pytest.fixture
def agent(tools):
    return Agent("worker", "Works", tools)


def restarts(system):
    return int(system.tree().rpartition(" restart")[0].rpartition(" ")[2])


class TestDirectives:
    async def test_the_first_one_returned_holds_and_all_hooks_run(self, agent, hook_names):
        calls = []
        wanted = [None, Directive.RESUME, Directive.STOP]
        agent.hooks = [hook_names(AgentHook.ON_TURN_ERROR, directive, calls) for directive in wanted]
        async with ActorSystem("s", supervision=Supervision(decide=lambda failure: 1 / 0)) as system:
            system.spawn(agent)
            with pytest.raises(ValueError, match="fails"):
                await agent.ask(Turn("act", args=["fails"]))
            assert await agent.ask(Turn("act")) == "fine"
            assert restarts(system) == 0
        assert calls == wanted

    @pytest.mark.parametrize(
        ("directive", "answer", "restarted"),
        [
            (Directive.RESUME, "fails", 0),
            (Directive.RETRY, "fine", 0),
            (Directive.RESTART, "fails", 1),
        ],
    )
    async def test_each_is_done_whatever_the_policy_says(self, agent, hook_names, directive, answer, restarted):
        runs = []

        async def flaky():
            runs.append(1)
            if len(runs) == 1:
                raise ValueError
            return "fine"

        agent.hooks = [hook_names(AgentHook.ON_TURN_ERROR, directive)]
        async with ActorSystem("s", supervision=Supervision(decide={Exception: Directive.STOP})) as system:
            system.spawn(agent)
            asked = agent.ask(Turn("call", args=[[flaky]]))
            if answer == "fine":
                assert await asked == "fine"
            else:
                with pytest.raises(ValueError):  # noqa: PT011 (the one above)
                    await asked
            await system.wait_idle()
            assert restarts(system) == restarted

    async def test_may_be_given_for_a_timeout(self, agent, hook_names):
        agent.hooks = [hook_names(AgentHook.ON_TURN_TIMEOUT, Directive.RESUME)]
        async with ActorSystem("s") as system:
            system.spawn(agent)
            with pytest.raises(TurnTimeoutError):
                await agent.ask(Turn("act", args=["hangs"], timeout=1))
            await system.wait_idle()
            assert restarts(system) == 0

    async def test_anything_else_is_a_failure_of_the_hooks_own_and_the_policy_decides(self, agent, hook_names, caplog):
        agent.hooks = [hook_names(AgentHook.ON_TURN_ERROR, "resume")]
        async with ActorSystem("s", supervision=Supervision(decide={ValueError: Directive.RESUME})) as system:
            system.spawn(agent)
            with pytest.raises(ValueError, match="fails") as caught:
                await agent.ask(Turn("act", args=["fails"]))
            await system.wait_idle()
            assert restarts(system) == 0
        assert "returned 'resume' for on_turn_error: return a Directive" in caught.value.__notes__[0]
        assert "A hook for on_turn_error raised" in caplog.text

    async def test_is_of_no_effect_in_a_run_by_hand(self, agent, hook_names):
        agent.hooks = [hook_names(AgentHook.ON_TURN_ERROR, Directive.RETRY)]
        await agent.put(Turn("act", args=["fails"]))
        with pytest.raises(ValueError, match="fails"):
            async for _ in agent.run():
                pass

    async def test_is_not_left_over_for_another_failure(self, tools):
        class Slow(Agent):
            async def on_start(self):
                if calls:
                    raise OSError

        calls = []

        @hook(AgentHook.ON_TURN_ERROR)
        async def direct(agent, turn, error):
            calls.append(error)
            return Directive.RESTART

        agent = Slow("slow", "Slow", tools)
        agent.hooks.append(direct)
        policy = Supervision(decide={OSError: Directive.STOP})
        async with ActorSystem("s", supervision=policy) as system:
            ref = system.spawn(agent)
            agent.tell(Turn("act", args=["fails"]))
            await ref.wait_stopped()  # on_start's failure was decided by the policy
        assert len(calls) == 1

    async def test_hooks_for_failure_see_what_a_hook_after_the_turn_raises(self, agent, hook_names):
        @hook(AgentHook.AFTER_TURN)
        async def after(agent, turn):
            raise KeyError("after")

        calls = []
        agent.hooks = [after, hook_names(AgentHook.ON_TURN_ERROR, Directive.RESUME, calls)]
        async with ActorSystem("s") as system:
            system.spawn(agent)
            turn = Turn("act")
            with pytest.raises(KeyError, match="after"):
                await agent.ask(turn)
            await system.wait_idle()
            assert (restarts(system), turn.stop_reason) == (0, StopReason.ERROR)
        assert calls == [Directive.RESUME]


@pytest.fixture
def hook_names():
    """Return what makes a hook with a name of its own."""
    made = []

    def make(event, directive, calls=None):
        async def direct(*args):
            if calls is not None:
                calls.append(directive)
            return directive

        made.append(direct)
        direct.__name__ = f"direct_{len(made)}"
        return hook(event)(direct)

    return make


class TestDenials:
    async def test_of_another_agents_put_is_a_failure_of_the_tool_that_lets_it_out(self, agent, tools):
        @hook(AgentHook.BEFORE_PUT)
        async def refuse(agent, turn):
            return Deny("closed")

        other = Agent("other", "Refuses", tools)
        other.hooks.append(refuse)

        async def pass_on():
            await other.put(Turn("act"))

        async with ActorSystem("s") as system:
            system.spawn(agent)
            with pytest.raises(TurnDeniedError, match="closed"):
                await agent.ask(Turn("call", args=[[pass_on]]))
            await system.wait_idle()
            assert restarts(system) == 1

    async def test_of_another_agents_turn_is_one_too(self, agent, tools):
        @hook(TurnHook.BEFORE_RUN)
        async def refuse(turn):
            return Deny("closed")

        other = Agent("other", "Refuses", tools)

        async def ask():
            await other.ask(Turn("act", hooks=[refuse]))

        async with ActorSystem("s") as system:
            system.spawn(other)
            system.spawn(agent)
            with pytest.raises(TurnDeniedError, match="closed"):
                await agent.ask(Turn("call", args=[[ask]]))
            await system.wait_idle()
            assert "other (running, 0 queued, 0 restarts)" in system.tree()
            assert "worker (running, 0 queued, 1 restart)" in system.tree()

    @pytest.mark.parametrize("event", [ToolHook.BEFORE_INVOKE, AgentHook.BEFORE_TURN, TurnHook.BEFORE_RUN])
    @pytest.mark.parametrize("how", ["returned", "raised"])
    async def test_of_its_own_is_none(self, agent, tools, event, how):
        @hook(event)
        async def refuse(*args):
            if how == "raised":
                raise TurnDeniedError("closed")
            return Deny("closed")

        turn = Turn("act")
        {AgentHook: agent, TurnHook: turn, ToolHook: tools[0]}[type(event)].hooks.append(refuse)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            with pytest.raises(TurnDeniedError, match="closed"):
                await agent.ask(turn)
            await system.wait_idle()
            assert restarts(system) == 0

    async def test_of_a_turn_that_is_returned_is_that_of_the_turn_that_returned_it(self, agent):
        async def then():
            return Turn("act")

        @hook(AgentHook.BEFORE_PUT)
        async def refuse(agent, turn):
            return Deny("closed") if turn.tool.metadata.name == "act" else None

        agent.hooks.append(refuse)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            with pytest.raises(TurnDeniedError, match="closed"):
                await agent.ask(Turn("call", args=[[then]]))
            await system.wait_idle()
            assert restarts(system) == 0


class TestEvents:
    async def test_tell_of_each_run_of_a_turn(self, agent, tools):
        runs = []

        async def flaky():
            runs.append(1)
            if len(runs) == 1:
                raise OSError
            return "fine"

        policy = Supervision(decide={OSError: Directive.RETRY, ValueError: Directive.RESUME})
        async with ActorSystem("s", supervision=policy) as system:
            events = system.events()
            system.spawn(agent)
            good, bad = Turn("call", args=[[flaky]]), Turn("act", args=["fails"])
            await agent.ask(good)
            agent.tell(bad)
            await system.wait_idle()
        told = [event async for event in events if isinstance(event, (TurnStarted, TurnCompleted, TurnFailed))]
        assert {event.path for event in told} == {"worker"}
        assert [(type(event), event.turn) for event in told] == [
            (TurnStarted, good),
            (TurnFailed, good),
            (TurnStarted, good),
            (TurnCompleted, good),
            (TurnStarted, bad),
            (TurnFailed, bad),
        ]
        assert [event.attempt for event in told if isinstance(event, TurnStarted)] == [1, 2, 1]
        assert [type(event.failure) for event in told if isinstance(event, TurnFailed)] == [OSError, ValueError]

    async def test_a_denied_turn_has_failed_and_its_agent_has_not(self, agent):
        @hook(AgentHook.BEFORE_TURN)
        async def refuse(agent):
            return Deny("closed")

        agent.hooks.append(refuse)
        async with ActorSystem("s") as system:
            events = system.events()
            system.spawn(agent)
            agent.tell(Turn("act"))
            await system.wait_idle()
        told = [event async for event in events]
        assert [type(event.failure) for event in told if isinstance(event, TurnFailed)] == [TurnDeniedError]
        assert not any(isinstance(event, ActorFailed) for event in told)

    async def test_a_turn_that_is_cut_has_ended_too(self, agent):
        async with ActorSystem("s") as system:
            events = system.events()
            system.spawn(agent)
            agent.tell(Turn("act", args=["hangs"]))
            await asyncio.sleep(1)
            agent.ref.kill()
            await agent.ref.wait_stopped()
        told = [event async for event in events if isinstance(event, TurnFailed)]
        assert [type(event.failure) for event in told] == [asyncio.CancelledError]


async def test_a_dead_letter_names_the_agent_whose_tool_sent_it(agent, tools):
    other = Agent("other", "Fails", tools)

    async def send():
        await other.put(Turn("act", args=["fails"]))
        other.tell(Turn("act", args=["fails"]))
        other.ref.tell("no turn")

    async with ActorSystem("s") as system:
        system.spawn(agent)
        system.supervisor("team").spawn(other)
        await agent.ask(Turn("call", args=[[send]]))
        await system.wait_idle()
        letters = list(system.dead_letters)
    assert [letter.reason for letter in letters] == [*[DeadLetterReason.FAILED] * 2, DeadLetterReason.UNHANDLED]
    assert {letter.sender for letter in letters} == {"worker"}


async def test_each_failure_is_logged_once(agent, caplog):
    policy = Supervision(decide={ValueError: Directive.RESUME})
    with caplog.at_level(logging.ERROR):
        async with ActorSystem("s", supervision=policy) as system:
            system.spawn(agent)
            agent.tell(Turn("act", args=["fails"]))
            await system.wait_idle()
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.name == "pygents.actors"
    assert record.getMessage().startswith("worker failed on Turn(tool='act'")
