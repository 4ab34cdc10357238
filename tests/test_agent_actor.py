"""The actor that an agent is: what it is told and asked, proxies, and how it stops."""

import asyncio
import gc
import logging
import threading
import weakref
from contextlib import suppress

import pytest
from pykka import ActorDeadError, ActorRegistry

from pygents import (
    Agent,
    AgentHook,
    AgentRegistry,
    SafeExecutionError,
    StopReason,
    Turn,
    TurnHook,
    UnregisteredAgentError,
    current_agent,
    hook,
    tool,
)
from pygents.actors import ActorFailedError, WouldDeadlockError


@pytest.fixture
def agent():
    """Return an agent with tools that call a function, wait, and stream."""

    @tool()
    async def call(function):
        result = function()
        return await result if asyncio.iscoroutine(result) else result

    @tool()
    async def wait(value, seconds=10):
        await asyncio.sleep(seconds)
        return value

    @tool()
    async def stream():
        yield 1
        yield 2

    return Agent("a", "d", [call, wait, stream])


async def run(agent):
    return [value async for _, value in agent.run()]


def calling(function):
    return Turn("call", [staticmethod(function)])


NOT_TURNS = [None, 3, "wait", {"tool_name": "wait"}, object, ("a", Turn)]


@pytest.mark.parametrize("message", NOT_TURNS, ids=repr)
async def test_a_message_that_is_no_turn_is_logged_if_told_and_the_agent_goes_on(message, agent, caplog):
    agent.ref.tell(Turn("wait", ["before"]))
    agent.ref.tell(message)
    agent.ref.tell(Turn("wait", ["after"]))
    assert await run(agent) == ["before", "after"]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.name, repr(message) in record.getMessage()) == ("pygents.agent", True)
    assert agent.ref.is_alive()


@pytest.mark.parametrize("message", NOT_TURNS, ids=repr)
async def test_whoever_asks_something_that_is_no_turn_is_told_so(message, agent):
    answer = agent.ref.ask(message, block=False)
    after = agent.ref.ask(Turn("wait", ["after"]), block=False)
    assert await run(agent) == ["after"]
    with pytest.raises(TypeError, match=r"Agent 'a' does not understand .*: send it a Turn"):
        await answer
    assert await after == "after"


async def test_a_turn_whose_tool_the_agent_lacks_is_refused_when_it_comes_to_it(agent, caplog):
    @tool()
    async def foreign():
        raise AssertionError("never run")

    turn = Turn("foreign")
    agent.ref.tell(turn)
    answer = agent.ref.ask(turn, block=False)
    no_tool = Turn("foreign")
    no_tool.tool = None
    without = agent.ref.ask(no_tool, block=False)
    agent.ref.tell(Turn("wait", ["after"]))
    assert await run(agent) == ["after"]
    with pytest.raises(ValueError, match="'a' does not accept tool 'foreign'"):
        await answer
    with pytest.raises(ValueError, match="Turn has no tool"):
        await without
    assert "does not accept tool 'foreign'" in caplog.text
    assert turn.stop_reason is None


async def test_no_hook_runs_for_a_message_that_is_no_turn_of_the_agents(agent):
    @hook(list(AgentHook))
    async def never(*args):
        raise AssertionError(args)

    agent.hooks.append(never)
    agent.ref.tell("no turn")
    answer = agent.ref.ask("no turn", block=False)
    assert await run(agent) == []
    with pytest.raises(TypeError):
        await answer


async def test_a_cut_turn_whose_tool_was_taken_away_costs_no_other_turn(agent):
    @tool()
    async def spare():
        return "spare"

    agent.tools = [*agent.tools, spare]
    answer = agent.ref.ask(Turn("wait", ["cut"]), block=False)
    for _ in range(2):
        await agent.put(Turn("spare"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(agent), 5)
    with pytest.raises(ValueError, match="does not accept tool 'wait', which a queued turn names"):
        agent.tools = [spare]
    agent.tools[:] = [spare]  # a list is a list
    assert await run(agent) == ["spare", "spare"]
    with pytest.raises(ValueError, match="does not accept tool 'wait'"):
        await answer


def take_tool(agent, turn):
    agent.tools.remove(turn.tool)


def unset_tool(agent, turn):
    turn.tool = None


def swap_tool(agent, turn):
    @tool()
    async def foreign():
        raise AssertionError("never run")

    turn.tool = foreign


SPOILERS = pytest.mark.parametrize("spoil", [take_tool, unset_tool, swap_tool])


@SPOILERS
@pytest.mark.parametrize("when", ["queued", "before the turn"])
async def test_a_turn_that_was_put_and_is_not_accepted_when_it_comes_to_it_fails(spoil, when, agent, caplog):
    @tool()
    async def spare():
        return "spare"

    log = []

    @hook([TurnHook.ON_ERROR, AgentHook.ON_TURN_ERROR])
    async def note(*args):
        log.append((args[-1], turn.stop_reason, agent.to_dict()["current_turn"]))

    @hook(AgentHook.BEFORE_TURN)
    async def late(agent):
        if len(agent.to_dict()["queue"]) == 2:
            spoil(agent, turn)

    agent.tools = [*agent.tools, spare]
    turn = Turn("wait", ["x"], hooks=[note])
    await turn.returning()
    await agent.put(turn)
    await agent.put(Turn("spare"))
    agent.hooks = [note]
    if when == "queued":
        spoil(agent, turn)
    else:
        agent.hooks.append(late)
    with pytest.raises(ValueError, match=r"Turn has no tool|does not accept tool") as caught:
        await run(agent)
    assert log == [(caught.value, StopReason.ERROR, None)] * 2
    assert (turn.output, turn.stop_reason, turn.start_time) == (None, StopReason.ERROR, None)
    assert await run(agent) == ["spare"]
    assert caplog.records == []


@SPOILERS
async def test_a_turn_that_a_put_hook_spoils_is_refused(spoil, agent):
    @hook(AgentHook.BEFORE_PUT)
    async def meddle(agent, turn):
        spoil(agent, turn)

    @hook(AgentHook.AFTER_PUT)
    async def never(*args):
        raise AssertionError(args)

    agent.hooks = [meddle, never]
    with pytest.raises(ValueError, match=r"Turn has no tool|does not accept tool"):
        await agent.put(Turn("wait", ["x"]))
    assert len(agent._actor.actor_inbox) == 0


async def test_asking_gives_the_output_of_the_turn(agent):
    one = agent.ref.ask(Turn("wait", ["one"]), block=False)
    streamed = agent.ref.ask(Turn("stream"), block=False)
    chained = Turn("wait", ["chained"])
    chain = agent.ref.ask(calling(lambda: chained), block=False)
    assert not one.done
    async for _, value in agent.run():
        assert (one.done, streamed.done) == (value != "one", value is chained or value == "chained")
    assert [await one, await streamed, await chain] == ["one", [1, 2], chained]


@pytest.mark.real_time
async def test_a_thread_may_block_for_the_answer_of_an_agent_that_somebody_runs(agent):
    asked = threading.Event()

    def ask():
        reply = agent.ref.ask(Turn("wait", ["yes", 0]), block=False)
        asked.set()
        return reply.get(timeout=10)

    asking = asyncio.create_task(asyncio.to_thread(ask))
    assert await asyncio.to_thread(asked.wait, 10)
    assert await run(agent) == ["yes"]
    assert await asking == "yes"


async def test_asking_its_own_agent_and_blocking_is_refused_in_a_tool(agent):
    await agent.put(calling(lambda: agent.ref.ask(Turn("wait", ["never"]))))
    with pytest.raises(WouldDeadlockError) as caught:
        await run(agent)
    assert caught.value.waiting == str(agent)
    await agent.put(calling(agent.ref.stop))
    with pytest.raises(WouldDeadlockError):
        await run(agent)
    await agent.put(calling(ActorRegistry.stop_all))
    with pytest.raises(WouldDeadlockError):
        await run(agent)
    assert await run(agent) == []
    assert agent.ref.is_alive()


async def test_a_proxy_reads_attributes_and_calls_methods_in_order_with_the_turns(agent):
    proxy = agent.ref.proxy()
    agent.ref.tell(Turn("wait", ["first"]))
    drained, contents = proxy.is_drained, proxy.snapshot()
    agent.ref.tell(Turn("wait", ["second"]))
    assert await run(agent) == ["first", "second"]
    in_hand, queued = await contents
    assert (await drained, in_hand, [work.message.args for work in queued]) == (True, None, [["second"]])


async def test_a_proxied_coroutine_method_is_awaited_and_its_failure_is_the_callers(agent):
    turn, wrong = Turn("wait", ["put"]), Turn("wait")
    proxy = agent.ref.proxy()
    done = proxy.put(agent, turn)
    failed = proxy.restore("wrong", wrong)
    assert await run(agent) == ["put"]
    assert await done is None
    with pytest.raises((TypeError, AttributeError)):
        await failed


async def test_a_consumer_that_is_cancelled_in_a_proxied_call_is_cancelled_and_nothing_is_lost(agent):
    @hook(AgentHook.BEFORE_PUT)
    async def pause(*args):
        await asyncio.sleep(10)

    agent.ref.proxy().put(agent, Turn("wait", ["proxied"]))
    agent.ref.tell(Turn("wait", ["queued"]))
    agent.hooks.append(pause)
    consumer = asyncio.create_task(run(agent))
    await asyncio.sleep(5)
    consumer.cancel()
    await asyncio.wait([consumer], timeout=1000)
    assert consumer.cancelled()
    agent.hooks = []
    assert "queued" in await run(agent)


async def test_the_caller_of_a_proxied_call_that_was_cut_is_answered_when_the_agent_stops(agent):
    @hook(AgentHook.BEFORE_PUT)
    async def pause(*args):
        await asyncio.sleep(10)

    agent.hooks.append(pause)
    answer = agent.ref.proxy().put(agent, Turn("stream"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(agent), 5)
    await agent.stop()
    with pytest.raises(ActorDeadError):
        await answer.get_async(timeout=5)


async def test_stopping_an_agent_that_nobody_runs_is_done_at_once(agent, caplog):
    answers = [agent.ref.ask(message, block=False) for message in (Turn("wait", ["asked"]), "no turn")]
    agent.ref.tell(Turn("wait", ["told"]))
    await agent.put(Turn("wait", ["put"]))
    assert await agent.stop() is True
    assert not agent.ref.is_alive()
    assert ActorRegistry.get_all() == []
    for answer in answers:
        with pytest.raises(ActorDeadError, match="Agent 'a' stopped before"):
            await answer
    assert [turn["args"][0] for turn in agent.to_dict()["queue"]] == ["asked", "told", "put"]
    assert "without handling 2 of its messages" in caplog.text
    with pytest.raises(UnregisteredAgentError):
        AgentRegistry.get("a")
    Agent("a", "d", [])
    assert await agent.stop() is False


async def test_a_cut_turn_stays_in_a_stopped_agents_snapshot_and_its_asker_is_answered_once(caplog, monkeypatch):
    ignored = []
    monkeypatch.setattr("sys.unraisablehook", ignored.append)

    @tool()
    async def wait():
        await asyncio.sleep(10)

    agent = Agent("b", "d", [wait])
    answer = agent.ref.ask(Turn("wait", metadata={"id": "cut"}), block=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(agent), 5)
    await agent.stop()
    with pytest.raises(ActorDeadError):
        await answer
    assert agent.to_dict()["current_turn"]["metadata"] == {"id": "cut"}
    await asyncio.sleep(100)  # the event loop has a cancelled timer and its context until then
    gone = weakref.ref(agent)
    del agent
    gc.collect()
    assert gone() is None
    assert (ignored, caplog.records) == ([], [])


def test_stopping_an_agent_that_nobody_runs_blocks_nobody_in_synchronous_code(agent):
    assert agent.ref.stop(timeout=5) is True
    assert agent.ref.stop(timeout=5) is False


def test_stop_all_returns_at_once_with_agents_that_nobody_runs(agent):
    others = [Agent(f"a{n}", "d", []) for n in range(3)]
    assert ActorRegistry.stop_all(timeout=5) == [True] * 4
    assert [each.ref.is_alive() for each in (agent, *others)] == [False] * 4


async def test_stop_all_returns_at_once_in_a_loop_that_runs_none_of_them(agent):
    Agent("other", "d", [])
    assert ActorRegistry.stop_all(timeout=5) == [True, True]


async def test_a_stop_from_another_task_comes_after_what_is_queued(agent):
    for value in "ab":
        await agent.put(Turn("wait", [value]))
    consumer = asyncio.create_task(run(agent))
    await asyncio.sleep(1)
    stops = [asyncio.create_task(agent.stop()) for _ in range(2)]
    await asyncio.sleep(1)
    agent.ref.tell(Turn("wait", ["too late"]))
    assert agent.ref.is_alive()
    assert await consumer == ["a", "b"]
    assert [await stop for stop in stops] == [True, True]
    assert [turn["args"][0] for turn in agent.to_dict()["queue"]] == ["too late"]


@pytest.mark.parametrize("way", ["await stop()", "ref.stop"])
async def test_the_consumer_may_stop_the_agent_between_two_values(way, agent):
    for turn in (Turn("stream"), Turn("wait", ["w"])):
        await agent.put(turn)
    values = []
    async for _, value in agent.run():
        values.append(value)
        if way == "await stop()":
            assert await agent.stop() is True
            assert not agent.ref.is_alive()
        elif value == 1:
            agent.ref.stop(block=False)
    assert values == ([1] if way == "await stop()" else [1, 2, "w"])
    assert not agent.ref.is_alive()
    assert len(agent.to_dict()["queue"]) == (1 if way == "await stop()" else 0)


async def test_an_agent_cannot_wait_in_its_own_tool_or_hook_for_its_own_end(agent):
    @hook([AgentHook.BEFORE_TURN, AgentHook.AFTER_TURN, AgentHook.ON_TURN_VALUE])
    async def stop(agent, *args):
        await agent.stop()

    await agent.put(calling(lambda: current_agent().stop()))
    with pytest.raises(SafeExecutionError, match=r"use agent\.ref\.stop\(block=False\)"):
        await run(agent)
    agent.hooks.append(stop)
    await agent.put(Turn("wait", ["w"]))
    with pytest.raises(SafeExecutionError, match="own end"):
        await run(agent)
    agent.hooks = []
    assert await run(agent) == ["w"]
    assert agent.ref.is_alive()


async def test_a_put_hook_may_stop_an_agent_that_nobody_runs(agent):
    @hook(AgentHook.AFTER_PUT)
    async def stop(agent, turn):
        await agent.stop()

    agent.hooks.append(stop)
    await agent.put(Turn("stream"))
    assert not agent.ref.is_alive()
    assert len(agent.to_dict()["queue"]) == 1


async def test_a_tool_may_have_its_agent_stopped_after_what_is_queued(agent):
    await agent.put(calling(lambda: current_agent().ref.stop(block=False) and "stopping"))
    await agent.put(Turn("wait", ["not run"]))
    stopped = calling(lambda: current_agent().ref.stop(block=False) and "again")
    await agent.put(stopped)
    values = await run(agent)
    assert values == ["stopping", "not run", "again"]
    assert not agent.ref.is_alive()


@pytest.mark.parametrize("way", ["fails", "left", "cancelled"])
async def test_a_stop_behind_turns_that_a_run_leaves_is_carried_out_then(way, agent):
    def stop_and(outcome):
        current_agent().ref.stop(block=False)
        return outcome()

    outcome = {"fails": lambda: 1 / 0, "left": lambda: "value", "cancelled": lambda: asyncio.sleep(10)}[way]
    await agent.put(calling(lambda: stop_and(outcome)))
    await agent.put(Turn("wait", ["left over"]))
    answer = agent.ref.ask(Turn("wait", ["asked"]), block=False)
    results = agent.run()
    if way == "fails":
        with pytest.raises(ZeroDivisionError):
            await anext(results)
    elif way == "cancelled":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(results), 5)
    else:
        await anext(results)
        await results.aclose()
    # The turns put before the stop stand in front of it; the drain has left them.
    assert not agent.ref.is_alive()
    with pytest.raises(ActorDeadError):
        await answer
    data = agent.to_dict()
    assert [turn["args"][0] for turn in data["queue"]] == ["left over", "asked"]
    assert (data["current_turn"] is not None) == (way == "cancelled")


async def test_a_returned_turn_behind_a_stop_stays_in_the_snapshot(agent):
    def stop_and_return():
        current_agent().ref.stop(block=False)
        return Turn("wait", ["returned"])

    await agent.put(calling(stop_and_return))
    assert len(await run(agent)) == 1
    assert [turn["args"] for turn in agent.to_dict()["queue"]] == [["returned"]]


@pytest.mark.real_time
async def test_a_stop_from_another_thread_is_answered_by_whoever_runs_the_agent(agent):
    begun = threading.Event()
    await agent.put(calling(lambda: asyncio.to_thread(begun.wait, 10)))
    consumer = asyncio.create_task(run(agent))
    await asyncio.sleep(0)
    stop = asyncio.create_task(asyncio.to_thread(agent.ref.stop, timeout=10))
    begun.set()
    assert await consumer == [True]
    while agent.ref.is_alive():
        with suppress(ActorDeadError):  # it may stop between the look and the run
            await run(agent)
    assert await stop is True


async def test_a_system_exit_reaches_the_asker_wrapped_and_the_consumer_as_it_is(agent):
    def leave():
        raise SystemExit(3)

    answer = agent.ref.ask(calling(leave), block=False)
    with pytest.raises(SystemExit):
        await run(agent)
    with pytest.raises(ActorFailedError, match="Agent 'a' failed with SystemExit") as caught:
        await answer
    assert isinstance(caught.value.__cause__, SystemExit)
