"""Agents in numbers: many threads at once, and what is left of agents that nobody holds any more."""

import asyncio
import gc
import random
import sys
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from pykka import ActorDeadError, ActorRegistry

from pygents import (
    Agent,
    AgentHook,
    AgentRegistry,
    SafeExecutionError,
    Turn,
    TurnCancelledError,
    current_turn,
    hook,
    tool,
)
from pygents.testing import VirtualTimeLoop

THREADS = 8
EACH = 400


@pytest.fixture
def impatient_threads():
    """Have threads take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def even_if_it_fails():
    """Close the mailboxes that are left, so that a failing test is the only one."""
    yield
    for ref in ActorRegistry.get_all():
        ref.actor_inbox.close()
        ActorRegistry.unregister(ref)


@pytest.fixture
def echo():
    @tool()
    async def echo(value):
        if random.random() < 0.1:
            await asyncio.sleep(0)
        return value

    return echo


async def run(agent):
    return [value async for _, value in agent.run()]


def run_sync(main):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def on_threads(work):
    """Start work(number) on each of 8 threads and return the futures of the results."""
    pool = ThreadPoolExecutor(THREADS)
    futures = [pool.submit(work, number) for number in range(THREADS)]
    pool.shutdown(wait=False)
    return futures


async def run_until_done(agent, futures):
    """Run the agent again and again until the threads are done, and return all values."""
    values = []
    done = False
    while not done:
        done = all(future.done() for future in futures)
        values += await run(agent)
        await asyncio.sleep(0)
    return values


@pytest.mark.real_time
async def test_every_turn_of_eight_threads_is_run_once_and_in_the_order_of_its_sender(impatient_threads, echo):
    agent = Agent("a", "d", [echo])

    def send(sender):
        answers = []
        for number in range(EACH):
            turn = Turn("echo", [(sender, number)])
            match (sender + number) % 3:
                case 0:
                    agent.ref.tell(turn)
                case 1:
                    asyncio.run(agent.put(turn)) if number % 10 == 0 else agent.ref.tell(turn)
                case 2:
                    answers.append((agent.ref.ask(turn, block=False), (sender, number)))
        return answers

    futures = on_threads(send)
    values = await run_until_done(agent, futures)
    assert Counter(values) == Counter((sender, number) for sender in range(THREADS) for number in range(EACH))
    for sender in range(THREADS):
        assert [number for each, number in values if each == sender] == list(range(EACH))
    for future in futures:
        for answer, expected in future.result():
            assert await answer == expected


def test_eight_threads_that_run_an_agent_share_its_turns_and_run_each_once(impatient_threads, echo):
    agent = Agent("a", "d", [echo])
    total = THREADS * EACH
    values = []
    for number in range(total):
        agent.ref.tell(Turn("echo", [number]))

    def consume(number):
        async def some():
            async for _, value in agent.run():
                values.append(value)
                if value % 7 == number % 7:
                    break  # dropped: whoever comes next, on any thread, has it closed

        while len(values) < total:
            try:
                asyncio.run(some())
            except SafeExecutionError:
                continue

    for future in on_threads(consume):
        future.result(30)
    assert values == list(range(total))


@pytest.mark.real_time
async def test_every_turn_that_eight_threads_send_to_an_agent_that_stops_is_run_or_left_or_refused(
    impatient_threads, echo
):
    agent = Agent("a", "d", [echo])
    begun = threading.Barrier(THREADS + 1)

    def send(sender):
        begun.wait(10)
        for number in range(EACH * 20):
            try:
                agent.ref.tell(Turn("echo", [(sender, number)]))
            except ActorDeadError:
                return number
        return EACH * 20

    futures = on_threads(send)
    await asyncio.to_thread(begun.wait, 10)
    values = await run(agent)
    agent.ref.stop(block=False)
    values += await run(agent) if agent.ref.is_alive() else []
    accepted = [future.result(30) for future in futures]
    left = [tuple(turn["args"][0]) for turn in agent.to_dict()["queue"]]
    expected = [(sender, number) for sender in range(THREADS) for number in range(accepted[sender])]
    assert sorted(values + left) == expected


@pytest.mark.real_time
async def test_a_snapshot_from_another_thread_sees_a_chain_of_turns_exactly_once(impatient_threads):
    @tool()
    async def again(left):
        current_turn().metadata.update(dict.fromkeys(range(left, left + 50)))  # while others may be storing it
        return Turn("again", [left - 1]) if left else None

    agent = Agent("a", "d", [again])
    agent.ref.tell(Turn("again", [400]))
    over = threading.Event()

    def look(number):
        seen = Counter()
        while not over.is_set():
            snapshot = agent.to_dict()
            seen[len(snapshot["queue"]) + (snapshot["current_turn"] is not None)] += 1
        return seen

    futures = on_threads(look)
    async for turn, _ in agent.run():
        if turn.args == [0]:
            over.set()
            await asyncio.gather(*map(asyncio.wrap_future, futures))
    assert set().union(*(future.result() for future in futures)) == {1}


def make_and_forget(tools=(), name="a"):
    """Return refs to an agent that nobody holds, and to its actor."""
    agent = Agent(name, "d", tools)
    AgentRegistry.clear()
    return weakref.ref(agent), agent.ref


def test_an_agent_that_nobody_holds_is_stopped_at_once(caplog):
    agent, ref = make_and_forget()
    assert (agent(), ref.is_alive(), ActorRegistry.get_all()) == (None, False, [])
    with pytest.raises(ActorDeadError):
        ref.tell("anything")
    assert ref.stop(timeout=5) is False
    assert caplog.records == []


def test_an_agent_in_a_cycle_is_stopped_when_it_is_collected():
    agent = Agent("a", "d", [])
    agent.itself = agent
    ref = agent.ref
    AgentRegistry.clear()
    del agent
    assert ref.is_alive()
    gc.collect()
    assert not ref.is_alive()


def test_an_agent_that_only_its_name_refers_to_is_alive():
    ref = Agent("a", "d", []).ref
    gc.collect()
    assert ref.is_alive()
    assert AgentRegistry.get("a").ref == ref


async def test_what_an_agent_has_in_its_mailbox_when_it_is_collected_is_answered_and_counted(echo, caplog):
    agent = Agent("a", "d", [echo])
    answer = agent.ref.ask(Turn("echo", [1]), block=False)
    agent.ref.tell(Turn("echo", [2]))
    AgentRegistry.clear()
    del agent
    with pytest.raises(ActorDeadError, match="Agent 'a' stopped"):
        await answer
    assert "without handling 1 of its messages" in caplog.text


def test_nothing_of_a_thousand_agents_piles_up(echo):
    threads = set(threading.enumerate())

    async def use(number):
        agent = Agent(f"a{number}", "d", [echo])
        await agent.put(Turn("echo", [number]))
        await agent.put(Turn("echo", [number]))
        async for _, value in agent.run():
            assert value == number
            if number % 3 == 0:
                break
        AgentRegistry.clear()

    async def main():
        for number in range(1000):
            await use(number)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        assert ActorRegistry.get_all() == []

    asyncio.run(main())
    assert ActorRegistry.get_all() == []
    assert set(threading.enumerate()) <= threads


async def test_an_agent_is_held_by_its_run_and_goes_with_it(echo):
    results = Agent("a", "d", [echo]).run()
    AgentRegistry.clear()
    (ref,) = ActorRegistry.get_all()
    gc.collect()
    ref.tell(Turn("echo", [1]))
    ref.tell(Turn("echo", [2]))
    assert (await anext(results))[1] == 1
    assert ref.is_alive()
    del results
    await asyncio.sleep(1)
    assert not ref.is_alive()


@pytest.mark.parametrize("whose", ["the turn's", "the tool's"])
async def test_an_agent_is_not_held_by_the_cancelled_timers_of_turns_that_have_ended(whose):
    @tool()
    async def wait():
        async with asyncio.timeout(3600 if whose == "the tool's" else None):
            await asyncio.sleep(1)

    pending = asyncio.create_task(
        asyncio.sleep(100)
    )  # a loop drops a cancelled timer when none that is due is before it
    agent = Agent("a", "d", [wait])
    await agent.put(Turn("wait", timeout=3600 if whose == "the turn's" else None))
    assert await run(agent) == [None]
    ref = agent.ref
    AgentRegistry.clear()
    del agent
    gc.collect()
    assert not ref.is_alive()
    pending.cancel()


def test_an_agent_whose_run_was_left_open_on_a_closed_loop_is_stopped_when_it_is_collected(echo, even_if_it_fails):
    agent = Agent("a", "d", [echo])
    agent.ref.tell(Turn("echo", [1]))
    ref, results, loop = agent.ref, agent.run(), asyncio.new_event_loop()
    loop.run_until_complete(anext(results))
    loop.close()
    AgentRegistry.clear()
    del agent, results
    gc.collect()
    assert not ref.is_alive()


def test_an_agent_whose_loop_was_closed_during_a_run_can_be_stopped(even_if_it_fails, caplog):
    @tool()
    async def stream():
        yield 1

    agent = Agent("a", "d", [stream])
    agent.ref.tell(Turn("stream"))
    agent.ref.tell(Turn("stream"))
    answer = agent.ref.ask(Turn("stream"), block=False)
    results, loop = agent.run(), asyncio.new_event_loop()
    loop.run_until_complete(anext(results))
    loop.close()
    assert agent.ref.stop(timeout=1) is True
    with pytest.raises(ActorDeadError):
        answer.get(timeout=1)
    assert len(agent.to_dict()["queue"]) == 2
    Agent("a", "d", []).ref.stop()
    with pytest.raises(ActorDeadError):
        agent.ref.tell(Turn("stream"))
    assert agent.ref.stop(timeout=1) is False
    del agent, results
    gc.collect()
    assert caplog.text.count("without handling") == 1


@pytest.mark.timeout(10)
def test_an_agent_that_was_run_on_a_loop_that_is_closing_down_can_be_run_on_the_next(echo, even_if_it_fails):
    agent, outcomes = Agent("a", "d", [echo]), []

    async def clean_up_late():
        try:
            yield
        finally:
            await asyncio.sleep(5)
            outcomes.extend(await asyncio.gather(run(agent), return_exceptions=True))

    async def main():
        await run(agent)
        agent.ref.tell(Turn("echo", [1]))
        generator = clean_up_late()
        await anext(generator)
        return generator  # asyncio closes it when the loop ends

    run_sync(main())
    ran = [values for values in outcomes if isinstance(values, list)]
    assert len(outcomes) == 1
    assert [*ran, run_sync(run(agent))] in ([[1], []], [[1]])


async def test_an_agent_that_is_collected_together_with_its_open_run_ends_its_tool_and_answers_once(caplog):
    class Holder: ...

    ended, holder = [], Holder()

    @tool()
    async def stream():
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            ended.append(True)

    holder.itself = holder
    holder.agent = Agent("a", "d", [stream])
    holder.agent.holder = holder
    answer, ref = holder.agent.ref.ask(Turn("stream"), block=False), holder.agent.ref
    holder.results = holder.agent.run()
    await anext(holder.results)
    AgentRegistry.clear()
    del holder
    gc.collect()
    await asyncio.sleep(10)
    with pytest.raises((ActorDeadError, TurnCancelledError)):
        await answer.get_async(timeout=5)
    assert (ended, ref.is_alive(), caplog.records) == ([True], False, [])


def test_an_agent_that_is_collected_while_its_mailbox_is_locked_is_stopped_soon(echo):
    agent = Agent("a", "d", [echo])
    actor, ref = agent._actor, agent.ref
    answer = ref.ask(Turn("echo", [1]), block=False)
    AgentRegistry.clear()
    with actor.actor_inbox._lock:
        del agent
        assert not actor.actor_inbox.closed
    assert actor.actor_stopped.wait(10)
    with pytest.raises(ActorDeadError):
        answer.get(timeout=10)
    assert ActorRegistry.get_all() == []


def test_an_agent_may_be_collected_on_any_thread_and_inside_any_hook(echo):
    @hook(AgentHook.AFTER_TURN)
    async def collect(agent, turn):
        others.clear()
        gc.collect()

    others = [Agent(f"other{number}", "d", [echo]) for number in range(3)]
    others.append(others)
    agent = Agent("a", "d", [echo])
    agent.hooks.append(collect)
    AgentRegistry.clear()
    agent.ref.tell(Turn("echo", [1]))
    assert on_threads(lambda number: asyncio.run(run(agent)) if number == 0 else None)[0].result(10) == [1]
    assert ActorRegistry.get_all() == [agent.ref]
