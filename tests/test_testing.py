"""Virtual time and probes: what the other tests, and our users', stand on."""

import asyncio
import math
import threading
import time
from itertools import accumulate, pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents import ActorSystem, Agent, Turn, tool
from pygents.actors import (
    ActorDeadError,
    ActorFailedError,
    AsyncActor,
    Backoff,
    Ended,
    Supervision,
    SystemFailedError,
    ThreadDispatcher,
)
from pygents.testing import Probe, VirtualTimeLoop, advance, run, wait_idle
from tests.actors.helpers import PATIENCE, Echo, hang, in_thread, messages_of

RESOLUTION = 1e-9  # seconds between two times that asyncio takes for one

seconds = st.floats(0, 1e6)


def now():
    return asyncio.get_running_loop().time()


def standing(test):
    """Run a test with time standing still."""

    def run_it(self):
        run(test(self), auto_advance=False)

    return run_it


class NoEqualityError(Exception):
    """Raised by what cannot be compared or shown."""


class Hostile:
    def __repr__(self):
        raise NoEqualityError


class TestAutoAdvance:
    def test_jumps_to_the_next_timer(self):
        async def sleep_long():
            await asyncio.sleep(3600)
            return now()

        begun = time.monotonic()
        assert run(sleep_long()) == 3600
        assert time.monotonic() - begun < 5

    @given(st.lists(st.lists(seconds, max_size=5), max_size=5))
    def test_never_goes_back_and_lets_no_sleep_be_cut_short(self, programs):
        seen = [0.0]

        async def sleep_each(durations):
            for duration in durations:
                begun = now()
                await asyncio.sleep(duration)
                seen.append(now())
                assert now() >= begun + duration - RESOLUTION

        async def main():
            await asyncio.gather(*map(sleep_each, programs))
            return now()

        end = run(main())
        assert all(earlier <= later for earlier, later in pairwise(seen))
        longest = max((sum(durations) for durations in programs), default=0)
        assert end == pytest.approx(longest, abs=5 * RESOLUTION), "each of five sleeps may end that much early"

    @pytest.mark.parametrize("moment", [2.0**24 + 0.3, 1e9, 1e12])
    def test_runs_timers_however_late_it_is(self, moment):
        # asyncio's own resolution is less than the distance of two floats there
        async def main():
            loop = asyncio.get_running_loop()
            reached = loop.create_future()
            loop._now = moment - 10
            loop.call_at(moment, reached.set_result, None)
            await reached
            return now()

        assert run(main()) == moment

    async def test_does_not_pass_while_anything_is_ready(self):
        for _ in range(100):
            await asyncio.sleep(0)
        assert now() == 0

    async def test_may_be_switched_off_and_on(self):
        loop = asyncio.get_running_loop()
        loop.auto_advance = False
        sleeping = asyncio.create_task(asyncio.sleep(1))
        await advance(0.5)
        loop.auto_advance = True
        await sleeping
        assert now() == 1


class TestAdvance:
    @given(st.lists(seconds, max_size=20), st.lists(seconds, max_size=20))
    def test_runs_the_timers_that_are_due_in_the_order_of_their_times(self, delays, steps):
        fired = []

        async def main():
            loop = asyncio.get_running_loop()
            for delay in delays:
                loop.call_later(delay, lambda due=delay: fired.append((due, now())))
            for step in steps:
                await advance(step)
                assert len(fired) >= sum(delay <= now() for delay in delays)

        run(main(), auto_advance=False)
        assert [due for due, _ in fired] == sorted(due for due, _ in fired)
        assert all(abs(when - due) <= RESOLUTION for due, when in fired)

    @given(st.lists(seconds, max_size=20))
    def test_moves_the_time_by_exactly_its_seconds(self, steps):
        async def main():
            for step, total in zip(steps, accumulate(steps), strict=True):
                await advance(step)
                assert now() == total

        run(main(), auto_advance=False)

    @given(st.lists(seconds, max_size=20), st.lists(seconds, min_size=1, max_size=20))
    def test_in_many_steps_does_what_one_does(self, delays, steps):
        def fired_in(steps):
            fired = []

            async def main():
                for delay in delays:
                    asyncio.get_running_loop().call_later(delay, lambda due=delay: fired.append(due))
                for step in steps:
                    await advance(step)

            run(main(), auto_advance=False)
            return fired

        assert fired_in(steps) == fired_in([list(accumulate(steps))[-1]])

    @standing
    async def test_lets_what_becomes_ready_run_in_between(self):
        log = []

        async def work():
            for _ in range(3):
                await asyncio.sleep(1)
                for _ in range(5):
                    await asyncio.sleep(0)
                log.append(now())

        working = asyncio.create_task(work())
        await advance(2)
        assert log == [1, 2]
        await advance(1)
        assert log == [1, 2, 3]
        assert working.done()

    @standing
    async def test_by_nothing_runs_what_is_ready_and_no_more(self):
        log = []
        asyncio.get_running_loop().call_later(1, log.append, "late")
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, log.append, "soon")
        await advance(0)
        assert (log, now()) == (["soon"], 0)

    @standing
    async def test_runs_timers_that_are_due_at_its_end(self):
        log = []
        asyncio.get_running_loop().call_later(0.3, log.append, "just")
        for _ in range(3):
            await advance(0.1)
        assert log == ["just"]

    @standing
    async def test_runs_timers_that_asyncio_takes_for_due(self):
        log = []
        asyncio.get_running_loop().call_later(RESOLUTION / 10, log.append, "now")
        await advance(0)
        assert log == ["now"]

    def test_does_not_depend_on_how_coarse_the_systems_clock_is(self, monkeypatch):
        monkeypatch.setattr(time, "get_clock_info", lambda _name: SimpleNamespace(resolution=0.016))
        log = []

        async def main():
            asyncio.get_running_loop().call_later(0.01, log.append, "early")
            for _ in range(5):
                await asyncio.sleep(0)
            assert log == []

        run(main(), auto_advance=False)

    @standing
    async def test_does_not_go_too_far_by_rounding(self):
        step = math.ulp(2.0**30)
        asyncio.get_running_loop().call_later(1.5 * step, int)
        await advance(2**30 + 3 * step)
        assert now() == 2**30 + 3 * step

    async def test_lets_time_pass_where_it_passes_by_itself_too(self):
        log = []
        asyncio.get_running_loop().call_later(1, log.append, "on the way")
        await advance(3)
        assert (log, now()) == (["on the way"], 3)

    @standing
    async def test_can_be_cut_short(self):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await advance(5)
        assert now() == 2
        await advance(1)
        assert now() == 3

    @standing
    async def test_is_for_one_task_at_a_time(self):
        other = asyncio.create_task(advance(1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task is advancing"):
            await advance(1)
        await other

    @pytest.mark.parametrize("wrong", [True, None, "1", 1j])
    async def test_refuses_what_is_no_number(self, wrong):
        with pytest.raises(TypeError, match=r"seconds are a number, not"):
            await advance(wrong)
        with pytest.raises(TypeError):
            VirtualTimeLoop(patience=wrong)

    @pytest.mark.parametrize("wrong", [-1, -1e-9, float("nan"), float("inf")])
    async def test_refuses_what_is_no_span_of_time(self, wrong):
        with pytest.raises(ValueError, match=r"finite and not negative, not"):
            await advance(wrong)
        assert now() == 0

    @pytest.mark.real_time
    async def test_needs_virtual_time(self):
        with pytest.raises(RuntimeError, match=r"pygents\.testing\.run"):
            await advance(1)


class TestNothingCanHappen:
    def test_says_so_and_who_waits_when_time_stands_still(self):
        async def wait_for_a_timer():
            await asyncio.sleep(1)

        with pytest.raises(RuntimeError, match=r"(?s)stands still; call advance\(\).*wait_for_a_timer"):
            run(wait_for_a_timer(), auto_advance=False)

    def test_says_so_when_there_is_no_timer(self):
        with pytest.raises(RuntimeError, match=r"(?s)there is no timer.*hang"):
            run(hang())

    def test_lets_who_waits_clean_up(self):
        log = []

        async def main():
            try:
                await hang()
            finally:
                await asyncio.sleep(1)
                log.append(now())

        with pytest.raises(RuntimeError):
            run(main(), auto_advance=False)
        assert log == [1]

    def test_is_not_said_of_what_is_left_when_the_test_has_ended(self):
        log = []

        class Leaving(AsyncActor):
            async def on_stop(self):
                await asyncio.sleep(1)
                log.append(now())

        async def main():
            Leaving.start()
            await advance(1)

        run(main(), auto_advance=False)
        assert log == [2]


class TestOtherThreads:
    @pytest.mark.parametrize("auto_advance", [True, False])
    def test_a_thread_that_works_for_the_loop_is_waited_for(self, auto_advance):
        idle = threading.Event()

        class Telling(VirtualTimeLoop):
            def _idle(self, timeout, poll):
                idle.set()
                return super()._idle(timeout, poll)

        async def main():
            async with asyncio.timeout(PATIENCE):
                assert await asyncio.to_thread(idle.wait)
            assert now() == 0
            await advance(3600)  # in no time again

        with asyncio.Runner(loop_factory=lambda: Telling(auto_advance=auto_advance)) as runner:
            runner.run(main())

    def test_time_passes_in_the_end_if_that_thread_does_not_return(self):
        opened = threading.Event()

        async def main():
            working = asyncio.to_thread(opened.wait)
            try:
                async with asyncio.timeout(0.01):
                    await working
            except TimeoutError:
                return now()
            finally:
                opened.set()

        assert run(main()) == 0.01

    def test_others_are_waited_for_with_patience(self):
        async def main():
            loop = asyncio.get_running_loop()
            told = loop.create_future()
            entered = threading.Event()

            def tell():
                entered.wait()
                loop.call_soon_threadsafe(told.set_result, "told")

            done = in_thread(tell)
            loop.call_soon(entered.set)
            async with asyncio.timeout(5):
                answer = await told
            done()
            return answer, now()

        assert run(main(), patience=PATIENCE) == ("told", 0)

    def test_patience_has_an_end(self):
        with pytest.raises(RuntimeError, match="there is no timer"):
            run(hang(), patience=0.001)


class Works(AsyncActor):
    """Takes as many seconds as the message says; raises it if it is an exception."""

    async def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        await asyncio.sleep(message)


class TestWaitIdle:
    async def test_waits_until_nothing_is_queued_or_in_hand(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Works)
            await wait_idle(system)
            ref.tell(1)
            ref.tell(1.5)
            await wait_idle(system)
            assert now() == 2.5

    async def test_says_who_is_busy_with_what(self):
        async with ActorSystem("s") as system:
            team = system.supervisor("team")
            for name in ("one", "two"):
                team.spawn(Works, name=name).tell(5)
            system.spawn(Works, name="idle")
            with pytest.raises(AssertionError) as caught:
                await wait_idle(system, timeout=4)
            assert now() == 4
            await wait_idle(system)
        said, *tree = str(caught.value).splitlines()
        assert said == "<ActorSystem 's' open> was not idle within 4 seconds; busy: team/one with 5, team/two with 5"
        assert tree[0] == "s"
        assert len(tree) == 5

    async def test_given_no_time_sees_what_can_be_done_now(self):
        async with ActorSystem("s") as system:
            ref = system.spawn(Works)
            ref.tell(0)
            await wait_idle(system, timeout=0)
            ref.tell(1)
            with pytest.raises(AssertionError, match="busy"):
                await wait_idle(system, timeout=0)

    @standing
    async def test_leaves_time_alone_that_stands_still(self):
        policy = Supervision(backoff=Backoff(initial=2, jitter=0))
        async with ActorSystem("s", supervision=policy) as system:
            ref = system.spawn(Works, name="works")
            ref.tell(0)
            await wait_idle(system)
            ref.tell(ValueError())
            with pytest.raises(
                AssertionError,
                match=r"at 0\.0 virtual .* advance\(\) .* busy: works \(backing off, 0 queued\)\n",
            ):
                await wait_idle(system)
            await advance(2)
            await wait_idle(system)
            assert now() == 2

    @pytest.mark.real_time
    async def test_works_on_real_time_and_with_threads(self):
        async with ActorSystem("s") as system:
            system.spawn(Works, dispatcher=ThreadDispatcher).tell(0)
            await wait_idle(system, timeout=PATIENCE)
            assert system.statistics().handled == 1

    async def test_is_cut_short_when_the_system_fails(self):
        async def fail():
            async with ActorSystem("s", supervision=Supervision(max_restarts=0)) as system:
                system.spawn(Works).tell(ValueError())
                await wait_idle(system)
                await hang()

        with pytest.raises(SystemFailedError):
            await fail()

    async def test_refuses_what_it_cannot_wait_for(self):
        system = ActorSystem("s")
        with pytest.raises(RuntimeError, match="has not been entered"):
            await wait_idle(system)
        with pytest.raises(TypeError, match="seconds are a number"):
            await wait_idle(system, timeout=None)


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
