"""A system from its beginning to its end: what it refuses, how it ends, and what becomes of supervisors in it."""

import asyncio
import signal

import pytest

from pygents.actors import (
    ActorDeadError,
    AsyncActor,
    DeadLetterReason,
    DeadLetterRecorded,
    Directive,
    Ended,
    Restart,
    Strategy,
    Supervision,
    ThreadDispatcher,
)
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from tests.actors.helpers import Echo, Life, Worker, boom, hang, messages_of, until


class TestItsLife:
    def test_is_used_when_it_has_been_entered(self):
        system = ActorSystem("s")
        with pytest.raises(RuntimeError, match="has not been entered"):
            system.spawn(Echo)
        assert repr(system) == "<ActorSystem 's' not entered>"

    async def test_says_where_it_is_in_its_life(self):
        system = ActorSystem("s")
        assert repr(system) == "<ActorSystem 's' not entered>"
        async with system:
            assert repr(system) == "<ActorSystem 's' open>"
        assert repr(system) == "<ActorSystem 's' closed>"

    async def test_is_shut_down_when_it_has_been_entered(self):
        with pytest.raises(RuntimeError, match="has not been entered"):
            await ActorSystem("s").shutdown()

    @pytest.mark.parametrize("wrong", [0, -1, "soon"])
    async def test_refuses_to_shut_down_within_what_is_no_time(self, wrong):
        async with ActorSystem("s") as system:
            with pytest.raises((TypeError, ValueError), match=f"timeout must be .*, not {wrong!r}"):
                await system.shutdown(timeout=wrong)
            assert not system.closed
            with pytest.raises(TypeError, match="path must be a str, not 3"):
                system.whereis(3)

    async def test_is_entered_once(self):
        async with ActorSystem("s") as system:
            assert repr(system) == "<ActorSystem 's' open>"
            with pytest.raises(RuntimeError, match="once"):
                await system.__aenter__()

    @pytest.mark.parametrize(
        ("error", "arguments"),
        [
            (TypeError, {"name": 3}),
            (ValueError, {"name": ""}),
            (TypeError, {"name": "s", "supervision": Strategy.ONE_FOR_ALL}),
            (ValueError, {"name": "s", "shutdown_timeout": 0}),
        ],
    )
    def test_refuses_bad_arguments(self, error, arguments):
        with pytest.raises(error):
            ActorSystem(**arguments)

    async def test_waits_for_queued_work_and_what_follows_from_it(self):
        class Sends(AsyncActor):
            async def on_receive(self, message):
                await asyncio.sleep(1)
                seen.append(message)
                if message:
                    self.actor_ref.tell(message - 1)

        seen = []
        async with ActorSystem("s") as system:
            system.spawn(Sends).tell(3)
        assert seen == [3, 2, 1, 0]

    async def test_does_not_wait_longer_than_it_may(self, caplog):
        async with ActorSystem("s", shutdown_timeout=5.0) as system:
            system.spawn(Worker, [], "a", shutdown=1.0).tell(hang)
        assert asyncio.get_running_loop().time() == pytest.approx(6)
        assert messages_of(caplog, "not done within 5.0 seconds")

    async def test_does_not_wait_when_the_body_has_failed(self):
        with pytest.raises(KeyError):  # noqa: PT012 (it comes out of the async with)
            async with ActorSystem("s") as system:
                system.spawn(Worker, [], "a", shutdown=1.0).tell(hang)
                await asyncio.sleep(0)
                raise KeyError
        assert asyncio.get_running_loop().time() == pytest.approx(1)

    def test_fails_at_the_exit_without_a_loop(self):
        system = ActorSystem("s", supervision=Supervision(max_restarts=0))
        with pytest.raises(SystemFailedError), system:  # noqa: PT012 (likewise)
            ref = system.spawn(Worker, [], "a")
            ref.tell(boom())
            assert asyncio.run(ref.wait_stopped()) is Ended.STOPPED

    @pytest.mark.real_time
    @pytest.mark.parametrize("times", [1, 2])
    async def test_serves_until_a_signal_and_kills_at_the_second(self, times):
        async with ActorSystem("s") as system:
            ref = system.spawn(Worker, [], "a")
            serving = asyncio.ensure_future(system.serve())
            await until(lambda: signal.getsignal(signal.SIGTERM) not in {signal.SIG_DFL, signal.SIG_IGN, None})
            if times == 2:
                ref.tell(hang)
                await until(lambda: system.statistics().queued and not len(ref.actor_inbox))
            for _ in range(times):
                signal.raise_signal(signal.SIGTERM)
                await asyncio.sleep(0)
            report = await serving
            assert len(report.cut) == times - 1
            assert await ref.wait_stopped() is (Ended.KILLED if times == 2 else Ended.STOPPED)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    async def test_being_cancelled_while_it_waits_ends_the_waiting(self):
        async def body():
            async with ActorSystem("s") as system:
                refs.append(system.spawn(Worker, [], "a", shutdown=1.0))
                refs[0].tell(hang)

        refs = []
        task = asyncio.ensure_future(body())
        await asyncio.sleep(10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not refs[0].is_alive()
        assert asyncio.get_running_loop().time() == pytest.approx(11)


class TestKill:
    @pytest.mark.parametrize("busy", [True, False])
    async def test_ends_an_actor_without_a_supervisor(self, busy):
        log = []
        ref = Life.start(log)
        await ref.ask_async("hello")
        if busy:
            ref.tell(hang)
            await until(lambda: hang in log)
            behind = ref.ask("behind", block=False)
        ref.kill()
        ref.kill()
        assert await ref.wait_stopped() is Ended.KILLED
        assert not ref.is_alive()
        assert "stop" not in log
        if busy:
            with pytest.raises(ActorDeadError):
                await behind

    async def test_ends_children_too(self):
        class Parent(Worker):
            def on_start(self):
                self.spawn(Worker, log, "child", name="child")

        log = []
        async with ActorSystem("s") as system:
            ref = system.spawn(Parent, log, "p", name="p")
            await system.wait_idle()
            child = system.whereis("p/child")
            child.tell(hang)
            await until(lambda: ("child", hang) in log)
            ref.kill()
            assert await ref.wait_stopped() is Ended.KILLED
            assert await child.wait_stopped() is Ended.KILLED
            assert system.whereis("p/child") is None

    async def test_watching_needs_an_actor_of_ours(self):
        ref = Echo.start()
        with pytest.raises(TypeError, match="can be watched"):
            await ref.watch("nobody")
        assert await Echo().actor_ref.wait_stopped() is Ended.STOPPED


class TestSupervisorsInASystem:
    @pytest.mark.parametrize("directive", [Directive.STOP, Directive.ESCALATE, Directive.RESTART])
    @pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
    async def test_a_supervisors_failure_is_decided_above(self, directive, restart):
        log = []
        async with ActorSystem("s") as system:
            top = system.supervisor("top", Supervision(decide={Exception: directive}))
            team = top.supervisor("team", Supervision(max_restarts=0), restart=restart)
            other = top.spawn(Worker, log, "other", name="other")
            ref = team.spawn(Worker, log, "a", name="a")
            ref.tell(boom())
            await system.wait_idle()
            await asyncio.sleep(1)
            gone = directive is Directive.STOP or (directive is Directive.RESTART and restart is Restart.TEMPORARY)
            if directive is Directive.ESCALATE:
                gone = restart is Restart.TEMPORARY  # it goes when the one above it is started again
            assert (system.whereis("top/team/a") is None) is gone
            assert ref.is_alive() is not gone
            assert await other.ask_async(1)

    async def test_a_group_has_supervisors_in_it(self):
        log = []
        async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
            team = system.supervisor("team")
            inner = team.supervisor("inner")
            first, second = inner.spawn(Worker, log, "a", name="a"), system.spawn(Worker, log, "b", name="b")
            temporary = system.supervisor("temporary", restart=Restart.TEMPORARY)
            third = temporary.spawn(Worker, log, "c", name="c")
            await system.wait_idle()
            second.tell(boom())
            assert await second.ask_async(1) == (1, 1)
            assert await first.ask_async(1) == (1, 1)
            assert await third.wait_stopped() is Ended.STOPPED
            assert "team [one_for_one, 1 restart]" in system.tree()
            assert [line for line in log if line in {"stop c", "failure b", "stop a"}] == [
                "failure b",
                "stop c",
                "stop a",
            ]

    async def test_a_child_is_stopped_by_its_name(self):
        async with ActorSystem("s") as system:
            team = system.supervisor("team")
            ref = team.spawn(Worker, [], "a", name="a")
            assert await team.stop("a") is True
            assert await team.stop("a") is False
            assert await ref.wait_stopped() is Ended.STOPPED
            assert await system.root.stop("team") is True
            with pytest.raises(ActorDeadError, match="takes no more children"):
                team.spawn(Worker, [], "late")
            assert repr(system.root) == "<Supervisor 's' with 0 children>"

    async def test_a_constructor_that_fails_leaves_nothing_behind(self):
        class Breaks(Worker):
            def __init__(self):
                super().__init__([], "x")
                given.append(self.actor_ref)
                raise ValueError("constructor")

        given = []
        async with ActorSystem("s") as system:
            with pytest.raises(ValueError, match="constructor"):
                system.spawn(Breaks)
            assert not given[0].is_alive()
            assert system.root.nodes() == []

    async def test_a_fresh_constructor_that_fails_is_a_failure(self):
        class Breaks(Worker):
            def __init__(self):
                super().__init__(log, "x")
                made.append(self)
                if len(made) == 2:
                    raise ValueError("second")

        log, made = [], []
        async with ActorSystem("s") as system:
            ref = system.spawn(Breaks)
            ref.tell(boom())
            assert await ref.ask_async(1) == (1, 1)
            assert len(made) == 3
            assert log.count("failure x") == 1, "the second one never was"

    async def test_an_actor_without_a_supervisor_has_no_children(self):
        class Parent(Echo):
            def on_receive(self, message):
                self.spawn(Echo)

        with pytest.raises(RuntimeError, match="has no supervisor"):
            await Parent.start().ask_async("spawn")

    async def test_a_handler_that_ignores_a_siblings_restart_is_abandoned_and_its_actor_goes_on(self):
        released = asyncio.Event()
        runs = []

        async def stubborn():
            runs.append(1)
            while len(runs) == 1 and not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue

        async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
            first = system.spawn(Worker, [], "a", name="a", shutdown=1.0)
            second = system.spawn(Worker, [], "b", name="b", shutdown=1.0)
            second.tell(stubborn)
            await until(lambda: runs)
            first.tell(boom())
            assert await second.ask_async("next") == (2, "next")
            assert len(runs) == 2, "it was run again"
            report_later = system
            released.set()
            await asyncio.sleep(0)
        assert (await report_later.shutdown()).abandoned == ("b",)

    async def test_on_stop_that_ignores_its_cancellation_is_abandoned(self):
        class Stubborn(Worker):
            async def on_stop(self):
                while not released.is_set():
                    try:
                        await released.wait()
                    except asyncio.CancelledError:
                        continue

        released = asyncio.Event()
        system = ActorSystem("s")
        async with system:
            system.spawn(Stubborn, [], "a", name="a", shutdown=1.0)
        assert (await system.shutdown()).abandoned[0].startswith("a")
        released.set()


class TestDeadLettersAndEvents:
    async def test_a_letter_is_sent_again_by_path(self):
        log = []
        async with ActorSystem("s") as system:
            events = system.events()
            ref = system.spawn(Worker, log, "a", name="a")
            other = system.spawn(Worker, log, "b", name="b")
            error = boom()
            ref.tell(error)
            await system.wait_idle()
            (letter,) = system.dead_letters.where(reason=DeadLetterReason.FAILED)
            system.dead_letters.redrive(letter, to="b")
            await system.wait_idle()
            assert ("b", error) in log
            (letter,) = system.dead_letters
            assert letter.recipient == "b"
            other.kill()
            await other.wait_stopped()
            with pytest.raises(ActorDeadError, match="no actor at 'b'"):
                system.dead_letters.redrive(letter)
        kinds = [type(event).__name__ async for event in events]
        assert kinds.count("DeadLetterRecorded") == 2
        assert {"ActorStarted", "ActorFailed", "ActorRestarted", "ActorStopped"} <= set(kinds)
        assert DeadLetterRecorded.__name__ in kinds


def test_a_thread_of_its_own_ends_with_its_child():
    with ActorSystem("s") as system:
        ref = system.spawn(Worker, [], "a", dispatcher=ThreadDispatcher)
        assert ref.ask("x") == (1, "x")
        ref.kill()
        assert asyncio.run(ref.wait_stopped()) is Ended.KILLED
