"""What an agent's own methods may do in a system: ``on_message``, ``on_start``, ``on_restart`` and ``on_stop``."""

import asyncio
import logging

import pytest

from pygents import ActorSystem, Agent, AgentHook, AgentRegistry, SafeExecutionError, Turn, current_agent, hook, tool
from pygents.actors import Restart


@pytest.fixture
def call():
    @tool
    async def call(functions):  # in a list: a function by itself would be a dynamic argument
        return await functions[0]()

    return call


class Keeper(Agent):
    """Keeps what has come to its methods as its attributes."""

    def on_start(self):
        self.started = True

    def on_restart(self, failure):
        self.failure = failure

    def on_message(self, message):
        self.message = message

    async def on_stop(self):
        self.stopped = True


@pytest.mark.parametrize("end", ["agent.stop", "ref.stop", "supervisor.stop", "shutdown"])
async def test_attributes_can_be_set_wherever_no_turn_is_in_hand(call, end):
    async def fail():
        with pytest.raises(SafeExecutionError):
            keeper.seen = True
        raise ConnectionError

    async with ActorSystem("s") as system:
        keeper = Keeper("keeper", "Keeps", [call])
        ref = system.spawn(keeper)
        ref.tell(Turn(call, [[fail]]))
        await ref.ask_async("hello")
        if end == "shutdown":
            await system.shutdown()
        else:
            stops = {"agent.stop": keeper.stop, "ref.stop": ref.stop_async}
            await stops.get(end, lambda: system.root.stop("keeper"))()
        assert keeper.started
        assert keeper.message == "hello"
        assert isinstance(keeper.failure, ConnectionError)
        assert keeper.stopped
        assert not hasattr(keeper, "seen")


class Unprintable:
    def __repr__(self):
        raise RuntimeError


async def test_a_message_that_no_method_understands_is_logged_once_with_path_and_message(call, caplog):
    async with ActorSystem("s") as system:
        ref = system.supervisor("team").spawn(Agent("plain", "Has no methods", [call]))
        ref.tell("what")
        with pytest.raises(TypeError):
            await ref.ask_async("why")
        ref.tell(Unprintable())
        await system.wait_idle()
        assert len(system.dead_letters) == 3
    assert [record[:2] for record in caplog.record_tuples] == [("pygents.agent", logging.WARNING)] * 3
    assert caplog.messages == [
        "team/plain does not understand 'what'",
        "team/plain does not understand 'why'",
        "team/plain does not understand <Unprintable whose repr raises RuntimeError>",
    ]


class Quits(Agent):
    """Tries to stop itself in each of its methods, and notes what comes of it."""

    async def quit(self, place):
        try:
            self.outcomes[place] = await self.stop()
        except SafeExecutionError as error:
            self.outcomes[place] = str(error)

    async def on_start(self):
        await self.quit("on_start")

    async def on_restart(self, failure):
        await self.quit("on_restart")

    async def on_message(self, message):
        await self.quit("on_message")

    async def on_stop(self):
        await self.quit("on_stop")


async def test_a_method_that_would_wait_for_its_agents_end_is_refused(call):
    async with ActorSystem("s") as system:
        agent = Quits("quits", "Quits", [call])
        agent.outcomes = {}
        ref = system.spawn(agent)
        ref.tell(Turn(call, [[]]))  # fails
        await ref.ask_async("hello", timeout=100)
    assert agent.outcomes.pop("on_stop") is False
    refused = "quits cannot wait in its own tool, hook or method for its own end: use agent.ref.stop(block=False)"
    assert agent.outcomes == dict.fromkeys(["on_start", "on_restart", "on_message"], refused)


async def test_a_task_that_a_method_has_begun_may_wait_for_it(call):
    class Leaves(Agent):
        def on_message(self, message):
            self.task = asyncio.create_task(self.stop())

    async with ActorSystem("s") as system:
        agent = Leaves("leaves", "Leaves", [call])
        await system.spawn(agent).ask_async("hello")
        assert await asyncio.wait_for(agent.task, 100)


@pytest.mark.parametrize("where", ["tool", "hook", "method"])
async def test_a_permanent_agent_that_stops_itself_is_started_again(call, where):
    class Quits(Keeper):
        def on_message(self, message):
            self.ref.stop(block=False)

    @hook(AgentHook.AFTER_TURN)
    async def quit_after(agent, turn):
        agent.ref.stop(block=False)

    async def stop():
        if where == "tool":
            current_agent().ref.stop(block=False)

    async with ActorSystem("s") as system:
        agent = Quits("quits", "Quits", [call])
        ref = system.spawn(agent, restart=Restart.PERMANENT)
        if where == "method":
            ref.tell("quit")
        else:
            agent.hooks = [quit_after] if where == "hook" else []
            agent.tell(Turn(call, [[stop]]))
        await system.wait_idle()
        assert (agent.stopped, agent.failure) == (True, None)
        assert system.tree().endswith("quits (running, 0 queued, 1 restart)")
        assert await agent.stop()
        assert system.whereis("quits") is None, "a stop from outside is final"


async def test_a_name_cannot_be_changed_while_the_tree_goes_by_it(call):
    async with ActorSystem("s") as system:
        agent = Agent("old", "Has a place", [call])
        agent.name = "known"
        ref = system.supervisor("team").spawn(agent)
        with pytest.raises(SafeExecutionError, match="while the agent lives in a system: it is at 'team/known'"):
            agent.name = "new"
        assert (agent.name, AgentRegistry.get("known"), system.whereis("team/known")) == ("known", agent, ref)
    agent.name = "former"
    assert agent.name == "former"
