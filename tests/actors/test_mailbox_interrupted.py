"""The mailbox while a finalizer, a signal handler or a KeyboardInterrupt comes in the midst of what it does."""

from collections import deque

import pytest

from tests.actors.helpers import in_thread
from tests.actors.test_mailbox import STOP, opened


class Interrupted(deque):
    """Items in whose midst another function runs, as a finalizer or signal handler may after any call."""

    interrupt = None

    def append(self, item):
        super().append(item)
        self._be_interrupted()

    def clear(self):
        super().clear()
        self._be_interrupted()

    def _be_interrupted(self):
        interrupt, self.interrupt = self.interrupt, None
        if interrupt is not None:
            interrupt()


INSIDE = {
    "put": lambda mailbox: mailbox.put("inner"),
    "stop": lambda mailbox: mailbox.put_stop(STOP),
    "close": lambda mailbox: mailbox.close(),
    "clear": lambda mailbox: mailbox.clear(),
    "look": lambda mailbox: mailbox.contents(),
}


class TestReentrance:
    """In each test an interruption comes in the midst of a critical section, on the thread that is inside it."""

    @pytest.mark.parametrize("inside", INSIDE)
    @pytest.mark.parametrize("outside", ["put", "put_stop", "put_in_place"])
    def test_putting_wakes_once_and_loses_nothing(self, outside, inside):
        def interrupt():
            result = INSIDE[inside](mailbox)
            if isinstance(result, list):
                elsewhere.extend(result)

        wakes, elsewhere = [], []
        mailbox = opened(lambda: wakes.append("wake"))
        mailbox._items = Interrupted()
        mailbox._items.interrupt = interrupt
        in_thread(lambda: getattr(mailbox, outside)("outer"))()
        left = mailbox.contents()[1]
        if inside == "close":
            assert (elsewhere, left, mailbox.closed) == (["outer"], ["outer"], True)
        else:
            assert ("outer" in left) + ("outer" in elsewhere) == 1
            assert wakes == (["wake"] if outside != "put_in_place" or inside in {"put", "stop"} else [])

    def test_what_is_cleared_goes_to_one_caller(self):
        mailbox = opened(list)
        for item in ["in hand", "queued"]:
            mailbox.put(item)
        mailbox.take()
        mailbox._items = Interrupted(mailbox._items)
        inner = []
        mailbox._items.interrupt = lambda: inner.extend(mailbox.clear())
        assert in_thread(mailbox.clear)() == ["in hand", "queued"]
        assert inner == []

    def test_an_item_that_is_dropped_may_tell_another_mailbox_since_the_lock_is_free_by_then(self):
        class Item:
            def __del__(self):
                free.append(in_thread(lambda: mailbox.contents() and other.put("told") is None)())

        free = []
        mailbox, other = opened(list), opened(list)
        mailbox.put(Item())
        mailbox.close()
        mailbox.forget()
        assert free == [True]

    @pytest.mark.parametrize("way", ["put_in_place", "put_back", "drop", "done", "clear"])
    def test_so_may_one_that_was_replaced_and_has_gone_since(self, way):
        class Item:
            def __del__(self):
                free.append(in_thread(lambda: mailbox.contents() and True)())

        free = []
        mailbox = opened(list)
        mailbox.claim()
        mailbox.hold(Item())
        mailbox.put_in_place("next")
        mailbox.take()
        assert free == []
        mailbox.clear() if way == "clear" else getattr(mailbox, way)("next")
        assert free == [True]


class Interrupts:
    """A lock out of one of whose methods a KeyboardInterrupt comes: when it has done its work, or instead of that."""

    def __init__(self, lock, method, *, done):
        self.lock, self.method, self.done = lock, method, done

    def acquire(self):
        self._call("acquire")

    def release(self):
        self._call("release")

    def _is_owned(self):
        return self.lock._is_owned()

    def _call(self, method):
        if method != self.method:
            getattr(self.lock, method)()
            return
        self.method = None
        if self.done:
            getattr(self.lock, method)()
        raise KeyboardInterrupt


class TestAnInterrupt:
    @pytest.mark.parametrize(("method", "done"), [("acquire", True), ("acquire", False), ("release", True)])
    @pytest.mark.parametrize("verb", ["put", "take"])
    def test_leaves_the_lock_free(self, verb, method, done):
        mailbox = opened(list)
        mailbox.claim()
        lock = mailbox._lock
        mailbox._lock = Interrupts(lock, method, done=done)
        with pytest.raises(KeyboardInterrupt):
            mailbox.put(1) if verb == "put" else mailbox.take()
        mailbox._lock = lock
        assert in_thread(lambda: mailbox.put(2) is None)()

    def test_between_the_claim_and_the_wake_leaves_nobody_asleep(self):
        woken = []
        mailbox = opened(lambda: woken.append(1))
        lock = mailbox._lock
        mailbox._lock = Interrupts(lock, "release", done=True)
        with pytest.raises(KeyboardInterrupt):
            mailbox.put(1)
        mailbox._lock = lock
        assert woken == [1]
        assert mailbox.take() == 1
