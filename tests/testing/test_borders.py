"""The borders of a simulation: what leaves it or blocks its thread is told so, at once."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pygents.actors import AsyncActor
from pygents.testing import LeftSimulationError, SimulationFailedError, simulate
from tests.actors.helpers import Echo, in_thread


class Calls(AsyncActor):
    """Calls or awaits what it is told to, and takes every failure for a normal one."""

    async def on_receive(self, message):
        try:
            result = message()
            return await result if asyncio.iscoroutine(result) or isinstance(result, asyncio.Future) else result
        except Exception as error:  # noqa: BLE001 (as a user's own code may)
            return repr(error)


async def read():
    asyncio.get_running_loop().add_reader(0, print)


async def write():
    asyncio.get_running_loop().add_writer(1, print)


async def connect():
    await asyncio.open_connection("127.0.0.1", 9)


def receive():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))


def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"tea", ("127.0.0.1", 9))


def use_pool():
    with ThreadPoolExecutor() as pool:
        return pool.submit(print).result()


LEAVING = [
    (lambda: time.sleep(1), "time.sleep was called", "await asyncio.sleep()"),
    (lambda: threading.Thread(target=print).start(), "_thread.start_", "a stand-in"),
    (use_pool, "_thread.start_", "a stand-in"),
    (lambda: asyncio.to_thread(print), "run_in_executor() was called, by asyncio.to_thread() perhaps", "a stand-in"),
    (lambda: asyncio.get_running_loop().getaddrinfo("localhost", 9), "run_in_executor() was called", "a stand-in"),
    (lambda: socket.create_connection(("127.0.0.1", 9)), "socket.getaddrinfo was called", "a stand-in"),
    (connect, "socket.connect was called", "a stand-in"),
    (receive, "socket.bind was called", "a stand-in"),
    (send, "socket.sendto was called", "a stand-in"),
    (read, "add_reader() was called", "a stand-in"),
    (write, "add_writer() was called", "a stand-in"),
    (lambda: subprocess.run(["true"], check=True), "subprocess.Popen was called", "a stand-in"),  # noqa: S607
    (lambda: asyncio.create_subprocess_exec("true"), "subprocess.Popen was called", "a stand-in"),
    (lambda: os.system("true"), "os.system was called", "a stand-in"),  # noqa: S605, S607
    (input, "input was called", "a stand-in"),
]


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize(("call", "what", "advice"), LEAVING, ids=[what for _, what, _ in LEAVING])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
class TestWhatLeaves:
    def test_ends_the_simulation_whatever_the_code_makes_of_it(self, call, what, advice):
        async def scenario(system):
            system.spawn(Calls).tell(call)
            await asyncio.Event().wait()

        with pytest.raises(SimulationFailedError) as caught:
            simulate(scenario, seed=0)
        error = caught.value.__cause__
        assert isinstance(error, LeftSimulationError)
        assert error.what.startswith(what)
        assert advice in error.advice

    def test_does_so_in_the_scenario_itself(self, call, what, advice):
        async def scenario(system):
            result = call()
            return await result if asyncio.iscoroutine(result) or isinstance(result, asyncio.Future) else result

        with pytest.raises(SimulationFailedError, match=what.replace("(", r"\(").replace(")", r"\)")):
            simulate(scenario, seed=0)


class TestElsewhere:
    def test_nothing_is_refused_after_a_simulation(self):
        async def scenario(system):
            """Do nothing."""

        sleep = time.sleep
        simulate(scenario, seed=0)
        assert time.sleep is sleep
        time.sleep(0)
        assert in_thread(lambda: "tea")() == "tea"

    def test_whoever_has_no_frame_left_needs_none_after_a_simulation(self):
        async def scenario(system):
            """Do nothing."""

        def dive():
            try:
                dive()
            except RecursionError:
                if not outcomes:
                    try:
                        sys.audit("time.sleep", 1)
                        outcomes.append("well")
                    except RecursionError:
                        outcomes.append("no room for what hears it")

        outcomes = []
        simulate(scenario, seed=0)
        dive()
        assert outcomes == ["well"]

    def test_nothing_is_refused_on_another_thread(self):
        went_on = threading.Event()

        def sleep():
            allowed.wait(10)
            time.sleep(0)
            went_on.set()

        async def scenario(system):
            allowed.set()
            assert went_on.wait(10)

        allowed = threading.Event()
        result = in_thread(sleep)
        simulate(scenario, seed=0)
        result()

    def test_a_stand_in_is_called(self, monkeypatch):
        async def scenario(system):
            time.sleep(1)  # noqa: ASYNC251 (a stand-in)

        slept = []
        monkeypatch.setattr(time, "sleep", slept.append)
        simulate(scenario, seed=0)
        assert slept == [1]

    def test_who_tells_a_simulated_actor_from_another_thread_is_told_so(self):
        def tell():
            entered.wait(10)
            try:
                refs[0].tell("tea")
            except LeftSimulationError as error:
                errors.append(error)
            told.set()

        async def scenario(system):
            refs.append(system.spawn(Echo, name="echo"))
            await system.wait_idle()
            entered.set()
            assert told.wait(10)
            await asyncio.Event().wait()

        entered, told = threading.Event(), threading.Event()
        refs, errors = [], []
        result = in_thread(tell)
        with pytest.raises(SimulationFailedError, match="an actor was told something on another thread"):
            simulate(scenario, seed=0)
        result()
        assert len(errors) == 1

    def test_so_is_who_calls_its_loop(self):
        def call():
            entered.wait(10)
            try:
                loops[0].call_soon_threadsafe(print)
            except LeftSimulationError as error:
                errors.append(error)
            called.set()

        async def scenario(system):
            loops.append(asyncio.get_running_loop())
            entered.set()
            assert called.wait(10)
            await asyncio.Event().wait()

        entered, called = threading.Event(), threading.Event()
        loops, errors = [], []
        result = in_thread(call)
        with pytest.raises(SimulationFailedError, match="something was called from another thread"):
            simulate(scenario, seed=0)
        result()
        assert len(errors) == 1


class TestWhatIsStuck:
    """On the main thread, where a signal can tell it."""

    @pytest.mark.parametrize("swallows", [False, True])
    def test_is_told_so(self, swallows):
        def wait_for_ever():
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()

        async def scenario(system):
            ref = system.spawn(Calls)
            if swallows:
                await ref.ask_async(wait_for_ever)
            else:
                wait_for_ever()

        with pytest.raises(SimulationFailedError) as caught:
            simulate(scenario, seed=0, stall_after=0.25)
        error = caught.value.__cause__
        assert isinstance(error, LeftSimulationError)
        assert error.what.startswith("nothing has happened for 0.25 real seconds, in wait_for_ever, ")
        assert __file__ in error.what

    def test_is_so_in_a_loop_that_swallows_its_failures_too(self):
        async def scenario(system):
            while True:
                with suppress(Exception):
                    sum(range(1_000))

        with pytest.raises(SimulationFailedError, match="nothing has happened for"):
            simulate(scenario, seed=0, stall_after=0.25)
