"""The watchdog: it gives the alarm back to whoever had it."""

import signal
import threading

import pytest

from pygents.testing.errors import LeftSimulationError
from pygents.testing.watchdog import watched
from tests.actors.helpers import in_thread


class Loop:
    """What the watchdog knows of one."""

    def __init__(self):
        self.steps = 0

    def refuse(self, what, advice):
        raise LeftSimulationError(what, advice)


@pytest.fixture
def alarm():
    """Have the alarm set already, by somebody who has more time than a test takes."""
    rung = []
    former = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    left, interval = signal.setitimer(signal.ITIMER_REAL, 1_000, 7)
    yield rung
    signal.signal(signal.SIGALRM, former)
    signal.setitimer(signal.ITIMER_REAL, left, interval)


def wait_for_ever():
    threading.Event().wait()


def test_wakes_code_that_gives_the_loop_no_turn():
    with pytest.raises(LeftSimulationError, match=r"for 0\.01 real seconds, in \w+, "), watched(Loop(), 0.01):
        wait_for_ever()


def test_leaves_a_loop_alone_that_has_turns(alarm):
    class Busy(Loop):
        @property
        def steps(self):
            self.looked = getattr(self, "looked", 0) + 1
            if self.looked > 10:
                looked_often.set()
            return self.looked

        @steps.setter
        def steps(self, _):
            """Begin."""

    looked_often = threading.Event()
    with watched(Busy(), 0.01):
        looked_often.wait()


def test_gives_the_alarm_back(alarm):
    handler = signal.getsignal(signal.SIGALRM)
    with watched(Loop(), 10):
        assert signal.getsignal(signal.SIGALRM) is not handler
        assert 9 < signal.getitimer(signal.ITIMER_REAL)[0] <= 10
    assert signal.getsignal(signal.SIGALRM) is handler
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 900 < left <= 1_000
    assert interval == 7


@pytest.mark.parametrize("seconds", [None, 500, 10_000])
def test_leaves_the_alarm_alone_that_comes_first_or_if_nobody_is_to_watch(alarm, seconds):
    handler = signal.getsignal(signal.SIGALRM)
    with watched(Loop(), seconds):
        assert signal.getsignal(signal.SIGALRM) is handler


def test_leaves_it_alone_on_another_thread(alarm):
    def look():
        with watched(Loop(), 10):
            return signal.getsignal(signal.SIGALRM)

    assert in_thread(look)() is signal.getsignal(signal.SIGALRM)


def test_leaves_a_handler_alone_that_python_does_not_know(alarm, monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    with watched(Loop(), 10):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900


def test_does_without_where_there_is_no_alarm(monkeypatch):
    monkeypatch.delattr(signal, "setitimer")
    with watched(Loop(), 10):
        pass
