"""The life of an actor: its hooks, what its handlers may be, whose context they run in, and how it shares its loop."""

import asyncio
import threading
from contextvars import ContextVar

import pykka
import pytest
from pykka import ActorRegistry

from pygents.actors import ActorDeadError, ActorRef, AsyncActor, LoopDispatcher
from pygents.actors.running import running
from tests.actors.helpers import Echo, Life, cell_of, messages_of, until, until_idle


class AsyncLife(Life):
    """The same, with hooks that suspend."""

    async def on_start(self):
        await asyncio.sleep(0)
        super().on_start()

    async def on_stop(self):
        await asyncio.sleep(0)
        super().on_stop()

    async def on_failure(self, *args):
        await asyncio.sleep(0)
        super().on_failure(*args)


class PlainLife(Life):
    """The same, with a plain handler."""

    def on_receive(self, message):
        self._log.append(message)
        if isinstance(message, BaseException):
            raise message
        return message


kinds = pytest.mark.parametrize("kind", [Life, AsyncLife, PlainLife])


@kinds
class TestHooks:
    async def test_run_around_the_messages(self, kind):
        log = []
        ref = kind.start(log)
        assert await ref.ask_async(1) == 1
        assert await ref.stop_async() is True
        assert log == ["start", 1, "stop"]

    async def test_on_failure_runs_instead_of_on_stop(self, kind, caplog):
        log = []
        ref = kind.start(log)
        error = KeyError("gone")
        ref.tell(error)
        ref.tell("behind it")
        await until_idle(ref)
        await until(lambda: ("failure", error) in log)
        assert log == ["start", error, ("failure", error)]
        assert not ref.is_alive()
        assert messages_of(caplog, "Unhandled exception") == [f"Unhandled exception in {ref}, which stops:"]

    async def test_a_failed_ask_is_the_askers_alone(self, kind, caplog):
        caplog.set_level("INFO", "pygents.actors")
        log = []
        ref = kind.start(log)
        error = KeyError("gone")
        with pytest.raises(KeyError) as caught:
            await ref.ask_async(error)
        assert caught.value is error
        assert await ref.ask_async(1) == 1
        assert log == ["start", error, 1]
        assert messages_of(caplog, "returned") == [f"Exception returned from {ref} to caller:"]

    async def test_the_actor_is_started_and_registered_when_on_start_runs(self, kind):
        class Looks(kind):
            def on_start(self):
                registered.append(self.actor_ref in ActorRegistry.get_all())

        registered = []
        await Looks.start([]).ask_async(1)
        assert registered == [True]


class TestOnStart:
    async def test_runs_before_the_first_message_even_if_it_suspends(self):
        class Slow(Life):
            async def on_start(self):
                await opened.wait()
                self._log.append("start")

        opened = asyncio.Event()
        log = []
        ref = Slow.start(log)
        reply = ref.ask(1, block=False)
        await asyncio.sleep(0)
        assert log == []
        opened.set()
        assert await reply == 1
        assert log == ["start", 1]

    async def test_runs_without_a_message(self):
        log = []
        ref = Life.start(log)
        await until_idle(ref)
        assert log == ["start"]

    async def test_nothing_is_scheduled_for_an_actor_without_one(self):
        ref = Echo.start()
        assert not ref.actor_inbox.claimed
        assert await ref.ask_async(1) == 1

    async def test_of_the_instance_is_run_too(self):
        class Own(AsyncActor):
            def __init__(self):
                super().__init__()
                self.on_start = lambda: log.append("start")

        log = []
        await Own.start().ask_async(1)
        assert log == ["start"]

    async def test_that_fails_is_logged_once(self, caplog):
        class Fails(AsyncActor):
            def on_start(self):
                raise KeyError("gone")

        ref = Fails.start()
        await until_idle(ref)
        assert messages_of(caplog, str(ref)) == [f"Unhandled exception in {ref}, which stops:"]


class TestHandlers:
    async def test_may_be_coroutine_functions_that_never_suspend(self):
        class Ready(AsyncActor):
            async def on_receive(self, message):
                return message

        assert await Ready.start().ask_async(1) == 1

    async def test_an_awaitable_that_is_no_coroutine_is_the_answer_itself(self):
        answer = asyncio.get_running_loop().create_future()

        class Lends(AsyncActor):
            def on_receive(self, message):
                return answer

        assert await Lends.start().ask_async(1) is answer

    async def test_the_default_one_logs_the_message_as_pykkas_does(self, caplog):
        ref = AsyncActor.start()
        assert await ref.ask_async("what?") is None
        assert messages_of(caplog, "Unexpected message") == [f"Unexpected message received by {ref}: what?"]

    async def test_may_start_children_on_the_same_loop(self):
        class Parent(AsyncActor):
            async def on_receive(self, message):
                self._child = Echo.start()
                assert await self._child.ask_async(message) == message
                return self._child

        child = await Parent.start().ask_async("hello")
        assert isinstance(child, ActorRef)
        assert child.serving_loop is asyncio.get_running_loop()

    async def test_may_wait_for_each_other(self):
        class Doubles(AsyncActor):
            async def on_receive(self, message):
                other, number = message
                return number if other is None else 2 * await other.ask_async((None, number))

        assert await Doubles.start().ask_async((Doubles.start(), 4)) == 8

    async def test_use_a_timeout_without_being_taken_for_cancelled(self):
        class Patient(AsyncActor):
            async def on_receive(self, message):
                try:
                    async with asyncio.timeout(5):
                        await asyncio.Event().wait()
                except TimeoutError:
                    return "gave up"

        ref = Patient.start()
        assert [await ref.ask_async(1), await ref.ask_async(2)] == ["gave up"] * 2
        assert ref.is_alive()

    async def test_know_who_runs_them(self):
        class Asks(AsyncActor):
            async def on_receive(self, message):
                return running.get()

        ref = Asks.start()
        assert await ref.ask_async(1) is ref
        assert running.get() is None


colour = ContextVar("colour", default="none")


class Painter(AsyncActor):
    def on_start(self):
        self._token = colour.set(f"{colour.get()}, primed")

    async def on_receive(self, message):
        if message is not None:
            colour.set(message)
        return colour.get()

    def on_stop(self):
        self.last = colour.get()
        colour.reset(self._token)


class TestContextVariables:
    async def test_are_the_starters_and_not_the_senders(self):
        colour.set("red")
        ref = Painter.start()
        colour.set("blue")
        assert await ref.ask_async(None) == "red, primed"
        assert await asyncio.create_task(ref.ask_async(None)) == "red, primed"

    async def test_are_kept_from_message_to_message_and_leak_nowhere(self):
        first, second = Painter.start(), Painter.start()
        assert await first.ask_async("green") == "green"
        assert await first.ask_async(None) == "green"
        assert await second.ask_async(None) == "none, primed"
        assert colour.get() == "none"

    async def test_that_on_start_has_set_are_there_in_on_stop(self, caplog):
        ref = Painter.start()
        actor = ref._actor_weakref()
        await ref.stop_async()
        assert actor.last == "none, primed"
        assert caplog.records == []

    def test_that_on_start_has_set_are_there_in_on_stop_when_the_loop_ends_it(self, caplog):
        async def main():
            ref = Painter.start()
            await ref.ask_async("green")
            return ref._actor_weakref()

        assert asyncio.run(main()).last == "green"
        assert messages_of(caplog, "on_stop") == []


class TestSharingALoop:
    async def test_a_busy_actor_lets_its_peers_have_their_turn(self):
        class Notes(AsyncActor):
            async def on_receive(self, message):
                turns.append(message)

        turns = []
        first, second = Notes.start(), Notes.start()
        fair = LoopDispatcher.throughput
        for name, ref in [("a", first), ("b", second)]:
            for _ in range(2 * fair):
                ref.tell(name)
        await until_idle(first, second)
        assert turns == ["a"] * fair + ["b"] * fair + ["a"] * fair + ["b"] * fair

    async def test_an_endless_conversation_with_oneself_does_not_starve_the_loop(self):
        class Endless(AsyncActor):
            def on_receive(self, message):
                self.actor_ref.tell(message)

        ref = Endless.start()
        ref.tell("again")
        for _ in range(10):
            await asyncio.sleep(0)
        assert await ref.stop_async() is True

    async def test_an_idle_actor_is_memory_only(self):
        threads = threading.active_count()
        refs = [Life.start([]) for _ in range(10)]
        for ref in refs:
            await ref.ask_async("woken once")
        await until_idle(*refs)
        loop = asyncio.get_running_loop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert loop._scheduled == []
        assert threading.active_count() == threads
        assert [cell_of(ref).activation for ref in refs] == [None] * 10


class TestTheClass:
    def test_adds_no_public_attribute_that_a_subclass_would_want_for_itself(self):
        public = {name for name in dir(AsyncActor()) if not name.startswith("_")}
        assert public - set(dir(pykka.ThreadingActor())) == {"dispatcher", "on_restart", "spawn", "supervision"}

    def test_and_its_actors_have_nothing_that_pykkas_have_not(self):
        """A name of ours could be one of a subclass's own, and one would break the other."""
        ours, pykkas = Echo.start()._actor_weakref(), pykka.ThreadingActor()
        assert set(vars(ours)) == set(vars(pykkas))
        assert set(dir(AsyncActor)) - set(dir(pykka.ThreadingActor)) == {
            *("_construct", "_construct_again", "_supervisor_below"),
            *("dispatcher", "on_restart", "spawn", "supervision"),
        }

    async def test_may_be_given_any_name_by_a_subclass(self):
        class Busy(AsyncActor):
            def __init__(self):
                super().__init__()
                for name in names:
                    setattr(self, name, None)

            async def on_receive(self, message):
                return await self._work(message)

            async def _work(self, message):
                return 2 * message

            _handle = _begin = _end = _fail = _wake = _activate = _lose_loop = None

        names = ["_context", "_started", "_ending", "_activation", "_dispatcher", "_cell", "dispatcher"]
        ref = Busy.start()
        assert await ref.ask_async(3, timeout=5) == 6
        assert await ref.stop_async(timeout=5) is True

    def test_whose_constructor_forgets_pykkas_says_so(self):
        class Forgets(AsyncActor):
            def __init__(self):
                self.total = 0

        with pytest.raises(RuntimeError, match=r"Forgets\.__init__\(\) must call super\(\)\.__init__\(\) first"):
            Forgets.start()

    def test_whose_handler_is_a_generator_is_refused_at_the_start(self):
        class Yields(AsyncActor):
            async def on_receive(self, message):
                yield message

        with pytest.raises(TypeError, match=r"Yields\.on_receive is an async generator function"):
            Yields.start()

    def test_takes_arguments_as_pykkas_does(self):
        class Named(AsyncActor):
            def __init__(self, name, *, size):
                super().__init__(name, size=size)
                self.pair = (name, size)

        assert Named.start("a", size=3).proxy().pair.get() == ("a", 3)

    def test_a_ref_that_a_failing_constructor_has_given_away_is_dead(self):
        class Broken(AsyncActor):
            def __init__(self):
                super().__init__()
                given.append(self.actor_ref)
                given.append(self.actor_ref.ask(1, block=False))
                given.append(Echo.start())
                raise KeyError("broken")

        given = []
        with pytest.raises(KeyError, match="broken"):
            Broken.start()
        ref, reply, child = given
        with pytest.raises(ActorDeadError):
            reply.get(timeout=0)
        with pytest.raises(ActorDeadError):
            ref.tell("late")
        assert not ref.is_alive()
        assert child.ask(1) == 1, "it was started"

    def test_a_constructor_that_fails_leaves_nothing_behind(self):
        class Broken(AsyncActor):
            def __init__(self):
                super().__init__()
                raise KeyError("broken")

        with pytest.raises(KeyError):
            Broken.start()
        assert ActorRegistry.get_all() == []
