"""Cancelling a turn that a consumer runs by hand, in its tool, in a hook, or while the consumer holds a value."""

import asyncio

import pytest

from pygents import Agent, AgentHook, SafeExecutionError, StopReason, Turn, TurnCancelledError, TurnHook, hook, tool
from tests.actors.helpers import hang


@pytest.fixture
def log():
    return []


@pytest.fixture
def agent(log):
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
            log.append("ended")

    return Agent("worker", "Works", [waits, streams])


async def consume(agent):
    """Return the values and the errors of all runs until the mailbox is empty."""
    got = []
    while True:
        try:
            got += [value async for _, value in agent.run()]
        except TurnCancelledError as error:
            got.append(error.reason)
        else:
            return got


@pytest.mark.parametrize(("name", "before"), [("waits", []), ("streams", [0, 1, 2])])
class TestItsConsumer:
    async def test_gets_the_reason_and_the_next_run_goes_on(self, agent, log, name, before):
        turn = Turn(name)
        await agent.put(turn)
        await agent.put(Turn("waits", args=[1]))
        got = []

        async def one_run():
            async for _, value in agent.run():
                got.append(value)

        running = asyncio.ensure_future(one_run())
        await asyncio.sleep(2.5)
        assert await agent.cancel_turn("enough") is True
        assert log == ["ended"]
        assert turn.stop_reason is StopReason.CANCELLED
        with pytest.raises(TurnCancelledError, match="enough"):
            await running
        assert got == before
        assert agent.to_dict()["current_turn"] is None
        assert await consume(agent) == [1]

    async def test_is_not_cancelled_itself(self, agent, name, before):
        await agent.put(Turn(name))

        async def main():
            with pytest.raises(TurnCancelledError):
                async for _ in agent.run():
                    pass
            await asyncio.sleep(1)
            return asyncio.current_task().cancelling()

        running = asyncio.ensure_future(main())
        await asyncio.sleep(2.5)
        await agent.cancel_turn()
        assert await running == 0

    async def test_goes_first_if_it_is_cancelled_at_the_same_moment(self, agent, log, name, before):
        turn = Turn(name)
        await agent.put(turn)
        running = asyncio.ensure_future(consume(agent))
        await asyncio.sleep(2.5)
        cancelled = agent.ref.cancel_turn("enough")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert log == ["ended"]
        assert turn.stop_reason is StopReason.CANCELLED
        await agent.stop()
        assert await cancelled is True


class TestAHookThatWaits:
    @pytest.mark.parametrize("event", [TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN, TurnHook.ON_VALUE])
    async def test_is_cancelled_and_its_consumer_is_not(self, agent, event):
        @hook(event)
        async def waiting(*args):
            await hang()

        turn = Turn("streams" if event is TurnHook.ON_VALUE else "waits", hooks=[waiting])
        if event is not TurnHook.ON_VALUE:
            turn.args = [1]
        await agent.put(turn)
        await agent.put(Turn("waits", args=[2]))
        running = asyncio.ensure_future(consume(agent))
        await asyncio.sleep(2.5)
        assert await agent.cancel_turn("enough") is True
        assert await running == ["enough", 2]
        assert running.cancelling() == 0

    async def test_cannot_be_cancelled_by_itself(self, agent):
        refused = []

        @hook(TurnHook.BEFORE_RUN)
        async def cancels(turn):
            with pytest.raises(SafeExecutionError):
                await agent.cancel_turn()
            refused.append(turn)

        await agent.put(Turn("waits", args=[1], hooks=[cancels]))
        assert await consume(agent) == [1]
        assert len(refused) == 1

    @pytest.mark.parametrize("event", [AgentHook.BEFORE_TURN, AgentHook.AFTER_TURN])
    async def test_outside_the_run_of_a_turn_is_none_of_its(self, agent, event):
        @hook(event)
        async def waiting(*args):
            await asyncio.sleep(5)

        agent.hooks.append(waiting)
        await agent.put(Turn("waits", args=[0]))
        running = asyncio.ensure_future(consume(agent))
        await asyncio.sleep(2.5)
        assert await agent.cancel_turn() is False
        assert await running == [0]


class TestAValueThatTheConsumerHolds:
    async def test_of_a_stream_ends_it_when_the_consumer_cancels(self, agent, log):
        turn = Turn("streams")
        await agent.put(turn)

        async def consume():
            async for _, value in agent.run():
                if value == 2:
                    assert await agent.cancel_turn("from the loop") is True
                    assert log == ["ended"]

        with pytest.raises(TurnCancelledError, match="from the loop"):
            await consume()
        assert turn.output == [0, 1, 2]
        assert turn.stop_reason is StopReason.CANCELLED

    async def test_of_a_stream_ends_it_when_the_consumer_goes_on(self, agent, log):
        turn = Turn("streams")
        await agent.put(turn)
        results = agent.run()
        assert await anext(results) == (turn, 0)
        cancelled = asyncio.ensure_future(agent.cancel_turn("elsewhere"))
        await asyncio.sleep(5)
        assert not cancelled.done()
        with pytest.raises(TurnCancelledError, match="elsewhere"):
            await anext(results)
        assert await cancelled is True
        assert log == ["ended"]

    async def test_of_a_stream_ends_it_when_the_consumer_leaves(self, agent, log):
        turn = Turn("streams")
        await agent.put(turn)
        results = agent.run()
        assert await anext(results) == (turn, 0)
        cancelled = asyncio.ensure_future(agent.cancel_turn("elsewhere"))
        await asyncio.sleep(5)
        await results.aclose()
        assert await cancelled is True
        assert log == ["ended"]
        assert turn.stop_reason is StopReason.CANCELLED

    async def test_of_a_turn_that_has_completed_is_nothing_to_cancel(self, agent):
        await agent.put(Turn("waits", args=[1]))
        async for turn, value in agent.run():
            assert await agent.cancel_turn() is False
            assert (turn.stop_reason, value) == (StopReason.COMPLETED, 1)


async def test_a_turn_that_was_cancelled_can_be_run_again(agent):
    turn = Turn("waits")
    await agent.put(turn)
    running = asyncio.ensure_future(consume(agent))
    await asyncio.sleep(1)
    await agent.cancel_turn("enough")
    assert await running == ["enough"]
    turn.args = [1]
    await agent.put(turn)
    assert await consume(agent) == [1]
    assert turn.stop_reason is StopReason.COMPLETED
    assert turn.copy().stop_reason is None
