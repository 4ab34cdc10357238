"""Faults: what befalls handlers and tools, and how often."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from pygents import Agent, AgentHook, StopReason, Turn, hook, tool
from pygents.actors import AsyncActor, Restart, Supervision
from pygents.testing import Faults, InjectedFaultError, simulate, simulate_many
from tests.actors.helpers import Echo

MANY = Supervision(max_restarts=1_000_000)


pytestmark = pytest.mark.usefixtures("quiet")


def texts_of(simulation, kind):
    return [record.text for record in simulation.trace if record.kind == kind]


class Note(AsyncActor):
    """Notes what it has handled, and when."""

    def __init__(self, notes):
        super().__init__()
        self._notes = notes

    async def on_receive(self, message):
        await asyncio.sleep(0)
        self._notes.append((message, asyncio.get_running_loop().time()))
        return message


class TestRaising:
    def test_is_before_the_handler_or_after_it(self):
        async def scenario(system):
            notes = []
            ref = system.spawn(Note, notes)
            with pytest.raises(InjectedFaultError, match="'Note-1'"):
                await ref.ask_async("tea")
            return len(notes)

        faults = Faults(raising=1)
        runs = Counter(simulate(scenario, seed=seed, faults=faults).returned for seed in range(100))
        assert set(runs) == {0, 1}
        assert min(runs.values()) > 30

    def test_is_as_probable_as_it_says(self):
        async def scenario(system):
            notes = []
            ref = system.spawn(Note, notes)
            for _ in range(1_000):
                ref.tell(None)

        simulation = simulate(scenario, seed=0, faults=Faults(raising=0.2), supervision=MANY)
        assert 150 < len(texts_of(simulation, "fault")) < 250

    def test_raises_any_of_the_errors(self):
        async def scenario(system):
            try:
                await system.spawn(Echo).ask_async("tea")
            except (ValueError, LookupError) as error:
                return repr(error)

        faults = Faults(raising=1, errors=(ValueError, lambda: LookupError("no tea")))
        errors = {simulate(scenario, seed=seed, faults=faults).returned for seed in range(20)}
        assert errors == {"ValueError()", "LookupError('no tea')"}

    def test_is_in_the_trace(self):
        async def scenario(system):
            system.spawn(Echo, name="echo").tell("tea")

        simulation = simulate(scenario, seed=0, faults=Faults(raising=1))
        assert texts_of(simulation, "fault") == ["raises InjectedFaultError('echo')"]


class TestDelaying:
    def test_is_not_longer_than_it_may_be(self):
        async def scenario(system):
            notes = []
            ref = system.spawn(Note, notes)
            for number in range(5):
                await ref.ask_async(number)
            return [time for _, time in notes]

        for seed in range(20):
            simulation = simulate(scenario, seed=seed, faults=Faults(delaying=1, longest=10))
            times = [0, *simulation.returned]
            assert all(0 < later - earlier <= 10 for earlier, later in pairwise(times))
            assert texts_of(simulation, "fault")[0] == f"begins {times[1]:.6f} seconds later"


class TestCancelling:
    def test_has_the_message_handled_again_by_a_fresh_actor(self):
        class Works(AsyncActor):
            begun: list[object]

            def on_start(self):
                self.begun = []

            def on_restart(self, failure):
                assert isinstance(failure, InjectedFaultError)

            async def on_receive(self, message):
                assert not self.begun, "it is no fresh one"
                self.begun.append(message)
                cancelled.append(message)
                await asyncio.sleep(0.5)
                self.begun.clear()
                cancelled.pop()
                return message

        async def scenario(system):
            cancelled.clear()
            ref = system.spawn(Works)
            assert await ref.ask_async("tea") == "tea"
            return len(cancelled)

        cancelled = []
        faults = Faults(cancelling=0.5)
        supervision = Supervision(max_attempts=50)
        times = [simulate(scenario, seed=seed, faults=faults, supervision=supervision).returned for seed in range(100)]
        assert times.count(0) > 20
        assert max(times) > 1

    def test_of_one_message_too_often_makes_it_poison(self):
        async def scenario(system):
            ref = system.spawn(Slow, name="slow")
            ref.tell("tea")
            await system.wait_idle()
            return [(letter.message, letter.reason.value) for letter in system.dead_letters]

        simulation = simulate(scenario, seed=0, faults=Faults(cancelling=1, longest=0.1))
        assert simulation.returned == [("tea", "poison")]

    def test_does_not_befall_a_temporary_child(self):
        async def scenario(system):
            return await system.spawn(Slow, restart=Restart.TEMPORARY).ask_async("tea")

        simulation = simulate(scenario, seed=0, faults=Faults(cancelling=1))
        assert simulation.returned == "tea"
        assert texts_of(simulation, "fault") == []

    def test_comes_too_late_for_a_handler_that_has_ended(self):
        async def scenario(system):
            await system.spawn(Slow).ask_async("tea")
            await asyncio.sleep(10_000)

        options = {"faults": Faults(cancelling=1, longest=1_000), "supervision": Supervision(max_attempts=50)}
        faults = [len(texts_of(simulate(scenario, seed=seed, **options), "fault")) for seed in range(50)]
        assert 10 < faults.count(0) < 40

    def test_leaves_alone_what_is_told_to_end(self):
        class CleansUp(AsyncActor):
            async def on_receive(self, message):
                try:
                    await asyncio.sleep(1)
                finally:
                    await asyncio.sleep(1)

        async def scenario(system):
            team = system.supervisor("team")
            for name in ("stopped", "killed"):
                team.spawn(CleansUp, name=name).tell("tea")
            await asyncio.sleep(0.1)
            team.stop("stopped")
            system.whereis("team/killed").kill()

        for seed in range(50):
            trace = simulate(scenario, seed=seed, faults=Faults(cancelling=1)).trace
            assert all(record.at <= 0.1 for record in trace if record.kind == "fault")

    def test_leaves_alone_what_its_supervisor_restarts_or_ends(self):
        class Fails(AsyncActor):
            async def on_receive(self, message):
                await asyncio.sleep(0.5)
                raise ValueError(message)

        async def scenario(system):
            team = system.supervisor("team", Supervision(max_restarts=2))
            for _ in range(3):
                team.spawn(Fails).tell("tea")
            await asyncio.sleep(0.7)
            await team.stop("Fails-1")

        simulate_many(scenario, range(50), faults=Faults(cancelling=0.7), supervision=MANY)


class Slow(AsyncActor):
    async def on_receive(self, message):
        await asyncio.sleep(1)
        return message


class TestOfAgents:
    """The tool fails, and the turn with it, as it would for reasons of its own."""

    @pytest.fixture
    def tools(self):
        @tool
        async def greet(name):
            self.greeted.append(name)
            return name

        @tool
        async def count(number):
            for one in range(number):
                self.greeted.append(one)
                yield one

        self.greeted = []
        return [greet, count]

    @pytest.mark.parametrize("name", ["greet", "count"])
    def test_befall_the_tool(self, tools, name):
        failures = []

        @hook(AgentHook.ON_TURN_ERROR)
        async def note(agent, turn, error):
            failures.append((turn.stop_reason, str(error)))

        async def scenario(system):
            agent = Agent("ann", "Works", tools)
            agent.hooks.append(note)
            system.spawn(agent)
            with pytest.raises(InjectedFaultError):
                await agent.ask(Turn(name, [3]))
            done = len(self.greeted)
            self.greeted.clear()
            return done

        fns = [one.fn for one in tools]
        runs = {simulate(scenario, seed=seed, faults=Faults(raising=1)).returned for seed in range(20)}
        assert runs == {0, 1 if name == "greet" else 3}
        assert set(failures) == {(StopReason.ERROR, str(InjectedFaultError("ann")))}
        assert [one.fn for one in tools] == fns, "the tools are as they were"

    def test_let_a_turn_time_out(self, tools):
        async def scenario(system):
            agent = Agent("ann", "Works", tools)
            system.spawn(agent)
            turn = Turn("greet", [3], timeout=0.5)
            agent.tell(turn)
            await system.wait_idle()
            return turn.stop_reason

        faults = Faults(delaying=1)
        reasons = {simulate(scenario, seed=seed, faults=faults).returned for seed in range(20)}
        assert reasons == {StopReason.COMPLETED, StopReason.TIMEOUT}

    def test_give_the_values_of_a_stream_all_the_same(self, tools):
        async def scenario(system):
            agent = Agent("ann", "Works", tools)
            system.spawn(agent)
            return await agent.ask(Turn("count", [3]))

        assert simulate(scenario, seed=0, faults=Faults(delaying=1)).returned == [0, 1, 2]

    def test_befall_a_message_that_is_no_turn(self):
        class Listens(Agent):
            async def on_message(self, message):
                return message

        async def scenario(system):
            agent = Listens("ann", "Listens", [])
            with pytest.raises(InjectedFaultError):
                await system.spawn(agent).ask_async("tea")

        simulate(scenario, seed=0, faults=Faults(raising=1))

    def test_leave_others_alone_that_have_the_same_tools(self, tools):
        async def scenario(system):
            system.spawn(Agent("ann", "Works", tools))
            bob = Agent("bob", "Works by himself", tools)
            await bob.put(Turn("greet", ["Ann"]))
            values = [value async for _, value in bob.run()]
            await bob.stop()
            return values, await tools[0]("Bob")

        assert simulate(scenario, seed=0, faults=Faults(raising=1)).returned == (["Ann"], "Bob")

    def test_run_a_turn_again_that_was_cut(self):
        attempts = []

        @tool
        async def work():
            attempts.append("begun")
            await asyncio.sleep(1)
            return "done"

        async def scenario(system):
            attempts.clear()
            agent = Agent("ann", "Works", [work])
            system.spawn(agent, supervision=Supervision(max_attempts=50))
            turn = Turn("work")
            agent.tell(turn)
            await system.wait_idle()
            assert turn.stop_reason is StopReason.COMPLETED
            assert turn.attempt == len(attempts)
            return turn.attempt

        faults = Faults(cancelling=0.5)
        assert {simulate(scenario, seed=seed, faults=faults).returned for seed in range(50)} >= {1, 2, 3}


def test_befall_only_the_paths_that_are_given():
    async def scenario(system):
        for team in ("one", "two"):
            for name in ("a", "b"):
                system.supervisor(f"{team}-{name}").spawn(Echo, name=name).tell("tea")

    simulation = simulate(scenario, seed=0, faults=Faults(raising=1, only=("one-*", "*/b")))
    assert {record.path for record in simulation.trace if record.kind == "fault"} == {"one-a/a", "one-b/b", "two-b/b"}


def test_do_not_move_the_other_things_that_a_seed_decides():
    async def scenario(system):
        notes = []
        for _ in range(5):
            system.spawn(Note, notes).tell(None)
        await system.wait_idle()

    plain, faulty = (simulate(scenario, seed=3, faults=faults) for faults in (None, Faults(only=())))
    assert plain.trace == faulty.trace


class TestItsFields:
    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"raising": 1.1}, ValueError),
            ({"delaying": -0.1}, ValueError),
            ({"cancelling": float("nan")}, ValueError),
            ({"raising": True}, TypeError),
            ({"raising": "often"}, TypeError),
            ({"longest": 0}, ValueError),
            ({"longest": float("inf")}, ValueError),
            ({"longest": None}, TypeError),
            ({"only": "team/*"}, TypeError),
            ({"only": [1]}, TypeError),
            ({"errors": [ValueError()]}, TypeError),
        ],
    )
    def test_wrong_ones_are_refused(self, fields, error):
        with pytest.raises(error):
            Faults(**fields)
