"""What run() raises: of turns and hooks that fail, and when it is called a second time."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from pygents import (
    Agent,
    AgentHook,
    SafeExecutionError,
    StopReason,
    ToolHook,
    Turn,
    TurnCancelledError,
    TurnHook,
    TurnTimeoutError,
    current_agent,
    current_turn,
    hook,
    tool,
)
from pygents.actors import ActorFailedError


@pytest.fixture
def agent():
    """Return an agent with a tool for each way to end."""

    @tool()
    async def fine():
        return "fine"

    @tool()
    async def fail(error):
        await asyncio.sleep(1)
        raise error

    @tool()
    async def fail_at_once(error):
        raise error

    @tool()
    async def stream(values, error=None):
        for value in values:
            await asyncio.sleep(1)
            yield value
        if error is not None:
            raise error

    @tool()
    async def hang():
        await asyncio.Event().wait()

    @tool()
    async def hang_streaming():
        yield 1
        await asyncio.Event().wait()

    return Agent("a", "d", [fine, fail, fail_at_once, stream, hang, hang_streaming])


class Odd(BaseException):
    """Neither an Exception nor one that Python raises."""


def argument_fails():
    raise LookupError("no argument")


FAILURES = {
    "an exception": (lambda: Turn("fail", [ValueError("v")]), ValueError, StopReason.ERROR),
    "an exception at once": (lambda: Turn("fail_at_once", [ValueError("v")]), ValueError, StopReason.ERROR),
    "an exception after two values": (lambda: Turn("stream", ["ab", ValueError("v")]), ValueError, StopReason.ERROR),
    "a TimeoutError of its own": (lambda: Turn("fail", [TimeoutError("t")]), TimeoutError, StopReason.ERROR),
    "the timeout": (lambda: Turn("hang", timeout=5), TurnTimeoutError, StopReason.TIMEOUT),
    "the timeout of a stream": (lambda: Turn("hang_streaming", timeout=5), TurnTimeoutError, StopReason.TIMEOUT),
    "a stray CancelledError": (
        lambda: Turn("fail", [asyncio.CancelledError()]),
        TurnCancelledError,
        StopReason.CANCELLED,
    ),
    "a stray CancelledError of a stream": (
        lambda: Turn("stream", ["a", asyncio.CancelledError()]),
        TurnCancelledError,
        StopReason.CANCELLED,
    ),
    "SystemExit": (lambda: Turn("fail", [SystemExit(3)]), SystemExit, StopReason.ERROR),
    "SystemExit at once": (lambda: Turn("fail_at_once", [SystemExit(3)]), SystemExit, StopReason.ERROR),
    "SystemExit of a stream": (lambda: Turn("stream", ["a", SystemExit(3)]), SystemExit, StopReason.ERROR),
    "KeyboardInterrupt": (lambda: Turn("fail", [KeyboardInterrupt()]), KeyboardInterrupt, StopReason.ERROR),
    "any BaseException": (lambda: Turn("fail", [Odd()]), Odd, StopReason.ERROR),
    "an argument": (lambda: Turn("fail", [argument_fails]), LookupError, StopReason.ERROR),
    "wrong arguments": (lambda: Turn("fine", [1]), TypeError, StopReason.ERROR),
}
each_failure = pytest.mark.parametrize(("make", "raised", "reason"), FAILURES.values(), ids=FAILURES)


async def run(agent):
    return [value async for _, value in agent.run()]


@each_failure
async def test_a_turn_that_fails_raises_out_of_run_is_spent_and_the_rest_stays(make, raised, reason, agent):
    turn, log = make(), []

    @hook([AgentHook.ON_TURN_ERROR, AgentHook.ON_TURN_TIMEOUT, TurnHook.ON_ERROR, TurnHook.ON_TIMEOUT])
    async def note(*args):
        log.append((args, turn.stop_reason, current_agent(), current_turn()))

    agent.hooks.append(note)
    turn.hooks.append(note)
    agent.ref.tell(turn)
    agent.ref.tell(Turn("fine"))
    with pytest.raises(raised) as caught:
        await run(agent)
    assert type(caught.value) is raised
    rest = () if reason is StopReason.TIMEOUT else (caught.value,)
    assert log == [((turn, *rest), reason, agent, turn), ((agent, turn, *rest), reason, agent, turn)]
    data = agent.to_dict()
    assert (turn.stop_reason, data["current_turn"], len(data["queue"])) == (reason, None, 1)
    assert (current_agent(), current_turn()) == (None, None)
    assert await run(agent) == ["fine"]


@each_failure
async def test_whoever_asked_for_a_turn_that_fails_gets_the_failure(make, raised, reason, agent):
    answer = agent.ref.ask(make(), block=False)
    with pytest.raises(raised) as caught:
        await run(agent)
    expected = raised if issubclass(raised, Exception) else ActorFailedError
    with pytest.raises(expected) as answered:
        await answer
    assert caught.value in {answered.value, answered.value.__cause__}


async def test_values_that_came_before_the_failure_have_been_streamed(agent):
    seen, turn = [], Turn("stream", ["ab", ValueError("v")])
    await agent.put(turn)
    with pytest.raises(ValueError, match="v"):
        seen.extend([value async for value in _into(seen, agent.run())])
    assert (seen, turn.output) == (["a", "b"], ["a", "b"])


async def _into(seen, results):
    async for _, value in results:
        seen.append(value)
        yield value


async def test_a_turn_that_failed_may_be_put_again(agent):
    turn = Turn("fail", [ValueError("v")])
    for _ in range(2):
        await agent.put(turn)
        with pytest.raises(ValueError, match="v"):
            await run(agent)
        assert turn.end_time is not None


def raising(kind, error):
    @hook(kind)
    async def refuse(*args):
        await asyncio.sleep(1)
        raise error

    return refuse


HOOK_ERRORS = [PermissionError("no"), SystemExit(4), KeyboardInterrupt()]


@pytest.mark.parametrize("error", HOOK_ERRORS, ids=repr)
async def test_before_turn_that_raises_leaves_the_turn_queued(error, agent):
    agent.hooks.append(raising(AgentHook.BEFORE_TURN, error))
    turn = Turn("fine")
    await agent.put(turn)
    with pytest.raises(type(error)):
        await run(agent)
    assert (len(agent.to_dict()["queue"]), turn.stop_reason) == (1, None)
    agent.hooks = []
    assert await run(agent) == ["fine"]


@pytest.mark.parametrize("error", HOOK_ERRORS, ids=repr)
@pytest.mark.parametrize("turn", [lambda: Turn("fine"), lambda: Turn("stream", ["ab"])], ids=["one value", "stream"])
@pytest.mark.parametrize("kind", [AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN])
async def test_a_hook_for_a_value_or_the_end_that_raises_is_the_turns_failure(kind, turn, error, agent):
    failures, turn = [], turn()

    @hook(AgentHook.ON_TURN_ERROR)
    async def note(agent, turn, error):
        failures.append(error)

    agent.hooks += [raising(kind, error), note]
    answer = agent.ref.ask(turn, block=False)
    agent.ref.tell(Turn("fine"))
    with pytest.raises(type(error)):
        await run(agent)
    assert (turn.stop_reason, failures) == (StopReason.ERROR, [error])
    data = agent.to_dict()
    assert (data["current_turn"], len(data["queue"])) == (None, 1)
    with pytest.raises(type(error) if isinstance(error, Exception) else ActorFailedError):
        await answer
    agent.hooks = []
    assert await run(agent) == ["fine"]


async def test_a_hook_for_a_value_that_raises_ends_the_generator_tool_before_run_raises(agent):
    ended = []

    @tool()
    async def careful():
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            ended.append(True)

    agent.tools = [careful]
    agent.hooks.append(raising(AgentHook.ON_TURN_VALUE, PermissionError("no")))
    await agent.put(Turn("careful"))
    with pytest.raises(PermissionError):
        await run(agent)
    assert ended == [True]


@pytest.mark.parametrize("kind", [ToolHook.ON_YIELD, TurnHook.ON_VALUE, AgentHook.ON_TURN_VALUE])
async def test_a_hook_that_raises_the_end_of_an_iteration_of_its_own_does_not_end_the_stream(kind, agent):
    refuse, turn = raising(kind, StopAsyncIteration()), Turn("stream", ["ab"])
    for owner in (agent, turn, turn.tool):
        owner.hooks.append(refuse)
    await agent.put(turn)
    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        await run(agent)
    assert turn.stop_reason is StopReason.ERROR


@pytest.mark.parametrize(("kind", "left"), [(AgentHook.BEFORE_PUT, []), (AgentHook.AFTER_PUT, ["fine"])])
async def test_a_put_hook_that_raises_for_a_returned_turn_fails_the_turn_that_returned_it(kind, left, agent):
    @tool()
    async def chain():
        return Turn("fine")

    agent.tools = [*agent.tools, chain]
    turn = Turn("chain")
    agent.ref.tell(turn)
    agent.hooks.append(raising(kind, PermissionError("no")))
    with pytest.raises(PermissionError):
        await run(agent)
    assert turn.stop_reason is StopReason.ERROR
    agent.hooks = []
    assert await run(agent) == left


@pytest.mark.parametrize(
    ("turn", "raised", "kinds"),
    [
        (lambda hooks: Turn("fail", [ValueError("v")], hooks=hooks), ValueError, ["on_error", "on_turn_error"]),
        (lambda hooks: Turn("hang", timeout=1, hooks=hooks), TurnTimeoutError, ["on_timeout", "on_turn_timeout"]),
    ],
)
@pytest.mark.parametrize("error", [PermissionError("no"), asyncio.CancelledError("stray")], ids=repr)
async def test_a_hook_that_raises_while_a_failure_is_handled_is_logged_and_noted(
    turn, raised, kinds, error, agent, caplog
):
    @hook([TurnHook.ON_ERROR, TurnHook.ON_TIMEOUT, AgentHook.ON_TURN_ERROR, AgentHook.ON_TURN_TIMEOUT])
    async def refuse(*args):
        raise error

    agent.hooks.append(refuse)
    await agent.put(turn([refuse]))
    with pytest.raises(raised) as caught:
        await run(agent)
    notes = caught.value.__notes__
    assert [kind in note for kind, note in zip(kinds, notes, strict=True)] == [True, True]
    assert all(repr(error) in note for note in notes)
    assert [record.exc_info[1] for record in caplog.records] == [error, error]
    assert agent.to_dict()["current_turn"] is None


@pytest.mark.parametrize(
    ("turn", "raised", "reason"),
    [
        (lambda hooks: Turn("fail", [ValueError("v")], hooks=hooks), ValueError, StopReason.ERROR),
        (lambda hooks: Turn("stream", [[], ValueError("v")], hooks=hooks), ValueError, StopReason.ERROR),
        (lambda hooks: Turn("hang", timeout=1, hooks=hooks), TurnTimeoutError, StopReason.TIMEOUT),
        (lambda hooks: Turn("fail", [asyncio.CancelledError()], hooks=hooks), TurnCancelledError, StopReason.CANCELLED),
    ],
    ids=["error", "error of a stream", "timeout", "leak"],
)
async def test_a_consumer_that_is_cancelled_while_a_failure_is_handled_hides_it_from_nobody_else(
    turn, raised, reason, agent, caplog
):
    log = []

    @hook([TurnHook.ON_ERROR, TurnHook.ON_TIMEOUT])
    async def dawdle(*args):
        await asyncio.sleep(100)

    @hook([AgentHook.ON_TURN_ERROR, AgentHook.ON_TURN_TIMEOUT])
    async def note(agent, turn, *failure):
        log.append((turn.stop_reason, *failure))

    agent.hooks.append(note)
    answer = agent.ref.ask(turn([dawdle]), block=False)
    consumer = asyncio.create_task(run(agent))
    await asyncio.sleep(5)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    with pytest.raises(raised) as answered:
        await answer
    assert [record.exc_info[1] for record in caplog.records] == [answered.value]
    assert log == [(reason,) if reason is StopReason.TIMEOUT else (reason, answered.value)]
    assert agent.to_dict()["current_turn"] is None


async def test_a_turn_is_cut_though_its_consumers_cancellation_hid_the_failure_of_another_turn_in_it(agent):
    @hook(TurnHook.ON_ERROR)
    async def dawdle(*args):
        await asyncio.sleep(100)

    @tool()
    async def nest():
        yield await Turn("fail", [ValueError("v")], hooks=[dawdle]).returning()

    agent.tools.append(nest)
    await agent.put(Turn(nest))
    consumer = asyncio.create_task(run(agent))
    await asyncio.sleep(5)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert agent.to_dict()["current_turn"]["stop_reason"] == "cancelled"


async def test_a_second_run_is_refused_while_one_is_active(agent):
    await agent.put(Turn("stream", ["a"]))
    early = agent.run()
    async for _ in agent.run():
        with pytest.raises(SafeExecutionError, match="running"):
            agent.run()
        with pytest.raises(SafeExecutionError, match="running"):
            await anext(early)
    assert await run(agent) == []


async def test_a_second_run_by_another_task_while_a_tool_works_is_refused(agent):
    await agent.put(Turn("fail", [ValueError("v")]))
    consumer = asyncio.create_task(run(agent))
    await asyncio.sleep(0.5)
    with pytest.raises(SafeExecutionError, match="running"):
        agent.run()
    with pytest.raises(ValueError, match="v"):
        await consumer


async def test_a_run_inside_a_tool_or_hook_of_its_own_is_refused(agent):
    @tool()
    async def nested():
        return await run(agent)

    agent.tools = [nested]
    await agent.put(Turn("nested"))
    with pytest.raises(SafeExecutionError, match="running"):
        await run(agent)


async def test_one_result_can_be_taken_from_a_run_that_nobody_holds(agent):
    for name in ("fine", "fine"):
        await agent.put(Turn(name))
    assert (await anext(agent.run()))[1] == "fine"
    assert (await anext(agent.run()))[1] == "fine"
    assert await run(agent) == []


async def test_a_run_works_with_what_python_has_for_asynchronous_iterators(agent):
    assert await anext(agent.run(), "nothing") == "nothing"
    for value in "ab":
        await agent.put(Turn("stream", [value]))
    async with aclosing(agent.run()) as results:
        async for _, value in results:
            assert value == "a"
            break
        assert (await anext(results, None))[1] == "b"
    assert await run(agent) == []


async def test_a_run_that_is_never_begun_takes_nothing_and_blocks_nobody(agent):
    await agent.put(Turn("fine"))
    first, second = agent.run(), agent.run()
    del first
    agent.description = "not running"
    assert (await anext(second))[1] == "fine"
    await second.aclose()


async def test_a_run_says_whether_it_is_active(agent):
    await agent.put(Turn("fine"))
    results = agent.run()
    assert (aiter(results), repr(results)) == (results, "<Run inactive>")
    await anext(results)
    assert repr(results) == "<Run active>"
    await results.aclose()
    assert repr(results) == "<Run inactive>"
    with pytest.raises(StopAsyncIteration):
        await anext(results)
    await results.aclose()


async def drop_while_working(agent):
    """Return the task of somebody who waits for the second value of a run that nobody holds any more."""
    await agent.put(Turn("stream", ["abc"]))
    await agent.put(Turn("fine"))
    results = agent.run()
    await anext(results)
    pending = asyncio.ensure_future(anext(results))
    await asyncio.sleep(0.5)
    return pending


async def test_a_run_dropped_while_somebody_waits_for_its_next_result_still_gives_it(agent, caplog):
    pending = await drop_while_working(agent)
    assert (await pending)[1] == "b"
    assert await run(agent) == ["fine"]
    assert caplog.records == []


async def test_a_run_dropped_while_somebody_waits_for_its_next_result_can_be_cancelled(agent, caplog):
    pending = await drop_while_working(agent)
    pending.cancel()
    await asyncio.wait([pending])
    assert await run(agent) == ["a", "b", "c", "fine"]
    assert caplog.records == []


@pytest.mark.timeout(10)
async def test_a_run_dropped_while_somebody_waits_for_its_next_result_keeps_a_second_one_out(agent):
    pending = await drop_while_working(agent)
    with pytest.raises(SafeExecutionError, match="running"):
        await asyncio.wait_for(run(agent), 1000)
    assert (await pending)[1] == "b"


@pytest.mark.real_time
async def test_of_two_consumers_on_two_threads_one_is_refused_and_the_other_gets_everything(agent):
    begun, go_on = threading.Event(), threading.Event()

    @tool()
    async def wait():
        begun.set()
        await asyncio.to_thread(go_on.wait, 10)
        return "waited"

    agent.tools = [*agent.tools, wait]
    await agent.put(Turn("wait"))
    await agent.put(Turn("fine"))
    other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(run(agent))))
    assert await asyncio.to_thread(begun.wait, 10)
    with pytest.raises(SafeExecutionError, match="running"):
        await run(agent)
    go_on.set()
    assert await other == ["waited", "fine"]
