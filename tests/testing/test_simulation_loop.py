"""What a seed decides, and that it decides everything."""

import asyncio
import gc
import os
import random
import subprocess
import sys
import weakref
from contextlib import suppress
from itertools import permutations
from pathlib import Path

import pytest

from pygents.actors import AsyncActor, Backoff, Supervision, ThreadDispatcher
from pygents.testing import simulate, simulate_many
from tests.actors.helpers import Echo, hang
from tests.testing.helpers import Notes

ROOT = Path(__file__).parents[2]
SEEDS = range(60)


class Blocking(Notes):
    dispatcher = ThreadDispatcher


class TestTheSeed:
    @pytest.mark.parametrize("kind", [Notes, Blocking])
    def test_decides_whose_turn_it_is(self, kind):
        async def scenario(system):
            notes = []
            refs = [system.spawn(kind, name, notes) for name in "abc"]
            for ref in refs:
                ref.tell(None)
            await system.wait_idle()
            return "".join(name for name, _ in notes)

        orders = {simulate(scenario, seed=seed).returned for seed in SEEDS}
        assert orders == {"".join(order) for order in permutations("abc")}

    def test_decides_for_how_long_one_has_its_turn(self):
        async def scenario(system):
            notes = []
            refs = [system.spawn(Notes, name, notes) for name in "ab"]
            for ref in refs * 3:
                ref.tell(None)
            await system.wait_idle()
            return "".join(name for name, _ in notes)

        orders = {simulate(scenario, seed=seed).returned for seed in SEEDS}
        assert {"aaabbb", "bbbaaa"} < orders
        assert len(orders) > 8

    def test_decides_how_much_is_done_in_one_turn_and_there_is_one_in_each_iteration(self):
        class Counts(AsyncActor):
            def on_receive(self, message):
                seen.append((asyncio.get_running_loop().steps, self))

        async def scenario(system):
            seen.clear()
            for _ in range(3):
                ref = system.spawn(Counts)
                ref.tell(None)
                ref.tell(None)
            await system.wait_idle()
            steps = {step for step, _ in seen}
            assert len(steps) == len(set(seen)), "two actors in one"
            return len(steps)

        seen = []
        assert {simulate(scenario, seed=seed).returned for seed in SEEDS} == {3, 4, 5, 6}

    def test_leaves_the_messages_of_one_sender_in_order(self):
        async def scenario(system):
            notes = []
            ref = system.spawn(Notes, "one", notes)
            for number in range(10):
                ref.tell(number)
                await asyncio.sleep(0)
            await system.wait_idle()
            assert [message for _, message in notes] == list(range(10))

        simulate_many(scenario, SEEDS)

    def test_decides_which_timer_comes_first_of_those_that_are_due_together(self):
        async def scenario(system):
            fired = []
            loop = asyncio.get_running_loop()
            loop.call_at(0.3, fired.append, "a")
            loop.call_at(0.1 + 0.2, fired.append, "b")  # less than a nanosecond later
            loop.call_at(0.3, fired.append, "c")
            loop.call_at(0.2, fired.append, "first")
            loop.call_at(0.4, fired.append, "last")
            await asyncio.sleep(1)
            assert (fired[0], fired[-1]) == ("first", "last")
            return "".join(fired[1:-1])

        orders = {simulate(scenario, seed=seed).returned for seed in SEEDS}
        assert orders == {"".join(order) for order in permutations("abc")}

    def test_leaves_the_callbacks_of_asyncio_in_order(self):
        async def scenario(system):
            called = []
            loop = asyncio.get_running_loop()
            for number in range(10):
                loop.call_soon(called.append, number)
                loop.call_soon_threadsafe(called.append, number)
            await asyncio.sleep(0)
            assert called == [number for number in range(10) for _ in range(2)]

        simulate_many(scenario, SEEDS)

    def test_decides_the_numbers_of_random_and_gives_the_others_back(self):
        async def scenario(system):
            return random.random()

        random.seed(1)
        expected = random.random()
        random.seed(1)
        numbers = [simulate(scenario, seed=seed).returned for seed in (1, 2, 1)]
        assert numbers[0] == numbers[2] != numbers[1]
        assert random.random() == expected

    def test_decides_the_jitter_of_a_backoff(self, quiet):
        async def scenario(system):
            team = system.supervisor("team", Supervision(backoff=Backoff(initial=1, jitter=0.5)))
            team.spawn(Echo).tell(ValueError())
            await system.wait_idle()
            return asyncio.get_running_loop().time()

        times = [simulate(scenario, seed=seed).returned for seed in (1, 2, 1)]
        assert times[0] == times[2] != times[1]

    def test_decides_in_which_order_a_group_cancels_its_tasks(self):
        async def scenario(system):
            ended = []

            async def wait(number):
                try:
                    await hang()
                finally:
                    ended.append(number)

            async def fail():
                await asyncio.sleep(1)
                raise ValueError

            with suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    for number in range(20):
                        group.create_task(wait(number))
                    group.create_task(fail())
            assert len(ended) == 20
            return ended

        first = simulate(scenario, seed=0).returned
        for _ in range(5):
            junk = [object() for _ in range(random.randrange(10_000))]
            assert simulate(scenario, seed=0).returned == first
            del junk

    @pytest.mark.parametrize("name", ["pipeline", "pool", "team"])
    def test_gives_the_same_trace_in_any_process(self, name):
        program = f"from simulations.catalogue import CASES; print(*CASES[{name!r}].simulate(11).trace, sep='\\n')"
        traces = set()
        for hash_seed in ("0", "1", "4000000000"):
            environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
            traces.add(done.stdout)
        (trace,) = traces
        assert len(trace.splitlines()) > 50
        assert "0x7f" not in trace

    def test_decides_when_garbage_is_collected(self, monkeypatch):
        class Node:
            def __init__(self):
                self.itself = self
                weakref.finalize(self, lambda: collected.append(asyncio.get_running_loop().steps))

        async def scenario(system):
            Node()
            for _ in range(100):
                await asyncio.sleep(0)

        collected = []
        monkeypatch.setattr("pygents.testing.simulation_loop._COLLECTION", 50)
        for _ in range(3):
            simulate(scenario, seed=0)
        assert collected == [50, 50, 50]

    def test_leaves_a_task_factory_of_its_users_alone(self):
        async def begin(begun):
            begun.append(asyncio.current_task().get_name())

        async def scenario(system):
            begun = []
            task = asyncio.create_task(begin(begun), name="mine")
            assert begun == []
            await task
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            task = asyncio.create_task(begin(begun))
            assert len(begun) == 2
            await task
            assert begun[0] == "mine"

        simulate(scenario, seed=0)

    def test_leaves_the_collector_of_garbage_as_it_was(self):
        async def scenario(system):
            assert not gc.isenabled()

        simulate(scenario, seed=0)
        assert gc.isenabled()
        gc.disable()
        try:
            simulate(scenario, seed=0)
            assert not gc.isenabled()
        finally:
            gc.enable()
