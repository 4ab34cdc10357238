"""Asks that close no ring are not refused: where a handler has not begun to wait, waits no more, or need not."""

import asyncio

import pytest

from pygents.actors import ActorDeadError, AskCycleError, Strategy, Supervision, Timeout
from pygents.actors.system import ActorSystem
from pygents.actors.wait_graph import begin_wait
from tests.actors.asking import CARELESS, WAYS, Does, asking, done, idle_waits_for_nobody, spawn
from tests.actors.helpers import cell_of, hang, until


@pytest.fixture(params=WAYS)
def way(request):
    async def ask(ref, message):
        return await WAYS[request.param](ref, message)

    return ask


async def until_waits(ref):
    await until(lambda: cell_of(ref).waits_for is not None)


async def idle_waits_for_nobody_but(system, ref):
    await until(lambda: not ref.actor_inbox.claimed)
    return cell_of(ref).waits_for is None


async def in_group(work):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(caught(work))
    raise task.result()


async def caught(work):
    try:
        await work
    except Timeout as error:
        return error


class TestNoRing:
    async def test_is_a_chain_or_several_who_wait_for_the_same(self, way):
        async with ActorSystem("s") as system:
            a, b, c = spawn(system)
            asked = [a.ask_async(asking(b, c, ask=way)), b.ask_async(asking(c, ask=way)), c.ask_async(asking())]
            assert None not in await asyncio.gather(*asked)

    @pytest.mark.parametrize("begin", [asyncio.gather, asyncio.create_task, in_group])
    async def test_is_made_by_tasks_that_a_handler_has_begun(self, begin):
        async def handle(actor):
            with pytest.raises(Timeout):
                await begin(b.ask_async(lambda _: a.ask_async(asking()), timeout=5))
            return "done"

        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab")
            assert await a.ask_async(handle) == "done"

    async def test_is_made_by_an_actor_that_asks_itself_in_a_task(self):
        async def handle(actor):
            actor.task = asyncio.create_task(a.ask_async(asking()))
            return actor.task

        async with ActorSystem("s") as system:
            (a,) = spawn(system, "a")
            assert await (await a.ask_async(handle)) == "the end"

    async def test_is_left_by_an_asker_whose_time_is_up(self, way):
        async def give_up(actor):
            with pytest.raises((TimeoutError, Timeout)):
                async with asyncio.timeout(3):
                    await way(b, hanging)
            assert cell_of(a).waits_for is None
            return await actor.other.ask_async(lambda _: "fine")

        async def hanging(actor):
            await asyncio.sleep(5)
            return await a.ask_async(lambda _: "free")

        async with ActorSystem("s") as system:
            a, b, c = spawn(system)
            a._actor_weakref().other = c
            assert await a.ask_async(give_up) == "fine"
            await system.wait_idle()
            assert system.statistics().handled == system.statistics().accepted

    async def test_is_left_by_one_whose_message_was_cancelled(self):
        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab")
            a.tell(lambda _: b.ask_async(lambda _: hang()))
            await until_waits(a)
            assert await a.cancel_turn()
            assert await idle_waits_for_nobody_but(system, a)
            b.kill()

    async def test_is_left_by_one_that_was_killed(self):
        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab")
            child = cell_of(a)
            a.tell(lambda _: b.ask_async(lambda _: hang()))
            await until_waits(a)
            a.kill()
            await a.wait_stopped()
            assert child.waits_for is None
            b.kill()

    async def test_is_left_by_one_that_was_restarted_by_a_sibling(self):
        async def ask_once(actor):
            if not lives:
                lives.append(actor)
                return await b.ask_async(lambda _: hang())
            return cell_of(a).waits_for

        lives = []
        policy = Supervision(strategy=Strategy.ONE_FOR_ALL)
        async with ActorSystem("s") as system:
            (b,) = spawn(system, "b")
            a, c = spawn(system.supervisor("team", policy), "ac", shutdown=1.0)
            asked = a.ask(ask_once, block=False)
            await until_waits(a)
            c.tell(lambda _: 1 / 0)
            assert await asked is None
            b.kill()

    async def test_is_left_by_a_handler_that_is_abandoned_in_the_midst_of_it(self):
        async def ignore(actor):
            while True:
                try:
                    return await b.ask_async(until_released)
                except asyncio.CancelledError:
                    continue

        async def until_released(actor):
            await released.wait()

        released = asyncio.Event()
        async with ActorSystem("s") as system:
            a, b, c = spawn(system, shutdown=1.0)
            a.tell(ignore)
            await until_waits(a)
            assert await a.cancel_turn()
            assert cell_of(a).waits_for is not None, "it still waits, but not for the actor"
            c.tell(lambda _: b.ask_async(lambda _: a.ask_async(asking())))
            released.set()
            await system.wait_idle()
            assert await a.ask_async(asking(b, c)) == "the end"
            assert await idle_waits_for_nobody(system, a, b, c)
            assert system.statistics().answered_with_error == 0

    async def test_is_seen_through_the_wait_of_a_handler_that_was_abandoned(self):
        async def ignore(actor):
            while True:
                try:
                    return await b.ask_async(asking())
                except asyncio.CancelledError:
                    continue

        opened = asyncio.Event()
        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab", shutdown=1.0)
            b.tell(lambda _: opened.wait())
            asked = b.ask(asking(a), block=False)  # comes before what the abandoned one waits for
            a.tell(ignore)
            await until_waits(a)
            assert await a.cancel_turn()
            opened.set()
            assert await asked == "the end"

    async def test_is_lost_when_an_abandoned_handler_ends_its_wait_at_last(self):
        async def ignore(actor):
            while not ended.is_set():
                try:
                    await b.ask_async(lambda _: ended.wait())
                except asyncio.CancelledError:
                    continue

        async def ask_back(actor):
            ended.set()
            await asyncio.sleep(1)
            return await a.ask_async(asking())

        ended = asyncio.Event()
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b, c = spawn(system, shutdown=1.0)
            a.tell(ignore)
            await until_waits(a)
            assert await a.cancel_turn()
            with pytest.raises(AskCycleError):
                await a.ask_async(lambda _: c.ask_async(ask_back))

    async def test_is_seen_where_an_actor_is_asked_that_is_ending_and_asks_back(self):
        class Ends(Does):
            async def on_stop(self):
                ending.set()
                await a.ask_async(asking(), timeout=3)

        async def ask_the_ending(actor):
            b.stop(block=False)
            await ending.wait()
            await until_waits(b)
            with pytest.raises(ActorDeadError):
                await b.ask_async(asking())

        ending = asyncio.Event()
        async with ActorSystem("s") as system:
            (a,) = spawn(system, "a")
            b = system.spawn(Ends, name="b")
            await a.ask_async(ask_the_ending)

    async def test_is_closed_by_who_was_answered_and_has_not_gone_on_yet(self):
        async def first(actor):
            return await b.ask_async(then)

        async def then(actor):
            b.tell(lambda _: a.ask_async(asking()))  # the next message, which is begun before the asker goes on

        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab")
            await a.ask_async(first)
            await system.wait_idle()
            assert system.statistics().handled == 4

    async def test_goes_over_several_systems(self):
        async with ActorSystem("one") as one, ActorSystem("other") as other:
            (a,), (b,) = spawn(one, "a"), spawn(other, "a")
            with pytest.raises(Timeout):
                await a.ask_async(lambda _: b.ask_async(lambda _: a.ask_async(asking(), timeout=5)))

    async def test_goes_over_actors_in_no_system(self):
        async with ActorSystem("s") as system:
            (a,) = spawn(system, "a")
            b = Does.start()
            with pytest.raises(Timeout):
                await a.ask_async(lambda _: b.ask_async(lambda _: a.ask_async(asking(), timeout=5)))
            await b.stop_async()

    async def test_is_seen_where_an_actor_that_has_ended_is_asked(self):
        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab")

            async def ask_the_dead(actor):
                await b.stop_async()
                with pytest.raises(ActorDeadError):
                    await b.ask_async(asking())
                return cell_of(a).waits_for

            assert await a.ask_async(ask_the_dead) is None

    async def test_is_looked_for_where_the_answer_is_there(self, monkeypatch):
        def begin(*_):
            raise AssertionError

        async def await_what_is_done(actor):
            reply = b.ask(asking(), block=False)
            await asyncio.sleep(1)
            return await reply, await reply.map(str), reply.get()

        monkeypatch.setattr("pygents.actors.reply.begin_wait", begin)
        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab")
            assert await a.ask(await_what_is_done, block=False)

    async def test_is_seen_by_who_waits_for_an_answer_that_has_just_come(self):
        async def ask_back(actor):
            reply = done()
            wait = begin_wait(reply, cell_of(a))  # as one whose answer comes between the look and the wait
            assert not wait.is_on
            wait.end()

        async with ActorSystem("s") as system:
            a, b = spawn(system, "ab")
            assert await a.ask_async(lambda _: b.ask_async(ask_back)) is None
