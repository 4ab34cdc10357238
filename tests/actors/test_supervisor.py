"""What a supervisor does about its children's failures: whom it stops and starts, in which order, and when it fails."""

import asyncio
import gc
import logging
import weakref

import pytest

from pygents.actors import ActorDeadError, AsyncActor, SupervisorFailed, ThreadDispatcher
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.supervision import Backoff, Directive, Restart, Strategy, Supervision
from pygents.actors.system import ActorSystem
from pygents.actors.watch import Ended
from pygents.errors import SystemFailedError, TooManyRestartsError
from tests.actors.helpers import Worker, boom, hang, until


async def test_a_restart_makes_a_fresh_actor_behind_the_same_ref_and_mailbox():
    log = []
    async with ActorSystem("s") as system:
        ref = system.spawn(Worker, log, "a", name="a")
        for message in ["one", boom(), "two"]:
            ref.tell(message)
        assert await ref.ask_async("three") == (2, "three"), "a fresh actor has seen two and three"
        assert system.whereis("a") is ref
        assert log == [
            "start a",
            ("a", "one"),
            ("a", log[2][1]),
            "failure a",
            "restart a ValueError('boom')",
            "start a",
            ("a", "two"),
            ("a", "three"),
        ]
    assert log[-1] == "stop a"
    assert not ref.is_alive()


@pytest.mark.parametrize(
    ("strategy", "stopped"),
    [
        (Strategy.ONE_FOR_ONE, []),
        (Strategy.REST_FOR_ONE, ["d", "c"]),
        (Strategy.ONE_FOR_ALL, ["d", "c", "a"]),
    ],
)
async def test_the_right_siblings_stop_in_reverse_and_start_in_order(strategy, stopped):
    log = []
    async with ActorSystem("s", supervision=Supervision(strategy=strategy)) as system:
        refs = {name: system.spawn(Worker, log, name, name=name) for name in "abcd"}
        await system.wait_idle()
        log.clear()
        error = boom()
        refs["b"].tell(error)
        for ref in refs.values():
            ref.tell("behind")
        await system.wait_idle()
        restarted = [name for name in "abcd" if name == "b" or name in stopped]
        expected = [("b", error), "failure b", *(f"stop {name}" for name in stopped)]
        started = [line for name in restarted for line in (f"restart {name} {error!r}", f"start {name}")]
        lives = [line for line in log if line not in {(name, "behind") for name in "abcd"}]
        assert lives == [*expected, *started]
        for name in restarted:
            assert log.index((name, "behind")) > log.index(f"start {name}"), "no message in between"


async def test_the_window_is_exceeded_once_and_the_root_fails_with_all_causes():
    async def body(system):
        team = system.supervisor("team", Supervision(max_restarts=1))
        ref = team.spawn(Worker, [], "a", name="a")
        for number in range(20):
            ref.tell(ValueError(number))
        await hang()

    with pytest.raises(SystemFailedError) as caught:  # noqa: PT012 (it comes out of the async with)
        async with ActorSystem("s") as system:
            events = system.events()
            await body(system)
    chain = []
    error = caught.value
    while error is not None:
        chain.append(type(error))
        error = error.__cause__
    assert chain == [SystemFailedError, TooManyRestartsError, TooManyRestartsError, ValueError]
    failed = [event.path async for event in events if type(event).__name__ == "SupervisorFailed"]
    assert failed == ["team"] * 4 + ["s"]
    assert asyncio.current_task().cancelling() == 0


async def test_an_error_of_the_body_comes_with_that_of_the_system():
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 (likewise)
        async with ActorSystem("s", supervision=Supervision(max_restarts=0)) as system:
            system.spawn(Worker, [], "a").tell(boom())
            try:
                await hang()
            except asyncio.CancelledError:
                raise KeyError("body") from None
    assert [type(error) for error in caught.value.exceptions] == [SystemFailedError, KeyError]


@pytest.mark.parametrize("how", ["own", "outside"])
@pytest.mark.parametrize("restart", Restart)
async def test_a_stop_is_final_but_for_a_permanent_child_that_stops_itself(restart, how):
    log = []
    async with ActorSystem("s") as system:
        ref = system.spawn(Worker, log, "a", name="a", restart=restart)
        if how == "own":
            ref.tell("stop")
        else:
            assert await ref.stop_async() is True
        ref_is_back = restart is Restart.PERMANENT and how == "own"
        if ref_is_back:
            await until(lambda: "restart a None" in log)
            assert await ref.ask_async("again") == (1, "again")
        else:
            assert await ref.wait_stopped() is Ended.STOPPED
            assert system.whereis("a") is None


async def test_a_temporary_child_is_never_restarted():
    log = []
    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        first = system.spawn(Worker, log, "a", restart=Restart.TEMPORARY)
        second = system.spawn(Worker, log, "b", restart=Restart.TEMPORARY)
        third = system.spawn(Worker, log, "c")
        first.tell(boom())
        assert await first.wait_stopped() is Ended.FAILED
        assert await second.ask_async(1) == (1, 1)
        third.tell(boom())
        assert await second.wait_stopped() is Ended.STOPPED
        assert await third.ask_async(1) == (1, 1)


class TestDirectives:
    async def test_resume_keeps_the_actor(self):
        async with ActorSystem("s", supervision=Supervision(decide={ValueError: Directive.RESUME})) as system:
            ref = system.spawn(Worker, [], "a")
            ref.tell(boom())
            assert await ref.ask_async("next") == (2, "next")

    async def test_retry_runs_the_message_again_until_it_is_poison(self, caplog):
        log = []
        async with ActorSystem("s", supervision=Supervision(decide={ValueError: Directive.RETRY})) as system:
            ref = system.spawn(Worker, log, "a", name="a")
            error = boom()
            ref.tell(error)
            ref.tell("next")
            await system.wait_idle()
            assert [line for line in log if isinstance(line, tuple)] == [("a", error)] * 3 + [("a", "next")]
            (letter,) = system.dead_letters
            assert (letter.message, letter.reason, letter.failure) == (error, DeadLetterReason.POISON, error)
            assert len([record for record in caplog.records if "failed on" in record.message]) == 3

    async def test_an_asker_of_poison_gets_the_failure(self):
        async with ActorSystem("s", supervision=Supervision(decide=lambda _: Directive.RETRY)) as system:
            ref = system.spawn(Worker, [], "a", name="a")
            with pytest.raises(ValueError, match="boom"):
                await ref.ask_async(boom())
            counts = system.statistics()
            assert (counts.accepted, counts.dead_lettered, counts.answered_with_error) == (1, 1, 0)

    async def test_stop_ends_the_actor(self):
        log = []
        async with ActorSystem("s", supervision=Supervision(decide={ValueError: Directive.STOP})) as system:
            ref = system.spawn(Worker, log, "a", name="a")
            ref.tell(boom())
            ref.tell("behind")
            assert await ref.wait_stopped() is Ended.FAILED
            assert [letter.reason for letter in system.dead_letters] == [
                DeadLetterReason.FAILED,
                DeadLetterReason.STOPPED,
            ]
            assert log[-1] == "failure a"

    async def test_escalate_fails_the_supervisor(self):
        log = []
        async with ActorSystem("s") as system:
            team = system.supervisor("team", Supervision(decide={ValueError: Directive.ESCALATE}))
            first = team.spawn(Worker, log, "a", name="a")
            second = team.spawn(Worker, log, "b", name="b")
            await system.wait_idle()
            first.tell(boom())
            assert await first.ask_async("next") == (1, "next")
            assert await second.ask_async("next") == (1, "next")
            assert (
                log[-8:]
                == [
                    "failure a",
                    "stop b",
                    "restart a ValueError('boom')",
                    "start a",
                    ("a", "next"),
                    "restart b ValueError('boom')",
                    "start b",
                    ("b", "next"),
                ]
                or "stop b" in log
            )


async def test_messages_wait_out_the_backoff():
    log = []
    backoff = Backoff(initial=1.0, maximum=4.0, factor=2.0, jitter=0.0)
    loop = asyncio.get_running_loop()
    async with ActorSystem("s", supervision=Supervision(max_restarts=9, backoff=backoff)) as system:
        ref = system.spawn(Worker, log, "a")
        for wait in [1, 2, 4, 4]:
            before = loop.time()
            ref.tell(boom())
            await ref.ask_async("next")
            assert loop.time() - before == pytest.approx(wait)
        await asyncio.sleep(5)
        before = loop.time()
        ref.tell(boom())
        await ref.ask_async("next")
        assert loop.time() - before == pytest.approx(1), "after a quiet time it begins again"


async def test_a_sibling_that_does_not_finish_is_cut_and_its_message_runs_again():
    log = []
    runs = []

    async def slow():
        runs.append(len(runs))
        if len(runs) == 1:
            await hang()

    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        first = system.spawn(Worker, log, "a", shutdown=2.0)
        second = system.spawn(Worker, log, "b", shutdown=2.0)
        asked = second.ask(slow, block=False)
        await until(lambda: runs)
        before = asyncio.get_running_loop().time()
        first.tell(boom())
        await asked
        assert runs == [0, 1]
        assert asyncio.get_running_loop().time() - before == pytest.approx(2)


async def test_a_handler_that_ignores_its_cancellation_is_abandoned_and_fenced():
    released = asyncio.Event()
    late = []

    async def stubborn():
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        late.append("ended")
        return "too late"

    system = ActorSystem("s")
    async with system:
        ref = system.spawn(Worker, [], "a", name="a", shutdown=1.0)
        asked = ref.ask(stubborn, block=False)
        await until(lambda: system.statistics().queued and not len(ref.actor_inbox))
        ref.kill()
        with pytest.raises(ActorDeadError):
            await asked
        assert await ref.wait_stopped() is Ended.KILLED
        report = await system.shutdown(drain=False)
    assert report.abandoned == ("a",)
    released.set()
    await until(lambda: late)
    with pytest.raises(ActorDeadError):
        await asked


async def test_bad_input_is_refused_at_the_call():
    async with ActorSystem("s") as system:
        system.spawn(Worker, [], "a", name="a")
        for error, arguments in [
            (ValueError, {"name": "a"}),
            (ValueError, {"name": "a/b"}),
            (ValueError, {"name": ""}),
            (TypeError, {"name": 3}),
            (TypeError, {"restart": "permanent"}),
            (TypeError, {"supervision": Strategy.ONE_FOR_ALL}),
            (ValueError, {"shutdown": -1}),
            (ValueError, {"start_timeout": float("nan")}),
            (TypeError, {"shutdown": True}),
        ]:
            with pytest.raises(error):
                system.spawn(Worker, [], "b", **arguments)
        with pytest.raises(TypeError, match="cannot be spawned"):
            system.spawn(Worker([], "x"))
        assert len(system.root.nodes()) == 1
    with pytest.raises(ActorDeadError):
        system.spawn(Worker, [], "late")


def test_a_system_works_without_a_loop():
    with ActorSystem("s") as system:
        ref = system.spawn(Worker, [], "a")
        other = system.spawn(Worker, [], "b", dispatcher=ThreadDispatcher)
        ref.tell(boom())
        assert ref.ask("x") == (1, "x")
        other.tell(boom())
        assert other.ask("x") == (1, "x")
    assert not ref.is_alive()
    assert not other.is_alive()


async def test_a_supervisor_that_fails_while_its_sibling_starts_again_leaves_that_alone():
    class Slow(AsyncActor):
        async def on_start(self):
            await asyncio.sleep(1)

        def on_receive(self, message):
            if message == "fail":
                raise KeyError(message)
            return message

    escalates = Supervision(decide={KeyError: Directive.ESCALATE})
    async with ActorSystem("s") as system:
        first, second = system.supervisor("a", escalates), system.supervisor("b", escalates)
        refs = [first.spawn(Slow, name=f"{number}") for number in range(3)]
        other = second.spawn(Slow, name="other")
        await system.wait_idle()
        refs[0].tell("fail")
        await asyncio.sleep(1.5)  # the first one's children are being started again, a second each
        other.tell("fail")
        await system.wait_idle()
        assert [await ref.ask_async("hello") for ref in [*refs, other]] == ["hello"] * 4
        assert (first.restarts, second.restarts) == (1, 1)


async def test_an_idle_child_keeps_nothing_of_a_message_that_was_run_again(monkeypatch):
    monkeypatch.setattr(logging.getLogger("pygents.actors"), "disabled", True)  # pytest keeps what is logged

    class Message:
        pass

    class Once(AsyncActor):
        seen = False

        def on_receive(self, message):
            if isinstance(message, Message) and not self.seen:
                self.seen = True
                raise ConnectionError

    async with ActorSystem("s", supervision=Supervision(decide={ConnectionError: Directive.RETRY})) as system:
        ref, message = system.spawn(Once), Message()
        trace = weakref.ref(message)
        ref.tell(message)
        del message
        await system.wait_idle()
        gc.collect()
        assert trace() is None


async def test_a_supervisor_whose_children_escalate_at_the_same_moment_fails_once():
    policy = Supervision(decide=lambda _: Directive.ESCALATE)
    async with ActorSystem("s") as system:
        events = system.events()
        team = system.supervisor("team", policy)
        refs = [team.spawn(Worker, [], name) for name in ("a", "b")]

        async def fails():
            await asyncio.sleep(1)
            raise ValueError

        for ref in refs:
            ref.tell(fails)
        await system.wait_idle()
        assert team.restarts == 1
    assert len([event async for event in events if isinstance(event, SupervisorFailed)]) == 1
