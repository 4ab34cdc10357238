"""Leaving run() early, having its consumer cancelled, and event loops that end while it is open."""

import asyncio
import gc
import logging
from contextlib import suppress

import pytest

from pygents import (
    Agent,
    AgentHook,
    StopReason,
    Turn,
    TurnCancelledError,
    TurnHook,
    current_agent,
    current_turn,
    hook,
    tool,
)
from pygents.testing import VirtualTimeLoop


@pytest.fixture
def log():
    return []


@pytest.fixture
def agent(log):
    """Return an agent whose tools take their time, also for ending, and note what they do."""

    @tool()
    async def work(name, seconds=10):
        log.append(f"{name} begins")
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.sleep(1)
            log.append(f"{name} ends")
        return name

    @tool()
    async def stream(name, to=3):
        log.append(f"{name} begins")
        try:
            for number in range(to):
                await asyncio.sleep(10)
                yield number
        finally:
            await asyncio.sleep(1)
            log.append(f"{name} ends")

    @tool()
    async def chain(name):
        return Turn("work", [name])

    return Agent("a", "d", [work, stream, chain])


async def run(agent):
    return [value async for _, value in agent.run()]


async def leave_by_break(agent, at):
    async for _ in agent.run():
        at -= 1
        if not at:
            break


async def leave_by_aclose(agent, at):
    results = agent.run()
    for _ in range(at):
        await anext(results)
    await results.aclose()


async def leave_by_raising(agent, at):
    with suppress(ZeroDivisionError):
        async for _ in agent.run():
            at -= 1
            at / at


async def leave_by_cancelled_body(agent, at):
    async def consume():
        nonlocal at
        async for _ in agent.run():
            at -= 1
            if not at:
                await asyncio.Event().wait()

    with suppress(TimeoutError):
        await asyncio.wait_for(consume(), 1000)


async def leave_by_cycle(agent, at):
    results = agent.run()
    for _ in range(at):
        await anext(results)
    cycle = [results]
    cycle.append(cycle)
    del results, cycle
    gc.collect()


WAYS = [leave_by_break, leave_by_aclose, leave_by_raising, leave_by_cancelled_body, leave_by_cycle]
each_way = pytest.mark.parametrize("leave", WAYS, ids=lambda leave: leave.__name__)


@each_way
async def test_leaving_between_two_values_ends_the_tool_and_the_turn_as_cancelled(leave, agent, log, caplog):
    turn, hooks = Turn("stream", ["s"]), []

    @hook([*AgentHook, *TurnHook])
    async def note(*args):
        hooks.append(args)

    answer = agent.ref.ask(turn, block=False)
    await agent.put(Turn("work", ["w"]))
    agent.hooks.append(note)
    turn.hooks.append(note)
    await leave(agent, 2)
    hooks.clear()
    await asyncio.sleep(100)
    assert (log, turn.stop_reason, turn.output) == (["s begins", "s ends"], StopReason.CANCELLED, [0, 1])
    data = agent.to_dict()
    assert (data["current_turn"], len(data["queue"]), hooks) == (None, 1, [])
    with pytest.raises(TurnCancelledError, match="left"):
        await answer
    agent.description = "not running"
    assert await run(agent) == ["w"]
    gc.collect()
    assert caplog.records == []


@each_way
async def test_leaving_after_the_value_of_a_single_value_turn_finds_it_completed(leave, agent):
    after = []

    @hook(AgentHook.AFTER_TURN)
    async def note(agent, turn):
        after.append((turn, current_agent(), current_turn()))

    agent.hooks.append(note)
    turn = Turn("chain", ["c"])
    answer = agent.ref.ask(turn, block=False)
    await agent.put(Turn("work", ["w"]))
    await leave(agent, 1)
    await asyncio.sleep(100)
    assert (turn.stop_reason, after) == (StopReason.COMPLETED, [(turn, agent, turn)])
    assert await answer is turn.output
    data = agent.to_dict()
    assert (data["current_turn"], [turn["args"] for turn in data["queue"]]) == (None, [["w"], ["c"]])
    assert await run(agent) == ["w", "c"]


@each_way
async def test_a_run_right_after_one_that_was_left_first_finishes_closing_it(leave, agent, log, caplog):
    await agent.put(Turn("stream", ["s"]))
    await agent.put(Turn("work", ["w"]))
    await leave(agent, 1)
    assert await run(agent) == ["w"]
    assert log == ["s begins", "s ends", "w begins", "w ends"]
    gc.collect()
    assert caplog.records == []


async def test_of_two_runs_right_after_a_break_one_goes_on_and_the_other_is_refused(agent):
    for turn in (Turn("stream", ["s"]), Turn("work", ["w"])):
        await agent.put(turn)
    await leave_by_break(agent, 1)
    results = await asyncio.gather(run(agent), run(agent), return_exceptions=True)
    assert sorted(map(repr, results)) == sorted([repr(["w"]), repr(results[1])])
    assert "running" in str(results[1])


@pytest.mark.parametrize("pause", [0, 0.5], ids=["at once", "while it is closed"])
async def test_stopping_after_a_break_waits_until_the_tool_has_ended(pause, agent, log):
    await agent.put(Turn("stream", ["s"]))
    await leave_by_break(agent, 1)
    await asyncio.sleep(pause)
    assert await agent.stop()
    assert log == ["s begins", "s ends"]
    assert not agent.ref.is_alive()


@each_way
async def test_the_tool_that_is_ended_still_knows_its_turn_and_agent(leave, agent, log):
    @tool()
    async def who():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(1)
            log.append((current_agent(), current_turn()))

    agent.tools = [who]
    turn = Turn("who")
    await agent.put(turn)
    await leave(agent, 1)
    await asyncio.sleep(100)
    assert log == [(agent, turn)]
    assert (current_agent(), current_turn()) == (None, None)


@pytest.mark.parametrize("error", [ValueError("in finally"), SystemExit(5)], ids=repr)
async def test_what_a_tool_raises_while_a_left_run_is_closed_is_logged_and_harms_nobody(error, agent, caplog):
    @tool()
    async def stubborn():
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            raise error

    agent.tools = [stubborn]
    turn = Turn("stubborn")
    await agent.put(turn)
    await leave_by_break(agent, 1)
    await asyncio.sleep(100)
    assert error in [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert turn.stop_reason is not None
    assert await run(agent) == []


async def test_a_returned_turn_that_cannot_be_put_when_the_consumer_left_is_logged(agent, caplog):
    @hook(AgentHook.BEFORE_PUT)
    async def refuse(agent, turn):
        raise PermissionError("no more")

    await agent.put(Turn("chain", ["c"]))
    agent.hooks.append(refuse)
    await leave_by_break(agent, 1)
    await asyncio.sleep(1)
    assert "no more" in caplog.text
    assert await run(agent) == []


async def cancel_after(seconds, agent):
    """Return whether the consumer was cancelled that many seconds after it began."""
    consumer = asyncio.create_task(run(agent))
    await asyncio.sleep(seconds)
    consumer.cancel()
    await asyncio.wait([consumer])
    return consumer.cancelled()


@pytest.mark.parametrize(("tool_name", "seconds"), [("work", 5), ("stream", 5), ("stream", 25)])
async def test_a_turn_that_is_cut_by_its_consumers_cancellation_stays_in_hand_and_is_run_again(
    tool_name, seconds, agent, log
):
    turn = Turn(tool_name, ["t"])
    answer = agent.ref.ask(turn, block=False)
    await agent.put(Turn("work", ["w"]))
    assert await cancel_after(seconds, agent)
    assert (log, turn.stop_reason) == (["t begins", "t ends"], StopReason.CANCELLED)
    assert turn.end_time is not None
    data = agent.to_dict()
    assert (data["current_turn"]["args"], data["current_turn"]["stop_reason"]) == (["t"], "cancelled")
    assert [queued["args"] for queued in data["queue"]] == [["w"]]
    assert not answer.done
    agent.description = "not running"
    values = {"work": ["t"], "stream": [0, 1, 2]}[tool_name]
    assert await run(agent) == [*values, "w"]
    assert await answer == {"work": "t", "stream": [0, 1, 2]}[tool_name]
    assert turn.stop_reason is StopReason.COMPLETED


async def test_a_turn_is_cut_by_a_timeout_of_the_consumers_own_too(agent):
    await agent.put(Turn("work", ["t"]))
    results = agent.run()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await anext(results)
    assert agent.to_dict()["current_turn"]["args"] == ["t"]
    assert await run(agent) == ["t"]


async def test_a_tool_that_answers_its_cancellation_with_a_value_is_cut_all_the_same(agent):
    @tool()
    async def deaf():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return "heard nothing"

    agent.tools = [deaf]
    await agent.put(Turn("deaf"))
    assert await cancel_after(5, agent)
    assert agent.to_dict()["current_turn"]["stop_reason"] == "cancelled"
    assert await run(agent) == ["heard nothing"]


CUT_IN = {
    # the hook that is running: (turns in hand, turns queued, values of the next run)
    AgentHook.BEFORE_TURN: (0, 2, ["chained", "w", "c"]),
    TurnHook.BEFORE_RUN: (1, 1, ["chained", "w", "c"]),
    AgentHook.ON_TURN_VALUE: (1, 1, ["chained", "w", "c"]),
    AgentHook.AFTER_TURN: (0, 2, ["w", "c"]),
    AgentHook.AFTER_PUT: (0, 2, ["w", "c"]),
}


@pytest.mark.parametrize("kind", CUT_IN, ids=str)
async def test_nothing_is_lost_if_the_consumer_is_cancelled_in_a_hook(kind, agent):
    turn = Turn("chain", ["c"])
    await agent.put(turn)
    await agent.put(Turn("work", ["w"]))
    pause_in(kind, agent, turn)
    assert await cancel_after(5, agent)
    data = agent.to_dict()
    in_hand, queued, values = CUT_IN[kind]
    assert (data["current_turn"] is not None, len(data["queue"])) == (bool(in_hand), queued)
    agent.hooks, turn.hooks = [], []
    assert ["chained" if isinstance(value, Turn) else value for value in await run(agent)] == values


async def test_a_turn_is_spent_and_answered_if_the_consumer_is_cancelled_in_its_after_turn_hook(agent):
    answer = agent.ref.ask(Turn("work", ["t"]), block=False)
    pause_in(AgentHook.AFTER_TURN, agent)
    assert await cancel_after(50, agent)
    assert (answer.done, agent.to_dict()["current_turn"]) == (True, None)
    agent.hooks = []
    assert (await answer, await run(agent)) == ("t", [])


async def test_a_returned_turn_is_not_lost_if_the_consumer_is_cancelled_while_it_is_put(agent):
    await agent.put(Turn("chain", ["c"]))
    pause_in(AgentHook.BEFORE_PUT, agent)
    assert await cancel_after(5, agent)
    agent.hooks = []
    assert [value for value in await run(agent) if not isinstance(value, Turn)] == ["c"]


async def test_only_the_put_of_a_returned_turn_is_done_again_if_the_consumer_is_cancelled_in_it(agent):
    log = []

    @hook([AgentHook.AFTER_TURN, AgentHook.AFTER_PUT])
    async def note(agent, turn):
        log.append(turn.tool.metadata.name)

    await agent.put(Turn("chain", ["c"]))
    agent.hooks.append(note)
    pause_in(AgentHook.BEFORE_PUT, agent)
    assert await cancel_after(5, agent)
    assert log == ["chain"]
    del agent.hooks[1]
    await run(agent)
    assert log == ["chain", "work", "work"]  # the put of the returned turn, and its end


@pytest.mark.parametrize("kind", [TurnHook.ON_ERROR, AgentHook.ON_TURN_ERROR], ids=str)
async def test_a_turn_that_failed_is_spent_even_if_the_consumer_is_cancelled_in_the_hook_for_it(kind, agent):
    turn = Turn("work", [])
    await agent.put(turn)
    pause_in(kind, agent, turn)
    assert await cancel_after(5, agent)
    assert (agent.to_dict()["current_turn"], turn.stop_reason) == (None, StopReason.ERROR)


def pause_in(kind, agent, *turns):
    @hook(kind)
    async def pause(*args):
        await asyncio.sleep(1000)

    for owner in (agent, *turns):
        owner.hooks.append(pause)


async def test_a_run_that_is_cancelled_while_it_is_left_ends_its_turn_as_cancelled(agent, log):
    turn = Turn("stream", ["s"])
    await agent.put(turn)
    leaving = asyncio.create_task(leave_by_aclose(agent, 1))
    await asyncio.sleep(10.5)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert turn.stop_reason is StopReason.CANCELLED
    assert agent.to_dict()["current_turn"] is None
    assert await run(agent) == []


def run_sync(main):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


kept = []


async def open_run(agent, state):
    """Leave the main task with a run of the agent open."""
    kept[:] = [agent.run()]
    if state == "not begun":
        return
    if state.startswith("working"):
        kept.append(asyncio.create_task(anext(kept[0])))
        await asyncio.sleep(5)
        return
    await anext(kept[0])
    if state.startswith("dropped"):
        kept.clear()
    if state == "dropped, being closed":
        await asyncio.sleep(0.5)
    if state == "main raises":
        raise ZeroDivisionError


OPEN = {
    # the state: (the tool, what the tool has done when the loop ends, what the next run streams)
    "not begun": ("work", [], ["t", "w"]),
    "working": ("work", ["t begins", "t ends"], ["t", "w"]),
    "working on a stream": ("stream", ["t begins", "t ends"], [0, 1, 2, "w"]),
    "at a value": ("work", ["t begins", "t ends"], ["w"]),
    "at a value of a stream": ("stream", ["t begins", "t ends"], ["w"]),
    "dropped": ("stream", ["t begins", "t ends"], ["w"]),
    "dropped, being closed": ("stream", ["t begins"], ["w"]),
    "main raises": ("stream", ["t begins", "t ends"], ["w"]),
}


@pytest.mark.parametrize("state", OPEN)
def test_asyncio_run_ends_cleanly_with_a_run_left_open_and_another_loop_goes_on(state, agent, log, caplog):
    tool_name, done, values = OPEN[state]
    turn = Turn(tool_name, ["t"])
    agent.ref.tell(turn)
    agent.ref.tell(Turn("work", ["w"]))
    with suppress(ZeroDivisionError), caplog.at_level(logging.WARNING):
        run_sync(open_run(agent, state))
    assert log == done
    assert (turn.stop_reason is None) == (state == "not begun")
    agent.description = "not running"
    kept.clear()
    assert run_sync(run(agent)) == values
    assert agent.ref.stop(timeout=5) is True
    assert caplog.records == []


@pytest.mark.timeout(10)
@pytest.mark.filterwarnings("ignore:coroutine 'Drain.close' was never awaited:RuntimeWarning")
@pytest.mark.parametrize("state", ["at a value", "at a value of a stream", "dropped", "dropped, being closed"])
def test_a_run_goes_on_where_one_stopped_whose_loop_was_closed_by_hand(state, agent, log, caplog):
    tool_name, done, values = OPEN[state]
    answer = agent.ref.ask(Turn(tool_name, ["t"]), block=False)
    agent.ref.tell(Turn("work", ["w"]))
    loop = VirtualTimeLoop()
    loop.run_until_complete(open_run(agent, state))
    loop.close()
    kept.clear()
    assert run_sync(run(agent)) == values
    assert log == [*done, "w begins", "w ends"]
    with suppress(TurnCancelledError):
        assert answer.get(timeout=5) == "t"
    caplog.clear()
    gc.collect()  # what asyncio says of tasks that are lost with their loop belongs to this test
