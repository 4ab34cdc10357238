"""Probes: what users test their agents with."""

import asyncio

import pytest

from pygents import Agent, Turn, tool
from pygents.actors import (
    ActorDeadError,
    ActorFailedError,
    Ended,
)
from pygents.testing import Probe, VirtualTimeLoop, advance, run
from tests.actors.helpers import PATIENCE, Echo, in_thread, messages_of
from tests.testing.helpers import now, standing


class NoEqualityError(Exception):
    """Raised by what cannot be compared or shown."""


class Hostile:
    def __repr__(self):
        raise NoEqualityError


class TestProbe:
    async def test_receives_in_order(self):
        probe = Probe()
        for number in range(100):
            probe.ref.tell(number)
        assert [await probe.expect_message() for _ in range(100)] == list(range(100))

    async def test_waits_for_a_message_on_virtual_time(self):
        probe = Probe()
        asyncio.get_running_loop().call_later(2.9, probe.ref.tell, "late")
        assert await probe.expect_message("late") == "late"
        assert now() == 2.9

    async def test_says_that_nothing_came(self):
        with pytest.raises(AssertionError, match=r"^expected a message, but nothing came within 3\.0 seconds$"):
            await Probe().expect_message()
        with pytest.raises(AssertionError, match=r"^expected 'x', but nothing came within 2 seconds$"):
            await Probe().expect_message("x", timeout=2)
        assert now() == 5

    async def test_says_what_came_instead_and_what_is_queued(self):
        probe = Probe()
        for message in ("a", "b", None):
            probe.ref.tell(message)
        with pytest.raises(AssertionError, match=r"^expected 'b', but 'a' came; queued: 'b', None$"):
            await probe.expect_message("b")
        await probe.expect_message("b")
        with pytest.raises(AssertionError, match=r"^expected 1, but None came; queued: nothing$"):
            await probe.expect_message(1)

    async def test_can_expect_none(self):
        probe = Probe()
        probe.ref.tell(0)
        with pytest.raises(AssertionError, match="expected None, but 0 came"):
            await probe.expect_message(None)

    async def test_says_so_of_what_has_no_repr(self):
        probe = Probe()
        probe.ref.tell(Hostile())
        with pytest.raises(AssertionError, match="expected 1, but <Hostile whose repr raises NoEqualityError> came"):
            await probe.expect_message(1)

    async def test_serves_several_who_wait(self):
        probe = Probe()
        both = asyncio.gather(probe.expect_message(), probe.expect_message())
        loop = asyncio.get_running_loop()
        loop.call_later(1, probe.ref.tell, "one")
        loop.call_later(2, probe.ref.tell, "two")
        assert sorted(await both) == ["one", "two"]

    async def test_expects_no_message_for_so_long(self):
        probe = Probe()
        asyncio.get_running_loop().call_later(0.2, probe.ref.tell, "late")
        await probe.expect_no_message()
        assert now() == 0.1
        with pytest.raises(AssertionError, match=r"^expected no message within 5 seconds; queued: 'late'$"):
            await probe.expect_no_message(within=5)
        assert now() == 0.2
        await probe.expect_message("late")

    @pytest.mark.parametrize("expect", ["expect_message", "expect_no_message"])
    async def test_given_no_time_sees_what_is_on_its_way(self, expect):
        probe = Probe()
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, loop.call_soon, probe.ref.tell, "soon")
        if expect == "expect_message":
            await probe.expect_message("soon", timeout=0)
        else:
            with pytest.raises(AssertionError):
                await probe.expect_no_message(within=0)

    @standing
    async def test_does_not_let_time_pass_that_stands_still(self):
        probe = Probe()
        asyncio.get_running_loop().call_later(1, probe.ref.tell, "tick")
        with pytest.raises(AssertionError, match=r"nothing came at 0\.0 virtual seconds, .*: advance\(\)"):
            await probe.expect_message()
        await advance(1)
        await probe.expect_message("tick")

    @standing
    async def test_lets_it_pass_to_expect_no_message(self):
        probe = Probe()
        asyncio.get_running_loop().call_later(1, probe.ref.tell, "tick")
        await probe.expect_no_message(within=0.5)
        with pytest.raises(AssertionError):
            await probe.expect_no_message(within=0.5)
        assert now() == 1

    @standing
    async def test_lets_no_time_pass_for_a_message_that_is_there(self):
        probe = Probe()
        probe.ref.tell("there")
        await advance(0)
        with pytest.raises(AssertionError, match="'there'"):
            await probe.expect_no_message(within=5)
        assert now() == 0

    @standing
    async def test_waits_while_another_task_lets_time_pass(self):
        probe = Probe()
        asyncio.get_running_loop().call_later(1, probe.ref.tell, "tick")
        advancing = asyncio.create_task(advance(5))
        await asyncio.sleep(0)
        await probe.expect_message("tick")
        assert now() == 1
        await advancing

    @pytest.mark.real_time
    async def test_is_told_from_any_thread_on_real_time_too(self):
        probe = Probe()
        done = in_thread(lambda: probe.ref.tell("from a thread"))
        await probe.expect_message("from a thread", timeout=PATIENCE)
        done()

    @pytest.mark.parametrize("wrong", [True, None, -1, float("nan")])
    async def test_refuses_what_is_no_span_of_time(self, wrong):
        probe = Probe()
        probe.ref.tell("here")
        with pytest.raises((TypeError, ValueError)):
            await probe.expect_message(timeout=wrong)
        with pytest.raises((TypeError, ValueError)):
            await probe.expect_no_message(within=wrong)
        assert repr(probe) == "<Probe with 0 messages>"
        await probe.expect_message("here")

    def test_needs_a_running_loop(self):
        with pytest.raises(RuntimeError, match="no running event loop"):
            Probe()

    async def test_shows_how_many_messages_it_has(self):
        probe = Probe()
        probe.ref.tell("x")
        await advance(0)
        assert repr(probe) == "<Probe with 1 messages>"


class TestAnswering:
    async def test_answers_what_was_taken_last(self):
        probe = Probe()
        asked, other = (probe.ref.ask(message, block=False) for message in ("one", "two"))
        await probe.expect_message("one")
        probe.reply(1)
        await probe.expect_message("two")
        probe.reply(None)
        assert (await asked, await other) == (1, None)

    async def test_does_not_keep_later_messages_back(self):
        probe = Probe()
        asked = probe.ref.ask("question", block=False)
        probe.ref.tell("told")
        await probe.expect_message("question")
        await probe.expect_message("told")
        await probe.ref.stop_async()
        with pytest.raises(ActorDeadError):
            await asked

    async def test_is_refused_when_nobody_asked(self):
        probe = Probe()
        with pytest.raises(RuntimeError, match="nobody waits"):
            probe.reply(1)
        probe.ref.tell("told")
        await probe.expect_message("told")
        with pytest.raises(RuntimeError, match="nobody waits"):
            probe.fail(ValueError())

    async def test_is_refused_the_second_time(self):
        probe = Probe()
        asked = probe.ref.ask("question", block=False)
        await probe.expect_message()
        probe.reply(1)
        with pytest.raises(RuntimeError, match="nobody waits"):
            probe.reply(2)
        assert await asked == 1

    async def test_with_an_error_fails_the_asker(self):
        probe = Probe()
        asked, exiting = (probe.ref.ask(number, block=False) for number in range(2))
        await probe.expect_message()
        probe.fail(ZeroDivisionError("no"))
        with pytest.raises(ZeroDivisionError, match="no"):
            await asked
        await probe.expect_message()
        probe.fail(SystemExit(1))
        with pytest.raises(ActorFailedError):
            await exiting

    @pytest.mark.parametrize("end", ["stopped", "left to its loop", "left to a loop that is closed by hand"])
    @pytest.mark.parametrize("taken", [True, False])
    def test_nobody_is_left_waiting_when_it_ends(self, end, taken, caplog):
        async def main():
            probe = Probe()
            asked = probe.ref.ask("question", block=False)
            await advance(0)
            if taken:
                await probe.expect_message()
            if end == "stopped":
                assert await probe.ref.stop_async()
            return probe, asked

        if end.endswith("by hand"):
            loop = VirtualTimeLoop()
            probe, asked = loop.run_until_complete(main())
            loop.close()
        else:
            probe, asked = run(main())
        assert not probe.ref.is_alive()
        with pytest.raises(ActorDeadError):
            asked.get(timeout=PATIENCE)
        assert messages_of(caplog, "without handling") == []


async def test_an_agent_can_be_tested_with_time():
    probe = Probe()

    @tool
    async def wait_and_report(delay):
        await asyncio.sleep(delay)
        probe.ref.tell(now())

    agent = Agent("reporter", "Reports", [wait_and_report])
    await agent.put(Turn("wait_and_report", [30]))
    running = asyncio.create_task(collect(agent))
    await probe.expect_no_message(within=29)
    await probe.expect_message(30.0)
    await running
    await agent.stop()


async def collect(agent):
    return [value async for value in agent.run()]


class TestExpectTerminated:
    async def test_gives_how_a_watched_actor_has_ended(self):
        probe, ref = Probe(), Echo.start()
        await probe.ref.watch(ref)
        ref.kill()
        assert await probe.expect_terminated(ref) is Ended.KILLED

    async def test_says_what_came_instead(self):
        probe, ref = Probe(), Echo.start()
        probe.ref.tell("hello")
        with pytest.raises(AssertionError, match=r"expected the end of Echo.*but 'hello' came"):
            await probe.expect_terminated(ref)
