"""The flag that says whether an actor has stopped: pykka's event, made only when somebody waits."""

import sys
import threading

import pytest

from pygents.actors import flag
from pygents.actors.flag import Flag
from tests.actors.helpers import PATIENCE, Echo, in_thread


def test_it_is_an_event_that_is_set_once():
    stopped = Flag()
    assert isinstance(stopped, threading.Event)
    assert (stopped.is_set(), repr(stopped)) == (False, "<Flag unset>")
    assert stopped.wait(0) is False
    stopped.set()
    stopped.set()
    assert (stopped.is_set(), repr(stopped)) == (True, "<Flag set>")
    assert stopped.wait() is True


def test_it_is_every_actors():
    ref = Echo.start()
    assert isinstance(ref.actor_stopped, Flag)
    assert ref.actor_stopped is ref._actor_weakref().actor_stopped
    assert ref.actor_stopped.wait(0) is False
    waiting = in_thread(ref.actor_stopped.wait)
    ref.stop()
    assert waiting() is True


def test_it_cannot_be_cleared():
    with pytest.raises(RuntimeError, match="cannot be made alive again: start a new one"):
        Flag().clear()


def test_it_makes_no_event_until_somebody_waits(monkeypatch):
    made = []
    real = threading.Event
    monkeypatch.setattr(threading, "Event", lambda: made.append(1) or real())
    stopped = Flag()
    stopped.is_set()
    stopped.set()
    assert made == []
    assert stopped.wait() is True
    assert stopped.wait() is True
    assert made == [1]


def test_no_one_who_waits_misses_it():
    rounds, waiters = 200, 3
    flags = [Flag() for _ in range(rounds)]
    barrier = threading.Barrier(waiters + 1)

    def wait():
        seen = 0
        for stopped in flags:
            barrier.wait(PATIENCE)
            seen += stopped.wait(PATIENCE)
        return seen

    def set_all():
        for stopped in flags:
            barrier.wait(PATIENCE)
            stopped.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        running = [*(in_thread(wait) for _ in range(waiters)), in_thread(set_all)]
        assert [done() for done in running] == [rounds] * waiters + [None]
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("same", [True, False])
def test_a_finalizer_may_set_it_in_the_middle_of_a_wait(monkeypatch, same):
    """The garbage collector may end an actor on a thread that is just about to wait for one."""

    def collect():
        (waited if same else other).set()
        return real()

    real = threading.Event
    waited, other = Flag(), Flag()
    monkeypatch.setattr(flag, "_lock", type(flag._lock)())
    monkeypatch.setattr(threading, "Event", lambda: collect() if threading.current_thread().daemon else real())
    waiting = in_thread(lambda: waited.wait(0))
    assert waiting() is same
