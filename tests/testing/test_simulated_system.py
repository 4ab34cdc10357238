"""What a simulation checks of the runtime, without being asked."""

import asyncio
from contextlib import suppress

import pytest

from pygents import Agent, AgentHook, Deny, Turn, TurnCancelledError, TurnDeniedError, TurnHook, hook, tool
from pygents.actors import ActorDeadError, AsyncActor, HookTimeoutError, Strategy, Supervision
from pygents.actors.child import Child
from pygents.actors.ledger import Ledger
from pygents.testing import Faults, simulate, simulate_many
from tests.actors.helpers import Echo
from tests.testing.helpers import failure_of


class TestWhatTheRuntimePromises:
    def test_includes_that_one_message_is_handled_at_a_time(self, monkeypatch, quiet):
        class Slow(AsyncActor):
            async def on_receive(self, message):
                await asyncio.sleep(1)

        async def both(child):
            if (envelope := child.inbox.take()) is not None:
                asyncio.Task(child.handle(envelope), loop=asyncio.get_running_loop(), eager_start=True)
            await original(child)

        async def scenario(system):
            ref = system.spawn(Slow, name="slow")
            ref.tell("tea")
            ref.tell("coffee")
            await asyncio.sleep(5)

        original = Child.work
        simulate(scenario, seed=0)
        monkeypatch.setattr(Child, "work", both)
        reason = failure_of(scenario).reason
        (said, _) = reason.splitlines()
        assert said == "AssertionError: two messages are handled at once: slow with 'tea', and slow with 'coffee'"

    @pytest.mark.parametrize(
        ("asks", "reason"),
        [
            (False, "a message was told, and is neither handled nor a dead letter: team/slow with 'tea'"),
            (True, "an ask is never answered: team/slow with 'tea'"),
        ],
    )
    def test_includes_an_end_for_every_message(self, monkeypatch, quiet, asks, reason):
        class Slow(AsyncActor):
            async def on_receive(self, message):
                await asyncio.sleep(1)

        async def scenario(system):
            team = system.supervisor("team", Supervision(strategy=Strategy.ONE_FOR_ALL))
            slow = team.spawn(Slow, name="slow", shutdown=0.1)
            slow.ask("tea", block=False) if asks else slow.tell("tea")
            await asyncio.sleep(0.1)
            team.spawn(Echo).tell(ValueError())
            await system.wait_idle()

        simulate(scenario, seed=0)
        monkeypatch.setattr(Ledger, "go_back", lambda ledger, envelope, *_: ledger._inbox.done(envelope))
        assert failure_of(scenario).reason == f"AssertionError: {reason}"

    def test_is_not_broken_by_what_is_abandoned(self, quiet):
        class Stubborn(AsyncActor):
            async def on_receive(self, message):
                try:
                    await asyncio.sleep(100)
                except asyncio.CancelledError:
                    await asyncio.sleep(50)

        @tool
        async def stubborn():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(50)

        async def scenario(system):
            team = system.supervisor("team", Supervision(strategy=Strategy.ONE_FOR_ALL))
            team.spawn(Stubborn, shutdown=1).tell("tea")
            agent = Agent("agent", "Is stubborn", [stubborn])
            team.spawn(agent, shutdown=1)
            agent.tell(Turn("stubborn", timeout=0.1))
            await asyncio.sleep(0.01)
            team.spawn(Echo).tell(ValueError())
            await system.wait_idle()

        simulate_many(scenario, range(20))

    def test_is_not_broken_by_a_hook_that_is_abandoned_while_a_turn_runs(self, quiet):
        @hook(AgentHook.BEFORE_PUT)
        async def ignore(agent, turn):
            while not released.is_set():
                with suppress(asyncio.CancelledError):
                    await released.wait()

        @tool
        async def work():
            await asyncio.sleep(100)

        async def scenario(system):
            system.hook_timeout = 1
            agent = Agent("agent", "Works", [work])
            system.spawn(agent, shutdown=1)
            agent.tell(Turn("work", timeout=None))
            await asyncio.sleep(1)
            agent.hooks.append(ignore)
            with pytest.raises(HookTimeoutError):
                await agent.put(Turn("work"))
            released.set()
            agent.hooks.clear()

        released = asyncio.Event()
        kinds = [record.kind for record in simulate(scenario, seed=0).trace]
        assert kinds.count("TurnCompleted") == 1

    def test_is_not_broken_by_a_turn_that_is_denied(self):
        @hook(AgentHook.BEFORE_TURN)
        async def deny(agent):
            return Deny("no")

        @tool
        async def work():
            """Do nothing."""

        async def scenario(system):
            agent = Agent("agent", "Works", [work])
            agent.hooks.append(deny)
            system.spawn(agent)
            agent.tell(Turn("work"))
            with pytest.raises(TurnDeniedError):
                await agent.ask(Turn("work"))

        simulate(scenario, seed=0)

    def test_is_not_broken_by_a_turn_that_is_denied_when_it_is_cut(self, quiet):
        @hook(TurnHook.BEFORE_RUN)
        async def deny_late(turn):
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                return Deny("too late")

        @tool
        async def work():
            """Do nothing."""

        async def scenario(system):
            agent = Agent("agent", "Works", [work])
            system.spawn(agent)
            agent.tell(Turn("work", hooks=[deny_late]))
            await system.wait_idle()

        runs = [simulate(scenario, seed=seed, faults=Faults(cancelling=0.5)) for seed in range(20)]
        assert any(record.kind == "fault" for run in runs for record in run.trace)

    @pytest.mark.parametrize("stubborn", [False, True])
    @pytest.mark.parametrize("kind", ["actor", "agent"])
    def test_is_not_broken_by_what_is_cancelled(self, quiet, kind, stubborn):
        async def wait():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                if not stubborn:
                    raise
                await asyncio.sleep(100)

        @tool
        async def work():
            await wait()

        class Works(AsyncActor):
            async def on_receive(self, message):
                await wait()

        async def scenario(system):
            agent = Agent("agent", "Works", [work])
            ref = system.spawn(agent, shutdown=1) if kind == "agent" else system.spawn(Works, shutdown=1)
            ref.tell(Turn("work"))
            await asyncio.sleep(1)
            assert await ref.cancel_turn("enough")
            answer = ref.ask(Turn("work"), block=False)
            await asyncio.sleep(1)
            assert await ref.cancel_turn("enough")
            with pytest.raises(TurnCancelledError):
                await answer
            return system.statistics().handled

        assert simulate(scenario, seed=0).returned == 1

    def test_is_not_broken_by_who_dies(self, quiet):
        class Watcher(AsyncActor):
            async def on_receive(self, message):
                await asyncio.sleep(1)

        async def scenario(system):
            watcher, other = system.spawn(Watcher), system.spawn(Watcher)
            await watcher.watch(other)
            answer = other.ask("tea", block=False)
            other.tell("coffee")
            await asyncio.sleep(0.5)
            other.kill()
            with pytest.raises(ActorDeadError):
                await answer
            await asyncio.sleep(0.5)
            watcher.kill()

        simulate_many(scenario, range(20))
