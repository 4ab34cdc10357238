"""The wait until a system is idle."""

import asyncio

import pytest

from pygents import ActorSystem
from pygents.actors import AsyncActor, Backoff, Supervision, SystemFailedError, ThreadDispatcher
from pygents.testing import advance, wait_idle
from tests.actors.helpers import PATIENCE, hang
from tests.testing.helpers import now, standing


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
