"""Who is inside ``async with``: what comes out when the system fails, with cancellations and without."""

import asyncio

import pytest

from pygents.actors import Supervision
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from tests.actors.helpers import Worker, boom, hang

FRAGILE = Supervision(max_restarts=0)


class Own(Exception):  # noqa: N818 (it is the body's own)
    pass


async def swallow():
    try:
        await hang()
    except asyncio.CancelledError:
        return


async def raise_its_own():
    try:
        await hang()
    finally:
        raise Own


@pytest.mark.parametrize("body", [hang, swallow, raise_its_own])
async def test_the_systems_own_cancellation_is_taken_back_whatever_the_body_does(body):
    with pytest.raises((SystemFailedError, ExceptionGroup)) as caught:  # noqa: PT012 (it comes out of the async with)
        async with ActorSystem("s", supervision=FRAGILE) as system:
            system.spawn(Worker, [], "a").tell(boom())
            await body()
    assert isinstance(caught.value, ExceptionGroup) is (body is raise_its_own)
    task = asyncio.current_task()
    assert task.cancelling() == 0
    async with asyncio.timeout(1) as limit:  # what counts cancellations works as ever
        with pytest.raises(asyncio.CancelledError):
            await hang()
    assert limit.expired()


@pytest.mark.parametrize("leaving", [True, False])
async def test_a_cancellation_from_outside_stays_pending_behind_the_failure(leaving):
    async def inside():
        async with ActorSystem("s", supervision=FRAGILE) as system:
            system.spawn(Worker, [], "a").tell(boom())
            try:
                await hang()
            finally:
                asyncio.get_running_loop().call_soon(task.cancel)
                if not leaving:
                    await asyncio.sleep(0)

    async def outside():
        with pytest.raises(SystemFailedError) as caught:
            await inside()
        return task.cancelling(), type(caught.value.__cause__.__cause__)

    task = asyncio.ensure_future(outside())
    assert await task == (1, ValueError)


async def test_an_interrupt_of_the_body_goes_before_the_failure(caplog):
    class Interrupt(BaseException):
        pass

    with pytest.raises(Interrupt):  # noqa: PT012 (likewise)
        async with ActorSystem("s", supervision=FRAGILE) as system:
            system.spawn(Worker, [], "a").tell(boom())
            try:
                await hang()
            finally:
                raise Interrupt
    assert "no supervisor could deal" in caplog.text
