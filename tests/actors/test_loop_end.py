"""Loops end: asyncio.run ends the actors on its loop in order, and then they are dead for everyone."""

import asyncio
import gc
import threading
from contextlib import suppress

import pytest
from pykka import ActorRegistry

from pygents.actors import ActorDeadError, AsyncActor
from pygents.actors.system import ActorSystem
from tests.actors.helpers import (
    PATIENCE,
    Echo,
    Life,
    assert_dead_to_everyone,
    hang,
    in_thread,
    messages_of,
    until,
    until_idle,
)


class TestAsyncioRun:
    def test_ends_idle_actors_youngest_first(self):
        class Named(Life):
            async def on_stop(self):
                await asyncio.sleep(0)
                self._log.append(id(self))

        async def main():
            refs = [Named.start(log) for _ in range(3)]
            for ref in refs:
                await ref.ask_async(1)
            log.clear()
            return refs, [id(ref._actor_weakref()) for ref in refs]

        log = []
        refs, ids = asyncio.run(main())
        assert log == ids[::-1]
        for ref in refs:
            assert_dead_to_everyone(ref)

    def test_ends_actors_that_have_not_begun(self):
        async def main():
            return [Life.start(log) for _ in range(2)]

        log = []
        for ref in asyncio.run(main()):
            assert_dead_to_everyone(ref)
        assert log.count("start") == log.count("stop") == 2

    def test_ends_actors_with_messages_queued(self, caplog):
        async def main():
            ref = Life.start(log)
            ref.tell(hang)
            for number in range(3):
                ref.tell(number)
            return ref, ref.ask("asked", block=False)

        log = []
        ref, reply = asyncio.run(main())
        assert log == ["start", hang, "stop"]
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)
        unhandled = sum(record.args[1] for record in caplog.records if "without handling" in record.msg)
        assert unhandled == 4
        assert_dead_to_everyone(ref)

    def test_answers_an_asker_on_another_thread(self):
        async def main():
            ref = Life.start(log)
            asking = in_thread(lambda: ref.ask(hang))
            await until(lambda: hang in log)
            return ref, asking

        log = []
        ref, asking = asyncio.run(main())
        with pytest.raises(ActorDeadError, match="stopped before handling"):
            asking()
        assert_dead_to_everyone(ref)

    def test_answers_a_stop_of_another_thread(self):
        async def main():
            ref = Life.start(log)
            ref.tell(hang)
            await until(lambda: hang in log)
            stopping = in_thread(ref.stop)
            await until(lambda: len(ref.actor_inbox) == 1)
            return stopping

        log = []
        assert asyncio.run(main())() is True
        assert log == ["start", hang, "stop"]

    def test_waits_for_an_on_stop_that_suspends(self):
        class Careful(Life):
            async def on_stop(self):
                for _ in range(20):
                    await asyncio.sleep(0)
                self._log.append("stop")

        async def main():
            await Careful.start(log).ask_async(1)

        log = []
        asyncio.run(main())
        assert log == ["start", 1, "stop"]

    def test_waits_for_an_on_stop_that_began_while_the_loop_was_ending(self):
        class Child(Life):
            async def on_stop(self):
                for _ in range(20):
                    await asyncio.sleep(0)
                self._log.append("child stopped")

        class Parent(Echo):
            def on_stop(self):
                children[0].stop(block=False)

        async def main():
            children.append(Child.start(log))
            await children[0].ask_async(1)
            await Parent.start().ask_async(1)

        log, children = [], []
        asyncio.run(main())
        gc.collect()
        assert log == ["start", 1, "child stopped"]

    def test_cuts_a_handler_that_began_while_the_loop_was_ending(self):
        class Parent(Echo):
            async def on_stop(self):
                children[0].tell(hang)
                await until(lambda: hang in log)

        async def main():
            children.append(Life.start(log))
            await children[0].ask_async(1)
            await Parent.start().ask_async(1)

        log, children = [], []
        in_thread(lambda: asyncio.run(main()))()
        assert log == ["start", 1, hang, "stop"]
        assert_dead_to_everyone(children[0])

    def test_does_not_wait_for_an_activation_that_never_comes(self):
        """As when an interrupt has come between the claim and the activation."""

        async def main():
            ref = Life.start(log)
            await ref.ask_async(1)
            await until_idle(ref)
            assert ref.actor_inbox.claim()
            return ref

        log = []
        assert_dead_to_everyone(in_thread(lambda: asyncio.run(main()))())
        assert log == ["start", 1, "stop"]

    def test_runs_on_stop_once_even_if_it_is_cut(self):
        class Cut(Life):
            async def on_stop(self):
                self._log.append("stop")
                for _ in range(20):
                    await asyncio.sleep(0)
                self._log.append("stopped")

        async def main():
            ref = Cut.start(log)
            await ref.ask_async(1)
            ref.stop(block=False)

        log = []
        asyncio.run(main())
        assert log.count("stop") == 1

    def test_ends_while_an_actor_keeps_talking_to_itself(self):
        class Endless(Life):
            def on_receive(self, message):
                self.actor_ref.tell(message)

        async def main():
            ref = Endless.start([])
            ref.tell("again")
            for _ in range(3):
                await asyncio.sleep(0)
            return ref

        assert_dead_to_everyone(in_thread(lambda: asyncio.run(main()))())

    def test_raises_what_its_main_function_raises(self):
        async def main():
            ref = Life.start(log)
            refs.append(ref)
            ref.tell(hang)
            await until(lambda: hang in log)
            raise KeyError("gone")

        log, refs = [], []
        with pytest.raises(KeyError):
            asyncio.run(main())
        assert_dead_to_everyone(refs[0])

    def test_refuses_an_actor_that_is_started_when_it_is_too_late(self):
        async def late():
            try:
                yield
            finally:
                for _ in range(20):
                    await asyncio.sleep(0)
                with pytest.raises(RuntimeError, match="this event loop is closing down: start actors before it does"):
                    Echo.start()
                refused.append(True)

        async def main():
            Echo.start()
            await anext(generator)

        refused = []
        generator = late()
        asyncio.run(main())
        assert refused == [True]
        assert ActorRegistry.get_all() == []

    def test_ends_an_actor_that_another_one_starts_at_its_end(self):
        class Successor(AsyncActor):
            def on_stop(self):
                heirs.append(Echo.start())

        async def main():
            ref = Successor.start()
            ref.tell("work")
            stopping = asyncio.ensure_future(ref.stop_async())
            await asyncio.wait([stopping])

        heirs = []
        asyncio.run(main())
        assert_dead_to_everyone(heirs[0])

    def test_an_on_stop_that_fails_keeps_no_one_else_from_ending(self, caplog):
        class Fails(Echo):
            def on_stop(self):
                raise SystemExit(3)

        async def main():
            refs = [kind.start() for kind in [Echo, Fails, Echo]]
            for ref in refs:
                await ref.ask_async(1)
            return refs

        refs = asyncio.run(main())
        assert [ref.is_alive() for ref in refs] == [False] * 3
        assert messages_of(caplog, "on_stop") == [f"Exception in on_stop of {refs[1]}:"]

    def test_a_stop_all_at_the_end_of_the_main_function_is_awaited_without_blocking(self):
        async def main():
            refs = [Life.start(log) for _ in range(3)]
            assert await asyncio.gather(*ActorRegistry.stop_all(block=False)) == [True] * 3
            return refs

        log = []
        for ref in asyncio.run(main()):
            assert_dead_to_everyone(ref)
        assert sorted(log) == ["start"] * 3 + ["stop"] * 3


class TestARunnerOfSeveralMainFunctions:
    def test_keeps_its_actors_from_one_to_the_next(self):
        async def start():
            return Life.start(log)

        async def ask(ref, message):
            return await ref.ask_async(message)

        log = []
        with asyncio.Runner() as runner:
            ref = runner.run(start())
            ref.tell("between")
            assert runner.run(ask(ref, "next")) == "next"
            assert ref.is_alive()
        assert log == ["start", "between", "next", "stop"]
        assert_dead_to_everyone(ref)


class TestFromAnotherThread:
    def test_senders_race_with_the_end_of_the_loop_and_none_hangs(self):
        async def main():
            ref = Echo.start()
            asking = [in_thread(lambda: ask_and_tell(ref)) for _ in range(4)]
            await asyncio.to_thread(began.wait, PATIENCE)
            return ref, asking

        def ask_and_tell(ref):
            with suppress(ActorDeadError):
                while True:
                    ref.ask("work")
                    began.set()
                    ref.tell("more")

        began = threading.Event()
        ref, asking = asyncio.run(main())
        for wait in asking:
            wait()
        assert_dead_to_everyone(ref)


@pytest.mark.parametrize("kind", ["idle", "busy"])
def test_asyncio_run_ends_the_actors_of_a_system_that_nobody_has_left(kind):
    log = []

    async def main():
        system = ActorSystem("s")
        await system.__aenter__()
        refs.append(system.spawn(Life, log))
        await refs[0].ask_async("hello")
        if kind == "busy":
            refs[0].tell(hang)
            await asyncio.sleep(0)

    refs = []
    asyncio.run(main())
    assert not refs[0].is_alive()
    assert log[-1] == "stop"
