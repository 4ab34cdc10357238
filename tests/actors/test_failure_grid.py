"""Every way to fail, in every method, under every strategy, for every restart type: what is to come of it."""

import asyncio

import pytest

from pygents.actors import AsyncActor, DeadLetterReason, Ended, Restart, Strategy, Supervision
from pygents.actors.system import ActorSystem
from tests.actors.helpers import hang

FAILURES = ["raises", "is_cancelled", "hangs"]
PLACES = ["on_start", "on_receive", "on_stop", "on_restart"]


async def fail(how: str) -> None:
    if how == "raises":
        raise ValueError(how)
    if how == "is_cancelled":
        raise asyncio.CancelledError
    await hang()


class Sibling(AsyncActor):
    """Counts its lives."""

    def __init__(self, lives: list) -> None:
        super().__init__()
        self._lives = lives

    async def on_start(self):
        self._lives.append("start")

    async def on_receive(self, message):
        return message


class Fails(Sibling):
    """Fails the first time that it comes to a place."""

    def __init__(self, lives: list, plan: dict) -> None:
        super().__init__(lives)
        self._plan = plan

    async def _come_to(self, place):
        if (how := self._plan.pop(place, None)) is not None:
            await fail(how)

    async def on_start(self):
        await super().on_start()
        await self._come_to("on_start")

    async def on_receive(self, message):
        await self._come_to("on_receive")
        return message

    async def on_stop(self):
        await self._come_to("on_stop")

    async def on_restart(self, failure):
        await self._come_to("on_restart")


def outcome(how: str, place: str, restart: Restart) -> str:
    """Return what comes of the first failure: nothing, a restart or two, or the end."""
    if place == "on_stop":
        return "goes on"  # it fails when it is stopped, and ends like any other
    if place == "on_receive" and how == "hangs":
        return "hangs"
    if restart is Restart.TEMPORARY:
        return "ends"
    return "restarts twice" if place == "on_restart" else "restarts"


CASES = [
    pytest.param(
        how,
        place,
        strategy,
        restart,
        id=f"{place}_{how}-{strategy.value}-{restart.value}-{outcome(how, place, restart).replace(' ', '_')}",
    )
    for how in FAILURES
    for place in PLACES
    for strategy in Strategy
    for restart in Restart
]


@pytest.mark.parametrize(("how", "place", "strategy", "restart"), CASES)
async def test_what_comes_of_a_failure(how, place, strategy, restart):
    plan = {place: how}
    if place == "on_restart":
        plan["on_receive"] = "raises"
    lives = {name: [] for name in ["before", "fails", "after"]}
    system = ActorSystem("s", supervision=Supervision(strategy=strategy))
    async with system:
        before = system.spawn(Sibling, lives["before"], name="before")
        ref = system.spawn(Fails, lives["fails"], plan, name="fails", restart=restart, start_timeout=2.0, shutdown=1.0)
        after = system.spawn(Sibling, lives["after"], name="after")
        ref.tell("first")
        expected = outcome(how, place, restart)
        if expected == "hangs":
            await asyncio.sleep(100)
            assert system.statistics().queued == 1
            report = await system.shutdown(drain=False)
            assert [letter.reason for letter in report.cut] == [DeadLetterReason.CUT]
            return
        await system.wait_idle()
        if expected == "ends":
            assert await ref.wait_stopped() is Ended.FAILED
        else:
            assert await ref.ask_async("next") == "next"
        restarts = {"goes on": 0, "ends": 0, "restarts": 1, "restarts twice": 2}[expected]
        # a fresh actor whose on_restart fails never comes to its on_start
        starts = {"goes on": 1, "ends": 1, "restarts": 2, "restarts twice": 2}[expected]
        assert lives["fails"] == ["start"] * starts
        with_it = {
            Strategy.ONE_FOR_ONE: (0, 0),
            Strategy.REST_FOR_ONE: (0, restarts),
            Strategy.ONE_FOR_ALL: (restarts, restarts),
        }[strategy]
        early = place in {"on_start", "on_restart"}  # a sibling may be stopped again before it has started
        for name, times in zip(["before", "after"], with_it, strict=True):
            assert len(lives[name]) == 1 + times or (early and 1 <= len(lives[name]) <= 1 + times)
        assert await before.ask_async(1) == await after.ask_async(1) == 1
        counts = system.statistics()
        assert counts.accepted == counts.handled + counts.dead_lettered
        stopped = ref.stop(block=False)
        assert await stopped is (expected != "ends")
        assert await ref.wait_stopped() is (Ended.FAILED if expected == "ends" else Ended.STOPPED)
    assert system.statistics().queued == 0
