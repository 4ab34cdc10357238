"""A child that is spawned while its supervisor fails waits, like those that are there, until that is over."""

import asyncio

import pytest

from pygents.actors import AsyncActor, Backoff, Directive, Restart, Supervision
from pygents.actors.system import ActorSystem
from tests.actors.helpers import until


class Told(AsyncActor):
    def __init__(self, log: list) -> None:
        super().__init__()
        self._log = log

    async def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        self._log.append(message)
        return await message() if callable(message) else message


class Starts(Told):
    async def on_start(self):
        self._log.append("start")


@pytest.mark.parametrize("kind", [Told, Starts])
async def test_a_child_that_is_spawned_while_its_supervisor_fails_handles_nothing_until_that_is_up_again(kind):
    log = []
    above = Supervision(backoff=Backoff(initial=5.0, jitter=0.0))
    async with ActorSystem("s", supervision=above) as system:
        team = system.supervisor("team", Supervision(max_restarts=0))
        slow = team.spawn(Told, log, name="slow", shutdown=50.0)
        failing = team.spawn(Told, log, name="failing")
        slow.tell(lambda: asyncio.sleep(2))
        failing.tell(ValueError("now"))
        await until(lambda: team.transitions.failing)
        late = team.spawn(kind, log, name="late")
        asked = late.ask("message", block=False)
        await asyncio.sleep(1)
        assert "message" not in log
        assert not asked.done
        assert await asked == "message"
        assert asyncio.get_running_loop().time() == pytest.approx(7), "two until it is done, and five of backoff"
        assert system.statistics().queued == 0


@pytest.mark.parametrize("kind", [Told, Starts])
async def test_a_child_that_is_spawned_while_its_supervisor_fails_handles_nothing_if_that_stops(kind):
    log = []
    async with ActorSystem("s", supervision=Supervision(decide=lambda _: Directive.STOP)) as system:
        team = system.supervisor("team", Supervision(max_restarts=0), restart=Restart.TEMPORARY)
        failing = team.spawn(Told, log, name="failing")
        failing.tell(ValueError("now"))
        await until(lambda: team.transitions.failing)
        late = team.spawn(kind, log, name="late")
        late.tell("message")
        await late.wait_stopped()
        assert "message" not in log
        assert [letter.message for letter in system.dead_letters if letter.recipient == "team/late"] == ["message"]
        counts = system.statistics()
        assert counts.accepted == counts.dead_lettered == 2
