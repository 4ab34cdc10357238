"""Simulations: what they give, and that each way to fail is told."""

import asyncio
import random
from contextlib import suppress

import pytest

from pygents import ActorSystem, Agent, Turn, current_agent, tool
from pygents.actors import AsyncActor, Supervision, SystemFailedError
from pygents.testing import Faults, Simulation, SimulationFailedError, simulate, simulate_many
from tests.actors.helpers import Echo, hang, in_thread
from tests.testing.helpers import Notes, failure_of

SEEDS = range(60)


class TestWhatItGives:
    def test_is_what_the_scenario_returned_and_how_long_it_took(self):
        async def wait_an_hour(system):
            assert isinstance(system, ActorSystem)
            await asyncio.sleep(3600)
            return "tea"

        simulation = simulate(wait_an_hour, seed=3)
        assert isinstance(simulation, Simulation)
        assert (simulation.seed, simulation.returned, simulation.seconds) == (3, "tea", 3600)
        assert simulation.steps > 0
        assert simulation.trace == ()

    def test_is_a_record_for_each_message_and_each_event(self, quiet):
        async def scenario(system):
            team = system.supervisor("team")
            echo = team.spawn(Echo, name="echo")
            echo.tell("tea")
            await asyncio.sleep(1)
            echo.tell(ValueError("no tea"))
            await asyncio.sleep(0.5)

        error = "ValueError('no tea')"
        why = "reason=<DeadLetterReason.FAILED: 'failed'>"
        assert [str(record) for record in simulate(scenario, seed=0).trace] == [
            "0.000000 team/echo ActorStarted",
            "0.000000 team/echo message 'tea'",
            f"1.000000 team/echo message {error}",
            f"1.000000 team/echo ActorFailed failure={error}, message={error}",
            f"1.000000 team/echo DeadLetterRecorded message={error}, sender=None, {why}, failure={error}",
            f"1.000000 team/echo ActorRestarted failure={error}, restarts=1",
            "1.500000 team/echo ActorStopped how=<Ended.STOPPED: 'stopped'>",
        ]

    def test_names_who_has_sent_a_message(self):
        class Passes(AsyncActor):
            def on_receive(self, message):
                message.tell("tea")

        async def scenario(system):
            system.spawn(Passes, name="passes").tell(system.spawn(Echo, name="echo"))

        (message,) = [record for record in simulate(scenario, seed=0).trace if record.text == "'tea'"]
        assert (message.path, message.kind, message.sender) == ("echo", "message", "passes")

    def test_has_the_turns_of_agents(self):
        @tool
        async def greet(name):
            return f"Hello, {name}!"

        async def scenario(system):
            agent = Agent("greeter", "Greets", [greet])
            system.spawn(agent)
            return await agent.ask(Turn("greet", ["World"]))

        simulation = simulate(scenario, seed=0)
        assert simulation.returned == "Hello, World!"
        kinds = [record.kind for record in simulation.trace]
        assert kinds == ["ActorStarted", "message", "TurnStarted", "TurnCompleted", "ActorStopped"]

    def test_handles_what_is_queued_when_the_scenario_has_returned(self):
        notes = []

        async def scenario(system):
            system.spawn(Notes, "one", notes).tell("tea")

        simulate(scenario, seed=0)
        assert notes == [("one", "tea")]


class TestAFailure:
    def test_names_the_seed_and_how_it_happens_again(self):
        async def scenario(system):
            system.spawn(Echo, name="echo").tell("tea")
            await system.wait_idle()
            raise LookupError("no tea")

        error = failure_of(scenario, seed=7)
        assert isinstance(error, AssertionError)
        assert isinstance(error.__cause__, LookupError)
        assert (error.seed, error.reason) == (7, "LookupError: no tea")
        assert [record.text for record in error.trace if record.kind == "message"] == ["'tea'"]
        assert "It happens again in simulate(TestAFailure.test_names" in str(error)
        assert "scenario, seed=7)." in str(error)
        assert str(error).endswith("echo ActorStopped how=<Ended.STOPPED: 'stopped'>")
        assert "seed=7, faults=...)" in str(failure_of(scenario, seed=7, faults=Faults()))

    def test_shows_the_end_of_a_long_trace(self):
        async def scenario(system):
            ref = system.spawn(Echo)
            for number in range(100):
                ref.tell(number)
            await system.wait_idle()
            raise LookupError

        error = failure_of(scenario)
        assert "The end of its trace of 102 records:\n" in str(error)
        assert len(str(error).splitlines()) == 13

    def test_happens_again(self, quiet):
        async def scenario(system):
            notes = []
            for name in "abcd":
                system.spawn(Notes, name, notes).tell(None)
            await system.wait_idle()
            assert notes[0][0] != "d"

        errors = [failure_of(scenario, seed=seed) for seed in SEEDS if fails(scenario, seed)]
        assert 0 < len(errors) < len(SEEDS)
        assert all(failure_of(scenario, seed=error.seed).trace == error.trace for error in errors)

    def test_of_many_is_that_of_the_smallest_seed(self):
        tried = []

        async def scenario(system):
            tried.append(random.random())
            assert len(tried) < 4

        with pytest.raises(SimulationFailedError) as caught:
            simulate_many(scenario, [9, 2, 30, 7, 8])
        assert caught.value.seed == 9

    def test_is_none_if_all_go_well(self):
        seen = []

        async def scenario(system):
            seen.append(random.random())

        simulate_many(scenario)
        assert len(set(seen)) == 500

    def test_is_that_of_the_system(self, quiet):
        async def scenario(system):
            system.spawn(Echo).tell(ValueError("no tea"))
            await hang()

        error = failure_of(scenario, supervision=Supervision(max_restarts=0))
        assert isinstance(error.__cause__, SystemFailedError)
        assert error.reason.endswith(", because of ValueError: no tea")

    def test_names_those_of_a_group(self):
        async def scenario(system):
            raise ExceptionGroup("shopping", [LookupError("no tea"), ValueError("no milk")])

        assert failure_of(scenario).reason.endswith("(2 sub-exceptions): LookupError: no tea; ValueError: no milk")

    def test_is_what_no_exception_is_too(self):
        async def scenario(system):
            raise SystemExit(3)

        assert isinstance(failure_of(scenario).__cause__, SystemExit)

    def test_is_an_exception_that_nobody_has_caught(self):
        def fail():
            raise LookupError("no tea")

        async def fail_later():
            fail()

        async def call(system):
            asyncio.get_running_loop().call_later(1, fail)
            await asyncio.sleep(5)

        async def begin(system):
            asyncio.create_task(fail_later())  # noqa: RUF006 (nobody keeps it)
            await asyncio.sleep(5)

        for scenario in (call, begin):
            error = failure_of(scenario)
            assert isinstance(error.__cause__, LookupError)

    def test_is_the_first_one(self):
        async def scenario(system):
            asyncio.get_running_loop().call_soon(next, iter([]))
            asyncio.get_running_loop().call_soon(int, "tea")
            await hang()

        assert isinstance(failure_of(scenario).__cause__, StopIteration)

    def test_is_not_an_interrupt_by_its_user(self):
        async def scenario(system):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            simulate(scenario, seed=0)

    def test_leaves_no_actor_behind_whatever_it_does(self, quiet):
        refs = []

        class Stubborn(AsyncActor):
            async def on_receive(self, message):
                while True:
                    with suppress(asyncio.CancelledError):
                        await hang()

        async def scenario(system):
            refs.append(system.spawn(Stubborn))
            refs[0].tell(None)
            await hang()

        assert "nothing can happen" in str(failure_of(scenario))
        assert not refs[0].is_alive()

    def test_is_that_of_the_scenario_and_not_what_comes_of_it(self):
        async def ignore():
            while True:
                with suppress(asyncio.CancelledError):
                    await hang()

        async def scenario(system):
            tasks.append(asyncio.create_task(ignore()))
            await asyncio.sleep(1)
            raise LookupError("no tea")

        tasks = []
        assert failure_of(scenario).reason == "LookupError: no tea"


def fails(scenario, seed) -> bool:
    try:
        simulate(scenario, seed=seed)
    except SimulationFailedError:
        return True
    return False


class TestWhatDoesNotEnd:
    def test_names_who_waits_for_what_cannot_come(self, quiet):
        class Asks(AsyncActor):
            async def on_receive(self, other):
                return await asyncio.create_task(other.ask_async(self.actor_ref))  # else the ring would be refused

        async def scenario(system):
            one, two = system.spawn(Asks, name="one"), system.spawn(Asks, name="two")
            await one.ask_async(two)

        error = failure_of(scenario)
        assert error.reason.startswith("RuntimeError: nothing can happen: there is no timer.")
        assert "\nBusy: one with <" in error.reason
        assert error.trace[-1].kind == "message", "what comes of its end is not there"
        assert "two with <" in error.reason

    def test_ends_after_so_many_steps(self, quiet):
        for seconds in (0, 1):

            async def scenario(system, seconds=seconds):
                for _ in range(10**9):
                    await asyncio.sleep(seconds)

            error = failure_of(scenario, max_steps=1_000)
            assert error.reason.startswith("RuntimeError: the run has not ended within 1000 steps, at ")

    def test_is_what_is_left_and_ignores_its_cancellation(self):
        async def ignore():
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)

        async def scenario(system):
            tasks.append(asyncio.create_task(ignore()))
            await asyncio.sleep(1)

        tasks = []
        assert "the run is over, but some tasks ignore their cancellation" in failure_of(scenario).reason

    def test_ends_when_the_scenario_has_returned_too(self, quiet):
        class Clock(AsyncActor):
            async def on_receive(self, message):
                await asyncio.sleep(1)
                self.actor_ref.tell(message)

        async def scenario(system):
            system.spawn(Clock).tell("tick")

        assert "within 1000 steps" in failure_of(scenario, max_steps=1_000).reason

    def test_is_cleaned_up_for_a_while_only(self, quiet, monkeypatch):
        monkeypatch.setattr("pygents.testing.simulation_loop._CLEAN_UP", 1_000)

        class Stubborn(AsyncActor):
            async def on_receive(self, message):
                while True:
                    with suppress(asyncio.CancelledError):
                        await asyncio.sleep(0)

        async def scenario(system):
            system.spawn(Stubborn).tell(None)
            await hang()

        assert "within 1000 steps" in failure_of(scenario, max_steps=1_000).reason


class TestItsArguments:
    async def test_it_is_refused_on_a_loop(self):
        async def scenario(system):
            """Do nothing."""

        with pytest.raises(RuntimeError, match=r"call simulate\(\) from a plain function"):
            simulate(scenario, seed=0)

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"seed": -1}, ValueError),
            ({"seed": 1.0}, TypeError),
            ({"seed": True}, TypeError),
            ({"max_steps": 0}, ValueError),
            ({"max_steps": "many"}, TypeError),
            ({"stall_after": 0}, ValueError),
            ({"stall_after": "soon"}, TypeError),
            ({"faults": 0.5}, TypeError),
            ({"supervision": 3}, TypeError),
        ],
    )
    def test_wrong_ones_are_refused(self, wrong, error):
        async def scenario(system):
            pytest.fail("it runs")

        with pytest.raises(error):
            simulate(scenario, **{"seed": 0} | wrong)

    def test_a_scenario_is_an_async_function(self):
        error = failure_of(lambda system: None)
        assert isinstance(error.__cause__, TypeError)
        assert "a scenario is an async function" in error.reason

    def test_it_works_on_any_thread(self):
        async def scenario(system):
            system.spawn(Echo).tell("tea")

        trace = simulate(scenario, seed=0).trace
        assert in_thread(lambda: simulate(scenario, seed=0).trace)() == trace


def test_an_agent_knows_itself_there():
    @tool
    async def who():
        return current_agent().name

    async def scenario(system):
        agent = Agent("ann", "Knows herself", [who])
        system.spawn(agent)
        return await agent.ask(Turn("who"))

    assert simulate(scenario, seed=0).returned == "ann"
