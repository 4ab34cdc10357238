"""Agent: constructing it, its name and attributes, putting and sending turns, branches."""

import asyncio
import copy
import pickle
import threading
from inspect import signature

import pytest
from pykka import ActorDeadError, ActorRegistry

from pygents import (
    Agent,
    AgentHook,
    AgentRegistry,
    Memory,
    SafeExecutionError,
    StopReason,
    ToolRegistry,
    Turn,
    TurnCancelledError,
    UnregisteredAgentError,
    UnregisteredToolError,
    current_agent,
    current_turn,
    hook,
    tool,
)
from pygents.agent_actor import AgentActor
from pygents.run import Drain


@pytest.fixture
def add():
    @tool()
    async def add(a, b=1):
        return a + b

    return add


@pytest.fixture
def other():
    @tool()
    async def other():
        return "other"

    return other


async def values_of(agent):
    return [value async for _, value in agent.run()]


def assert_nothing_was_made(name="a"):
    assert ActorRegistry.get_all() == []
    with pytest.raises(UnregisteredAgentError, match="not found"):
        AgentRegistry.get(name)


def test_an_agent_is_registered_under_its_name_and_shows_it(add):
    agent = Agent("a", "adds", [add])
    assert AgentRegistry.get("a") is agent
    assert repr(agent) == "Agent(name='a', tools=['add'])"
    assert (agent.name, agent.description, agent.tools, agent.hooks) == ("a", "adds", [add], [])


def test_the_parameters_have_the_names_of_the_published_package():
    names = {
        name: list(signature(getattr(Agent, name)).parameters) for name in ("put", "send_turn", "branch", "from_dict")
    }
    assert names == {
        "put": ["self", "turn"],
        "send_turn": ["self", "agent_name", "turn"],
        "branch": ["self", "name", "description", "tools", "hooks"],
        "from_dict": ["data"],
    }
    assert list(signature(Agent).parameters) == ["name", "description", "tools", "mailbox"]


def test_constructing_an_agent_starts_exactly_one_actor_without_a_thread(add):
    threads = set(threading.enumerate())
    agent = Agent("a", "adds", [add])
    assert ActorRegistry.get_all() == [agent.ref]
    assert agent.ref.is_alive()
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    ("name", "error"), [("", ValueError), (None, TypeError), (3, TypeError), (b"a", TypeError), (["a"], TypeError)]
)
def test_a_name_that_is_empty_or_no_string_is_refused(name, error, add):
    with pytest.raises(error, match="name"):
        Agent(name, "d", [add])
    assert ActorRegistry.get_all() == []


@pytest.mark.parametrize("description", [None, 3, b"d"])
def test_a_description_that_is_no_string_is_refused(description, add):
    with pytest.raises(TypeError, match="description"):
        Agent("a", description, [add])
    assert_nothing_was_made()


@pytest.mark.parametrize("tools", [None, "add", b"add", 3, [None], ["add"], [print], [len], [object()]])
def test_tools_that_are_no_tools_are_refused(tools, add):
    with pytest.raises(TypeError, match="tool"):
        Agent("a", "d", tools)
    assert_nothing_was_made()


def test_one_tool_in_place_of_a_list_is_refused(add):
    with pytest.raises(TypeError, match="list of tools"):
        Agent("a", "d", add)
    assert_nothing_was_made()


def test_a_tool_that_is_not_registered_is_refused(add):
    ToolRegistry._table.clear()
    with pytest.raises(UnregisteredToolError, match="'add' not found"):
        Agent("a", "d", [add])
    assert_nothing_was_made()


def test_a_tool_that_is_not_the_registered_instance_is_refused(add):
    ToolRegistry._table.clear()

    @tool()
    async def add(): ...

    stranger = add
    ToolRegistry._table.clear()

    @tool()
    async def add(): ...

    with pytest.raises(ValueError, match="'add' is registered but not the instance given"):
        Agent("a", "d", [stranger])
    assert_nothing_was_made()


def test_a_taken_name_is_refused_and_the_first_agent_keeps_it(add):
    first = Agent("a", "d", [add])
    with pytest.raises(ValueError, match="'a' already registered"):
        Agent("a", "d", [add])
    assert AgentRegistry.get("a") is first
    assert ActorRegistry.get_all() == [first.ref]


@pytest.mark.parametrize("step", ["actors.dispatcher.CallerDispatcher.open", "agent_actor.AgentActor.start"])
def test_the_name_is_given_back_if_the_actor_does_not_start(step, add, monkeypatch):
    def refuse(*args):
        raise OSError("no room")

    monkeypatch.setattr(f"pygents.{step}", refuse)
    with pytest.raises(OSError, match="no room"):
        Agent("a", "d", [add])
    assert_nothing_was_made()


async def test_tools_may_come_from_any_iterable_and_the_list_is_the_agents_own(add):
    tools = [add]
    agent = Agent("a", "d", iter(tools))
    tools.clear()
    await agent.put(Turn("add", [1]))
    assert await values_of(agent) == [2]


def test_the_ref_is_read_only(add):
    agent = Agent("a", "d", [add])
    with pytest.raises(AttributeError):
        agent.ref = None
    assert agent.ref.is_alive()


async def test_attributes_of_the_users_own_may_be_set(add):
    agent = Agent("a", "d", [add])
    agent.memory = Memory(10)
    await agent.memory.append(1)
    assert agent.memory.items == [1]


def test_a_subclass_may_set_attributes_before_it_calls_the_constructor(add):
    class Special(Agent):
        def __init__(self, mood):
            self.mood = mood
            super().__init__("a", "d", [add])

    special = Special("calm")
    assert special.mood == "calm"
    assert repr(special) == "Special(name='a', tools=['add'])"


@pytest.mark.parametrize(
    ("attribute", "value"), [("hooks", "x"), ("hooks", [1]), ("tools", [1]), ("name", 3), ("description", None)]
)
def test_a_wrong_value_for_an_attribute_is_refused_and_changes_nothing(attribute, value, add):
    agent = Agent("a", "d", [add])
    before = agent.to_dict()
    with pytest.raises(TypeError):
        setattr(agent, attribute, value)
    assert agent.to_dict() == before
    assert AgentRegistry.get("a") is agent


def test_a_new_name_takes_the_place_of_the_old_one_in_the_registry(add):
    agent, taken = Agent("a", "d", [add]), Agent("taken", "d", [add])
    agent.name = "b"
    assert AgentRegistry.get("b") is agent
    with pytest.raises(ValueError, match="'taken' already registered"):
        agent.name = "taken"
    assert (agent.name, AgentRegistry.get("taken")) == ("b", taken)
    Agent("a", "d", [add])


@pytest.mark.parametrize("attribute", ["name", "description", "tools", "hooks", "memory"])
async def test_no_attribute_can_be_set_while_the_agent_is_running(attribute, add):
    agent = Agent("a", "d", [add])
    await agent.put(Turn("add", [1]))
    message = f"^Cannot change property '{attribute}' while the agent is running\\.$"
    async for _ in agent.run():
        with pytest.raises(SafeExecutionError, match=message):
            setattr(agent, attribute, [])
    assert agent.name == "a"
    agent.description = "free again"


async def test_attributes_can_be_set_again_after_a_turn_failed_and_after_a_stop(add):
    agent = Agent("a", "d", [add])
    await agent.put(Turn("add", ["x"]))
    with pytest.raises(TypeError):
        await values_of(agent)
    agent.description = "after a failure"
    await agent.stop()
    agent.description = "after the stop"


@pytest.mark.parametrize("turn", [None, "add", 3, {"tool_name": "add"}, object()])
async def test_putting_something_that_is_no_turn_is_refused(turn, add):
    agent = Agent("a", "d", [add])
    with pytest.raises(TypeError, match="Agent 'a' does not understand"):
        await agent.put(turn)
    assert agent.to_dict()["queue"] == []


async def test_putting_a_turn_without_a_tool_is_refused_before_the_hooks_run(add):
    agent = Agent("a", "d", [add])
    events = record_put_hooks(agent)
    turn = Turn("add")
    turn.tool = None
    with pytest.raises(ValueError, match=r"^Turn has no tool$"):
        await agent.put(turn)
    assert (events, agent.to_dict()["queue"]) == ([], [])


async def test_putting_a_turn_whose_tool_the_agent_lacks_is_refused_before_the_hooks_run(add, other):
    agent = Agent("a", "d", [add])
    events = record_put_hooks(agent)
    with pytest.raises(ValueError, match=r"^Agent 'a' does not accept tool 'other'$"):
        await agent.put(Turn("other"))
    assert (events, agent.to_dict()["queue"]) == ([], [])


def record_put_hooks(agent):
    events = []

    @hook(AgentHook.BEFORE_PUT)
    async def before_put(agent, turn):
        events.append(("before", agent.name, turn, len(agent.to_dict()["queue"]), current_agent(), current_turn()))

    @hook(AgentHook.AFTER_PUT)
    async def after_put(agent, turn):
        events.append(("after", agent.name, turn, len(agent.to_dict()["queue"]), current_agent(), current_turn()))

    agent.hooks += [before_put, after_put]
    return events


async def test_the_put_hooks_run_around_the_enqueueing_with_the_agent_as_the_current_one(add):
    agent, turn = Agent("a", "d", [add]), Turn("add", [1])
    events = record_put_hooks(agent)
    await agent.put(turn)
    assert events == [("before", "a", turn, 0, agent, None), ("after", "a", turn, 1, agent, None)]
    assert (current_agent(), current_turn()) == (None, None)


async def test_the_put_hooks_do_not_run_for_a_turn_that_is_told(add):
    agent = Agent("a", "d", [add])
    events = record_put_hooks(agent)
    agent.ref.tell(Turn("add", [1]))
    assert await values_of(agent) == [2]
    assert events == []


@pytest.mark.parametrize(("event", "queued"), [(AgentHook.BEFORE_PUT, 0), (AgentHook.AFTER_PUT, 1)])
async def test_a_put_hook_that_raises_raises_out_of_put(event, queued, add):
    agent = Agent("a", "d", [add])

    @hook(event)
    async def refuse(agent, turn):
        raise PermissionError("no")

    agent.hooks.append(refuse)
    with pytest.raises(PermissionError, match="no"):
        await agent.put(Turn("add", [1]))
    assert len(agent.to_dict()["queue"]) == queued
    assert (current_agent(), current_turn()) == (None, None)


async def test_a_put_that_is_cancelled_in_its_hook_enqueues_nothing(add):
    agent = Agent("a", "d", [add])

    @hook(AgentHook.BEFORE_PUT)
    async def hang(agent, turn):
        await asyncio.Event().wait()

    agent.hooks.append(hang)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(agent.put(Turn("add", [1])), 1)
    assert agent.to_dict()["queue"] == []


async def test_all_put_hooks_of_a_type_run_in_list_order(add):
    agent, order = Agent("a", "d", [add]), []

    @hook(AgentHook.BEFORE_PUT)
    async def first(agent, turn):
        order.append("first")

    @hook([AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT])
    async def both(*args):
        order.append("both")

    agent.hooks += [both, first]
    await agent.put(Turn("add", [1]))
    assert order == ["both", "first", "both"]


def test_an_agent_may_be_built_and_filled_outside_the_loop_that_runs_it(add):
    agent = Agent("a", "d", [add])
    asyncio.run(agent.put(Turn("add", [1])))
    thread = threading.Thread(target=lambda: asyncio.run(agent.put(Turn("add", [2]))))
    thread.start()
    thread.join(10)
    agent.ref.tell(Turn("add", [3]))
    assert asyncio.run(values_of(agent)) == [2, 3, 4]


async def test_a_turn_can_be_sent_to_another_agent_by_its_name(add, other):
    sender, receiver = Agent("sender", "d", [other]), Agent("receiver", "d", [add])
    events = record_put_hooks(receiver)
    await sender.send_turn("receiver", Turn("add", [1]))
    assert [(event[0], event[1]) for event in events] == [("before", "receiver"), ("after", "receiver")]
    assert await values_of(sender) == []
    assert await values_of(receiver) == [2]


@pytest.mark.parametrize("name", ["nobody", "stopped"])
async def test_sending_a_turn_to_an_unknown_or_stopped_agent_names_it(name, add):
    agent = Agent("a", "d", [add])
    await Agent("stopped", "d", [add]).stop()
    with pytest.raises(UnregisteredAgentError, match=f"'{name}' not found"):
        await agent.send_turn(name, Turn("add", [1]))


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (None, TypeError), (3, TypeError), ([], TypeError)])
async def test_sending_a_turn_to_what_cannot_be_a_name_is_refused(name, error, add):
    with pytest.raises(error, match="name"):
        await Agent("a", "d", [add]).send_turn(name, Turn("add", [1]))


async def test_sending_a_turn_that_the_other_agent_does_not_take_is_refused(add, other):
    sender = Agent("sender", "d", [add, other])
    Agent("receiver", "d", [other])
    with pytest.raises(ValueError, match="'receiver' does not accept tool 'add'"):
        await sender.send_turn("receiver", Turn("add", [1]))


async def test_a_tool_may_put_turns_on_its_own_agent_and_send_them_to_another(add):
    @tool()
    async def delegate():
        await current_agent().put(Turn("add", [10]))
        await current_agent().send_turn("helper", Turn("add", [20]))
        return "delegated"

    boss, helper = Agent("boss", "d", [delegate, add]), Agent("helper", "d", [add])
    await boss.put(Turn("delegate"))
    assert await values_of(boss) == ["delegated", 11]
    assert await values_of(helper) == [21]


async def test_an_agent_that_has_stopped_takes_and_runs_no_turns(add):
    agent = Agent("a", "d", [add])
    await agent.stop()
    for attempt in (agent.put(Turn("add", [1])), values_of(agent)):
        with pytest.raises(ActorDeadError, match="Agent 'a' has stopped"):
            await attempt
    with pytest.raises(ActorDeadError, match="has stopped"):
        agent.ref.tell(Turn("add", [1]))
    assert agent.to_dict()["queue"] == []


async def test_an_agent_that_has_stopped_cannot_be_registered_again_and_blocks_no_name(add):
    stopped = Agent("a", "d", [add])
    AgentRegistry.register(stopped)
    await stopped.stop()
    with pytest.raises(ActorDeadError, match="Agent 'a' has stopped and cannot be registered"):
        AgentRegistry.register(stopped)
    with pytest.raises(UnregisteredAgentError):
        AgentRegistry.get("a")
    second = Agent("a", "d", [add])
    with pytest.raises(ValueError, match="already registered"):
        AgentRegistry.register(stopped)
    assert AgentRegistry.get("a") is second


async def test_clearing_the_registry_frees_the_names_of_agents_that_go_on_working(add):
    agent = Agent("a", "d", [add])
    AgentRegistry.clear()
    namesake = Agent("a", "d", [add])
    agent.description = "not there any more"
    await agent.put(Turn("add", [1]))
    assert await values_of(agent) == [2]
    await agent.stop()
    assert AgentRegistry.get("a") is namesake


def test_nobody_finds_an_agent_before_it_is_whole(add, monkeypatch):
    def launch(agent):
        with pytest.raises(UnregisteredAgentError):
            AgentRegistry.get("a")
        return original(agent)

    original = AgentActor.launch
    monkeypatch.setattr(AgentActor, "launch", launch)
    assert AgentRegistry.get(Agent("a", "d", [add]).name).to_dict()["name"] == "a"


def test_an_agent_whose_name_is_taken_meanwhile_leaves_no_actor(add, monkeypatch):
    def launch(agent):
        actor = original(agent)
        monkeypatch.setattr(AgentActor, "launch", original)
        made.append(Agent("a", "the other", [add]))
        return actor

    made = []
    original = AgentActor.launch
    monkeypatch.setattr(AgentActor, "launch", launch)
    with pytest.raises(ValueError, match="'a' already registered"):
        Agent("a", "d", [add])
    assert ActorRegistry.get_all() == [made[0].ref]
    assert AgentRegistry.get("a") is made[0]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_agent_is_not_copied_or_pickled_but_says_what_to_do(duplicate, add):
    agent = Agent("a", "d", [add])
    with pytest.raises(TypeError, match=r"cannot be copied or pickled: use branch\(\) for a copy, to_dict\(\)"):
        duplicate(agent)


async def test_attributes_can_be_set_right_after_a_run_was_left(add):
    agent = Agent("a", "d", [add])
    await agent.put(Turn("add", [1]))
    async for _ in agent.run():
        break
    agent.description = "free at once"


async def test_the_put_hooks_of_an_agent_that_has_stopped_do_not_run(add):
    agent = Agent("a", "d", [add])
    events = record_put_hooks(agent)
    await agent.stop()
    with pytest.raises(ActorDeadError, match="Agent 'a' has stopped"):
        await agent.put(Turn("add", [1]))
    assert events == []


async def test_a_renamed_agent_goes_by_its_new_name(add):
    agent = Agent("a", "d", [add])
    agent.name = "b"
    await agent.stop()
    with pytest.raises(ActorDeadError, match="Agent 'b' has stopped"):
        await agent.put(Turn("add", [1]))


@pytest.mark.parametrize("event", [AgentHook.BEFORE_TURN, AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT])
async def test_a_cancellation_that_a_hook_outside_any_turn_lets_out_is_not_taken_for_the_consumers(event, add):
    @hook(event)
    async def leak(*args):
        raise asyncio.CancelledError

    agent = Agent("a", "d", [add])
    agent.hooks.append(leak)
    with pytest.raises(TurnCancelledError, match=f"a hook for {event} let a CancelledError out") as caught:  # noqa: PT012
        await agent.put(Turn("add", [1]))
        await values_of(agent)
    assert type(caught.value) is TurnCancelledError
    agent.hooks.clear()
    assert await values_of(agent) == ([] if event is AgentHook.BEFORE_PUT else [2])


async def test_what_an_earlier_turn_has_spawned_may_stop_the_agent(add):
    async def stop_later():
        await asyncio.sleep(5)
        return await current_agent().stop()

    @tool()
    async def spawn():
        spawned.append(asyncio.create_task(stop_later()))

    @tool()
    async def wait():
        await asyncio.sleep(10)

    spawned = []
    agent = Agent("a", "d", [spawn, wait])
    for name in ("spawn", "wait"):
        await agent.put(Turn(name))
    assert await values_of(agent) == [None, None]
    assert await spawned[0] is True


async def test_a_run_that_cannot_begin_gives_the_mailbox_back(add, monkeypatch):
    def refuse(drain):
        raise RuntimeError("this event loop is closing down")

    agent = Agent("a", "d", [add])
    await agent.put(Turn("add", [1]))
    with monkeypatch.context() as patch:
        patch.setattr(Drain, "begin", refuse)
        with pytest.raises(RuntimeError, match="closing down"):
            await values_of(agent)
    assert await values_of(agent) == [2]


@pytest.mark.parametrize("event", [AgentHook.BEFORE_TURN, AgentHook.BEFORE_PUT])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_cancellation_that_another_agents_hook_lets_out_in_a_tool_is_an_error_of_that_tool(event, streams, add):
    @hook(event)
    async def leak(*args):
        raise asyncio.CancelledError

    other = Agent("b", "d", [add])
    other.hooks.append(leak)

    async def pass_on():
        await other.put(Turn("add", [1]))
        await values_of(other)

    @tool()
    async def call():
        await pass_on()

    @tool()
    async def stream():
        await pass_on()
        yield

    turn = Turn(stream if streams else call)
    agent = Agent("a", "d", [call, stream])
    await agent.put(turn)
    with pytest.raises(TurnCancelledError, match=f"a hook for {event} let a CancelledError out"):
        await values_of(agent)
    assert turn.stop_reason is StopReason.ERROR
