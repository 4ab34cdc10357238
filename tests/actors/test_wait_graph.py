"""Asks that would close a ring of waits are refused, whatever the way of asking."""

import asyncio
import threading

import pytest

from pygents.actors import AskCycleError, ThreadDispatcher, Timeout
from pygents.actors.system import ActorSystem
from tests.actors.asking import CARELESS, WAYS, Does, asking, idle_waits_for_nobody, spawn
from tests.actors.helpers import PATIENCE, in_thread, until


@pytest.fixture(params=WAYS)
def way(request):
    async def ask(ref, message):
        return await WAYS[request.param](ref, message)

    return ask


class TestARing:
    @pytest.mark.parametrize("size", [1, 2, 3, 8])
    async def test_is_refused_with_the_paths_whatever_its_size_and_the_way_of_asking(self, size, way):
        async with ActorSystem("s", supervision=CARELESS) as system:
            refs = spawn(system.supervisor("team", CARELESS), "abcdefgh"[:size])
            with pytest.raises(AskCycleError) as caught:
                await refs[0].ask_async(asking(*refs[1:], refs[0], ask=way))
            paths = [f"team/{name}" for name in "abcdefgh"[:size]]
            assert caught.value.cycle == (paths[-1], *paths[:-1])
            assert await idle_waits_for_nobody(system, *refs)
            assert await refs[0].ask_async(asking(*refs[1:], ask=way)) is not None

    async def test_is_refused_although_it_has_a_tail(self):
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b, c = spawn(system)
            with pytest.raises(AskCycleError) as caught:
                await a.ask_async(asking(b, c, b))
            assert caught.value.cycle == ("c", "b")

    async def test_is_refused_to_who_closes_it_and_the_others_go_on(self):
        async def ask_and_catch(actor):
            try:
                await actor_a.ask_async(asking())
            except AskCycleError:
                return "caught"

        async with ActorSystem("s") as system:
            actor_a, b = spawn(system, "ab")
            assert await actor_a.ask_async(lambda _: b.ask_async(ask_and_catch)) == "caught"

    async def test_sends_nothing_that_is_asked_and_awaited_at_once(self):
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b = spawn(system, "ab")
            with pytest.raises(AskCycleError):
                await a.ask_async(asking(b, a))
            assert [ref.statistics().accepted for ref in (a, b)] == [1, 1]

    async def test_is_noticed_at_the_await_of_what_was_sent_before(self):
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b = spawn(system, "ab")
            with pytest.raises(AskCycleError):
                await a.ask_async(asking(b, a, ask=WAYS["await"]))
            await system.wait_idle()
            assert a.statistics().handled == 1, "it was sent, and is handled"

    async def test_two_of_them_at_the_same_moment_are_both_refused(self):
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b, c, d, e = spawn(system, "abcde")
            asked = [a.ask_async(asking(b, a)), c.ask_async(asking(d, e, c))]
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert [error.cycle for error in errors] == [("b", "a"), ("e", "c", "d")]

    async def test_of_those_who_close_it_by_turns_the_last_is_refused(self):
        async def ask(actor, other):
            await started.wait()
            return await other.ask_async(asking())

        started = asyncio.Event()
        async with ActorSystem("s", supervision=CARELESS) as system:
            refs = spawn(system)
            nexts = [*refs[1:], refs[0]]
            asked = [
                asyncio.ensure_future(ref.ask_async(lambda actor, other=other: ask(actor, other)))
                for ref, other in zip(refs, nexts, strict=True)
            ]
            await until(lambda: all(ref.actor_inbox.in_hand for ref in refs))
            started.set()
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            assert outcomes[:2] == ["the end", "the end"]
            assert outcomes[2].cycle == ("c", "a", "b")

    async def test_is_refused_with_waits_for_a_stop_in_it(self):
        async def stop(actor):
            await b.stop_async()

        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b = spawn(system, "ab")
            with pytest.raises(AskCycleError):
                await b.ask_async(lambda _: a.ask_async(stop))
            await b.wait_stopped()
            assert await a.ask_async(stop) is None

    async def test_is_refused_to_an_actor_that_waits_for_its_own_stop(self):
        async with ActorSystem("s", supervision=CARELESS) as system:
            (a,) = spawn(system, "a")
            with pytest.raises(AskCycleError):
                await a.ask_async(lambda _: a.stop_async())
            await a.wait_stopped()

    async def test_is_refused_to_an_on_start_that_closes_it(self):
        class Starts(Does):
            async def on_start(self):
                with pytest.raises(AskCycleError) as caught:
                    await a.ask_async(asking())
                self.cycle = caught.value.cycle

        async def begin(actor):
            return await actor.spawn(Starts, name="b").ask_async(lambda starts: starts.cycle)

        async with ActorSystem("s") as system:
            (a,) = spawn(system, "a")
            assert await a.ask_async(begin) == ("a/b", "a")

    async def test_says_who_waits_for_whom_and_what_to_do(self):
        text = str(AskCycleError(("a", "b", "c")))
        assert "'a' would wait for ever, for 'b', which waits for 'c', which waits for 'a': " in text
        assert "create_task()" in text
        assert "'a' would wait for ever, for itself: " in str(AskCycleError(("a",)))


@pytest.mark.real_time
class TestOnThreads:
    async def test_a_ring_is_refused_to_one_of_it(self, way):
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b, c = spawn(system, dispatcher=ThreadDispatcher)
            with pytest.raises(AskCycleError) as caught:
                await a.ask_async(asking(b, c, a, ask=way))
            assert caught.value.cycle in {("c", "a", "b"), ("b", "c", "a"), ("a", "b", "c")}
            assert await idle_waits_for_nobody(system, a, b, c)

    async def test_who_asks_is_not_refused_when_the_message_is_being_handled_already(self):
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b, c = spawn(system, dispatcher=ThreadDispatcher)
            for _ in range(100):
                with pytest.raises(AskCycleError) as caught:
                    await a.ask_async(asking(b, c, a))
                assert caught.value.cycle == ("c", "a", "b")

    @pytest.mark.parametrize("timeout", [None, PATIENCE])
    async def test_a_ring_of_asks_that_block_is_refused(self, timeout):
        def ask(ref, *rest):
            return lambda _: ref.ask(ask(*rest) if rest else asking(), timeout=timeout)

        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b, c = spawn(system, dispatcher=ThreadDispatcher)
            with pytest.raises(AskCycleError) as caught:
                await a.ask_async(ask(b, c, a))
            assert caught.value.cycle == ("c", "a", "b")
            with pytest.raises(AskCycleError):
                await a.ask_async(lambda _: b.ask(lambda _: a.ask(asking(), block=False).get()))
            with pytest.raises(Timeout):
                await a.ask_async(lambda _: b.ask(lambda _: a.ask(asking(), timeout=0)))
            assert await a.ask_async(ask(b, c)) == "the end"
            with pytest.raises(AskCycleError):
                await a.ask_async(lambda _: b.ask(lambda _: a.stop()))
            await a.wait_stopped()
            assert await idle_waits_for_nobody(system, a, b, c)

    async def test_a_ring_of_asks_that_block_sends_nothing(self):
        async with ActorSystem("s", supervision=CARELESS) as system:
            a, b = spawn(system, "ab", dispatcher=ThreadDispatcher)
            with pytest.raises(AskCycleError):
                await a.ask_async(lambda _: b.ask(lambda _: a.ask(asking())))
            assert [ref.statistics().accepted for ref in (a, b)] == [1, 1]

    async def test_a_thread_that_a_handler_waits_for_makes_no_edge(self):
        def ask_back():
            return a.ask(asking(), timeout=0.01)

        async with ActorSystem("s") as system:
            (a,) = spawn(system, "a")
            with pytest.raises(Timeout):
                await a.ask_async(lambda _: asyncio.to_thread(ask_back))

    async def test_rings_that_eight_threads_close_at_once_are_refused_to_one_each(self):
        async def ask(other):
            barrier.wait(PATIENCE)  # each is in its handler, so none can answer before its own ask is over
            try:
                return await other.ask_async(asking())
            except AskCycleError as error:
                return len(error.cycle)

        barrier = threading.Barrier(8)
        async with ActorSystem("s") as system:
            refs = spawn(system, "abcdefgh", dispatcher=ThreadDispatcher)
            others = [refs[number] for number in (1, 2, 0, 4, 3, 6, 7, 5)]  # rings of 3, 2 and 3
            for _ in range(40):
                pairs = zip(refs, others, strict=True)
                asked = [ref.ask(lambda _, other=other: ask(other), block=False) for ref, other in pairs]
                outcomes = await asyncio.gather(*(reply.get_async(timeout=PATIENCE) for reply in asked))
                rings = outcomes[:3], outcomes[3:5], outcomes[5:]
                assert [[each for each in ring if each != "the end"] for ring in rings] == [[3], [2], [3]]
            assert await idle_waits_for_nobody(system, *refs)


def test_a_ring_is_refused_in_a_system_of_synchronous_code():
    with ActorSystem("s", supervision=CARELESS) as system:
        a, b = spawn(system, "ab")
        asked = in_thread(lambda: a.ask(asking(b, a)))
        with pytest.raises(AskCycleError):
            asked()
