"""A message whose handler was cut is cut, whatever that raises then; if it returns all the same, it is handled."""

import asyncio
import logging

import pytest

from pygents.actors import (
    ActorDeadError,
    ActorFailed,
    AsyncActor,
    DeadLetterReason,
    Directive,
    Ended,
    Statistics,
    Strategy,
    Supervision,
)
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


class Breaks(AsyncActor):
    """Fails in its first two runs of "break", but only when it is cancelled in them; writes down what it does."""

    def __init__(self, log: list, error: BaseException | None = None) -> None:
        super().__init__()
        self._log = log
        self._error = error or ConnectionError("broken while closing")

    async def on_receive(self, message):
        self._log.append(message)
        if message == "break" and self._log.count("break") < 3:
            try:
                await hang()
            except asyncio.CancelledError:
                raise self._error from None
        if message == "kill":
            self.actor_ref.kill()
            raise self._error
        if message == "fail":
            raise ValueError
        return message

    def on_stop(self):
        self._log.append("on_stop")

    def on_failure(self, *failure):
        self._log.append("on_failure")


def dropped(caplog):
    return [(record.getMessage(), record.exc_info[1]) for record in caplog.records if record.exc_info]


POLICIES = {
    "that escalates": Supervision(decide={BaseException: Directive.ESCALATE}),
    "that retries": Supervision(decide={BaseException: Directive.RETRY}),
    "that restarts all": Supervision(strategy=Strategy.ONE_FOR_ALL),
    "that restarts none": Supervision(max_restarts=0),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=list(POLICIES))
class TestAHandlerThatRaisesWhenItIsCut:
    @pytest.mark.parametrize("how", ["killed", "stopped", "shut down"])
    @pytest.mark.parametrize("error", [ConnectionError("late"), SystemExit()], ids=repr)
    async def test_by_its_end_has_failed_nobody(self, how, policy, error, caplog):
        log, others = [], []
        async with ActorSystem("s", supervision=policy) as system:
            events = system.events()
            system.spawn(Breaks, others, name="other")
            ref = system.spawn(Breaks, log, error, name="a", shutdown=1)
            asked = ref.ask("break", block=False)
            await asyncio.sleep(1)
            if how == "killed":
                ref.kill()
            elif how == "stopped":
                await system.root.stop("a")
            else:
                report = await system.shutdown(drain=False)
                assert [letter.reason for letter in report.cut] == [DeadLetterReason.CUT]
            with pytest.raises(ActorDeadError):
                await asked
            assert await ref.wait_stopped() is Ended.KILLED
            (letter,) = system.dead_letters
            assert (letter.message, letter.reason) == ("break", DeadLetterReason.CUT)
            assert system.statistics() == Statistics(accepted=1, dead_lettered=1)
            await system.wait_idle()
            assert others == (["on_stop"] if how == "shut down" else [])
        assert log == ["break"]
        assert dropped(caplog) == [("a was cut on 'break' and raised, which is dropped:", error)]
        assert not any([isinstance(event, ActorFailed) async for event in events])


class TestAHandlerThatRaisesWhenItIsCutForASibling:
    async def test_handles_its_message_again_after_the_restart(self, caplog):
        log, others = [], []
        policy = Supervision(strategy=Strategy.ONE_FOR_ALL, max_restarts=1, decide={ConnectionError: Directive.STOP})
        async with ActorSystem("s", supervision=policy) as system:
            failing = system.spawn(Breaks, others, name="other")
            ref = system.spawn(Breaks, log, name="a", shutdown=1)
            asked, behind = ref.ask("break", block=False), ref.ask("behind", block=False)
            await asyncio.sleep(1)
            failing.tell("fail")
            await asyncio.sleep(5)
            ref.kill()  # in its second run
            with pytest.raises(ActorDeadError):
                await asked
            with pytest.raises(ActorDeadError):
                await behind
        assert log == ["break", "on_stop", "break"]
        assert [text.partition(" on")[0] for text, _ in dropped(caplog)] == ["other failed", "a was cut", "a was cut"]

    async def test_is_poison_after_the_last_attempt(self):
        log = []
        policy = Supervision(strategy=Strategy.ONE_FOR_ALL, max_attempts=2)
        async with ActorSystem("s", supervision=policy) as system:
            failing = system.spawn(Breaks, [], name="other")
            ref = system.spawn(Breaks, log, name="a", shutdown=1)
            ref.tell("break")
            for _ in range(2):
                await asyncio.sleep(1)
                failing.tell("fail")
                await asyncio.sleep(5)
            assert await ref.ask_async("next") == "next"
            letters = [letter for letter in system.dead_letters if letter.recipient == "a"]
            assert [letter.reason for letter in letters] == [DeadLetterReason.POISON]
        assert log == ["break", "on_stop", "break", "on_stop", "next", "on_stop"]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=list(POLICIES))
async def test_an_actor_that_has_itself_killed_and_fails_at_once_fails_on_its_message_and_nothing_follows(policy):
    log, others = [], []
    async with ActorSystem("s", supervision=policy) as system:
        system.spawn(Breaks, others, name="other")
        ref = system.spawn(Breaks, log, name="a")
        ref.tell("kill")
        assert await ref.wait_stopped() is Ended.KILLED
        await system.wait_idle()
        assert [letter.reason for letter in system.dead_letters] == [DeadLetterReason.FAILED]
        assert others == []
    assert log == ["kill"]


class TestOutsideASystem:
    async def test_a_handler_that_raises_when_it_is_killed_has_not_failed(self, caplog):
        log = []
        ref = Breaks.start(log)
        asked = ref.ask("break", block=False)
        await asyncio.sleep(1)
        ref.kill()
        with pytest.raises(ActorDeadError):
            await asked
        assert await ref.wait_stopped() is Ended.KILLED
        assert log == ["break"]
        ((text, _),) = dropped(caplog)
        assert text.endswith("was cut and raised, which is dropped:")

    async def test_no_on_failure_runs_after_a_kill(self, caplog):
        log = []
        ref = Breaks.start(log)
        with caplog.at_level(logging.CRITICAL):
            ref.tell("kill")
            await ref.wait_stopped()
        assert log == ["kill"]


class SlowOnce(AsyncActor):
    """Takes too long to start, or to start again, the first time."""

    def __init__(self, log: list, slow: str) -> None:
        super().__init__()
        self._log = log
        self._slow = slow

    async def come_to(self, place):
        self._log.append(place)
        if place == self._slow and self._log.count(place) == 1:
            await hang()

    async def on_start(self):
        await self.come_to("on_start")

    async def on_restart(self, failure):
        await self.come_to("on_restart")

    def on_receive(self, message):
        if message == "fail":
            raise ValueError
        return message

    def on_stop(self):
        self._log.append("on_stop")

    def on_failure(self, *failure):
        self._log.append("on_failure")


@pytest.mark.parametrize("slow", ["on_start", "on_restart"])
@pytest.mark.parametrize("directive", [Directive.RESTART, Directive.STOP, Directive.ESCALATE], ids=str)
async def test_a_start_that_is_cut_for_a_siblings_restart_has_not_failed(slow, directive, caplog):
    log = []
    policy = Supervision(strategy=Strategy.ONE_FOR_ALL, decide={RuntimeError: directive})
    async with ActorSystem("s", supervision=policy) as system:
        failing = system.spawn(Breaks, [], name="failing")
        ref = system.spawn(SlowOnce, log, slow, name="a", shutdown=1)
        if slow == "on_restart":
            ref.tell("fail")
        await asyncio.sleep(1)
        failing.tell("fail")
        assert await ref.ask_async("next") == "next"
    before = ["on_start", "on_failure"] if slow == "on_restart" else []
    assert log == [*before, slow, "on_stop", "on_restart", "on_start", "on_stop"]
    assert [text for text, _ in dropped(caplog)] == [
        *(["a failed on 'fail':"] if before else []),
        "failing failed on 'fail':",
    ]
