"""Virtual time: what the other tests, and our users', stand on."""

import asyncio
import math
import threading
import time
from contextlib import suppress
from itertools import accumulate, pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.actors import (
    AsyncActor,
)
from pygents.testing import VirtualTimeLoop, advance, run
from tests.actors.helpers import PATIENCE, hang, in_thread
from tests.testing.helpers import now, standing

RESOLUTION = 1e-9  # seconds between two times that asyncio takes for one

seconds = st.floats(0, 1e6)


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

    def test_says_so_of_what_is_left_for_ever_when_the_test_has_ended(self):
        async def stubborn():
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)

        async def main():
            main.left = asyncio.create_task(stubborn())
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match=r"(?s)ignore their cancellation.*stubborn"):
            run(main())

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
