"""A handler that answers when it is cut has ended well, and its cut is nobody else's."""

import asyncio

import pytest

from pygents.actors import AsyncActor, Strategy, Supervision
from pygents.actors.system import ActorSystem
from pygents.errors import ActorFailedError
from tests.actors.helpers import hang


class Cuttable(AsyncActor):
    runs = 0

    async def on_receive(self, message):
        if message == "hang":
            try:
                await hang()
            except asyncio.CancelledError:
                return "in time"
        if message == "leak":
            type(self).runs += 1
            raise asyncio.CancelledError
        if message == "fail":
            raise ValueError
        return message


async def test_a_cancellation_that_a_handler_lets_out_after_another_has_outlived_its_cut_is_a_failure():
    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        first, second = system.spawn(Cuttable, name="a"), system.spawn(Cuttable, name="b", shutdown=1.0)
        asked = second.ask("hang", block=False)
        await asyncio.sleep(1)
        first.tell("fail")
        assert await asked == "in time"
        with pytest.raises(ActorFailedError):
            await second.ask_async("leak")
        assert Cuttable.runs == 1
