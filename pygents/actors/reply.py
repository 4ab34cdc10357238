"""Reply: a pykka future that asyncio can await, on any loop, and that never blocks one.

pykka builds ``map``, ``filter``, ``join`` and ``reduce`` on a hook that blocks in ``get()``, and its ``await`` yields
once and then calls ``get()``. Here a future made from others knows its sources and can wait for them either way.

Invariants: ``_lock`` guards the outcome and the list of wake-ups; the outcome is set once; each wake-up that was added
is called once, after the outcome is there and outside the lock, on the thread that set it; if one fails, each is called
again on another thread, which does no harm. The lock is re-entrant, for a finalizer that answers askers on a thread
that is inside it; there is no call between a look at a field and the change that relies on it. A future that is derived
from others has no outcome until somebody asks for it (pykka's lazy semantics); its function runs once, under ``_once``,
and so does a get hook.
"""

# pyright: reportPrivateUsage=false

import _thread
import asyncio
import functools
import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, cast

from pykka import Future, Timeout

from pygents.actors.blocking import wait_on_thread
from pygents.actors.checks import check_timeout
from pygents.actors.deadline import Deadline
from pygents.actors.loops import resolve_from_anywhere
from pygents.actors.own_task import handling
from pygents.actors.wait_graph import Wait, begin_wait

if TYPE_CHECKING:
    from pygents.actors.cell import Cell

__all__ = ["Producer", "Reply"]

type ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

_SLICE = 1.0  # seconds after which who waits for an actor elsewhere looks whether the actor's loop has been closed


class Producer(Protocol):
    """What is going to set a reply."""

    @property
    def serving_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it does so on, if any."""

    def _refuse_to_block(self) -> None:
        """Raise `WouldDeadlockError` if the reply could never come while this thread waits."""

    def _notice_a_closed_loop(self) -> None:
        """Fail the reply if the event loop is closed that was to produce it."""

    def _find_cell(self) -> "Cell[Any] | None":
        """Return what runs the actor that does so, if it is one, and lives."""


class Reply[T](Future[T]):
    """The answer to a message: blocking with `get`, or awaited.

    Args:
        producer: who is going to answer, so that a wait that could never end is refused

    """

    deadline: Deadline | None = None
    """When the message is not worth handling any more that it is the answer to."""

    def __init__(self, producer: Producer | None = None) -> None:
        super().__init__()
        self._producer = producer
        self._lock = threading.RLock()
        self._done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._wakeups: dict[Callable[[], object], None] | None = None
        self._sources: Sequence[Future[Any]] = ()
        self._combine: Callable[[list[Any]], T] | None = None
        self._once: threading.RLock | None = None

    def __repr__(self) -> str:
        if not self._done:
            return f"<{type(self).__name__} pending>"
        return f"<{type(self).__name__} {'failed' if self._error is not None else 'set'}>"

    @classmethod
    def wrap[S](cls, future: Future[S]) -> "Reply[S]":
        """Make any pykka future awaitable without blocking the loop, for instance a ``ThreadingActor``'s answer."""
        return Reply._derived([future], lambda values: cast("S", values[0]))

    @property
    def done(self) -> bool:
        """Whether the outcome is there."""
        return self._done

    def get(self, *, timeout: float | None = None) -> T:
        """Wait for the value, blocking this thread.

        Args:
            timeout: seconds to wait, or None for no limit

        Raises:
            pykka.Timeout: if it took longer
            WouldDeadlockError: if this thread runs the loop that has to produce the value
            AskCycleError: if a handler would wait for an actor that waits for the handler's own
            BaseException: what `set_exception` was given

        """
        check_timeout(timeout)
        if not self._done:
            if (hook := self._get_hook) is not None:
                return self._make_once(lambda: hook(timeout), timeout)
            if self._combine is not None:
                return self._get_derived(timeout)
            self._block(timeout)
        return self._outcome()

    async def get_async(self, *, timeout: float | None = None) -> T:
        """Wait for the value without blocking the loop; `get` with an ``await``.

        Cancelling the wait cancels nothing but the wait.

        Args:
            timeout: seconds to wait, or None for no limit

        Raises:
            pykka.Timeout: if it took longer
            AskCycleError: if a handler would wait for an actor that waits for the handler's own
            BaseException: what `set_exception` was given

        """
        check_timeout(timeout)
        if timeout is None:
            return await self._get_async()
        scope = asyncio.timeout(timeout)
        try:
            async with scope:
                return await self._get_async()
        except TimeoutError:
            if not scope.expired():
                raise
            raise _timed_out(timeout) from None

    def __await__(self) -> Generator[Any, None, T]:
        return self._get_async().__await__()

    __iter__ = __await__

    def set(self, value: T | None = None) -> None:
        """Set the value and wake who waits.

        Raises:
            queue.Full: if there is an outcome or a get hook already, as in pykka

        """
        self._settle(value, None)

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Set an exception as the outcome: the given ``sys.exc_info()`` triple, or the one being handled.

        Raises:
            queue.Full: if there is an outcome or a get hook already, as in pykka

        """
        kind, error, traceback = exc_info if exc_info is not None else sys.exc_info()
        if error is None:
            error = kind() if kind is not None else RuntimeError("set_exception() was called without an exception")
        self._settle(None, error if traceback is None else error.with_traceback(traceback))

    def fail(self, error: BaseException) -> None:
        """Set `error` as the outcome; `set_exception` without the triple."""
        self._settle(None, error)

    def fail_in_child(self, error: BaseException) -> None:
        """Fail in a forked child, where no other thread waits, and none that held the lock exists."""
        self._lock = threading.RLock()
        self._wakeups = None
        if not self._done:
            self._settle(None, error)

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Have `func` produce the value when it is asked for; awaiting runs it on a thread, without a time limit.

        Raises:
            queue.Full: if there is an outcome already, as in pykka

        """
        with self._lock:
            if self._done:
                raise queue.Full
            self._get_hook = func
            self._once = self._once or threading.RLock()

    def map[M](self, func: Callable[[T], M]) -> "Reply[M]":
        """Return a reply with the result of `func` on this one's value."""
        _check(func, "function", good=callable(func))
        return Reply._derived([self], lambda values: func(values[0]))

    def filter[J](self: "Future[Iterable[J]]", func: Callable[[J], bool] | None) -> "Reply[Iterable[J]]":
        """Return a reply with the items of this one's value that `func` is true for, as a list.

        As with the builtin, None keeps the items that are true themselves.
        """
        _check(func, "function", good=func is None or callable(func))
        return Reply._derived([self], lambda values: list(filter(func, values[0])))

    def join(self: "Future[Any]", *futures: Future[Any]) -> "Reply[Iterable[Any]]":
        """Return a reply with a list of this one's value and those of `futures`, of any pykka kind."""
        return Reply._derived([self, *futures], lambda values: cast("Iterable[Any]", values))

    def reduce[R, J](self: "Future[Iterable[J]]", func: Callable[[R, J], R], *args: R) -> "Reply[R]":
        """Return a reply with this one's items folded from the left by `func`, from the optional initial value."""
        _check(func, "function", good=callable(func))
        return Reply._derived([self], lambda values: functools.reduce(func, values[0], *args))

    @staticmethod
    def _derived[S](sources: Sequence[Future[Any]], combine: Callable[[list[Any]], S]) -> "Reply[S]":
        for source in sources:
            _check(source, "pykka future", good=isinstance(cast("object", source), Future))
        reply: Reply[S] = Reply()
        reply._sources = sources
        reply._combine = combine
        reply._once = threading.RLock()
        return reply

    def _settle(self, value: T | None, error: BaseException | None) -> None:
        with self._lock:
            if self._done or self._get_hook is not None or self._combine is not None:
                raise queue.Full
            self._value = value
            self._error = error
            self._traceback = None if error is None else error.__traceback__
            self._done = True
            wakeups, self._wakeups = self._wakeups or {}, None
        try:
            for wake in wakeups:
                wake()
        except BaseException:  # an interrupt, or no room near the recursion limit: nobody must stay asleep
            _thread.start_new_thread(_wake_again, (wakeups,))
            raise

    def _outcome(self) -> T:
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)  # or it would grow with each who is told
        return cast("T", self._value)

    def _add_wakeup(self, wake: Callable[[], object]) -> bool:
        with self._lock:
            if self._done:
                return False
            self._wakeups = self._wakeups or {}
            self._wakeups[wake] = None
            return True

    def _drop_wakeup(self, wake: Callable[[], object]) -> None:
        with self._lock:
            if self._wakeups is not None:
                self._wakeups.pop(wake, None)

    def _block(self, timeout: float | None) -> None:
        if self._producer is not None:
            self._producer._notice_a_closed_loop()
            if timeout is None or timeout > 0:  # a look that takes no time is allowed
                self._producer._refuse_to_block()
        ready = threading.Event()
        if self._add_wakeup(ready.set):
            wait = None
            try:
                if handling.get() is not None and (timeout is None or timeout > 0):
                    wait = self._begin_wait()
                self._wait_in_slices(ready, timeout)
            finally:
                self._drop_wakeup(ready.set)
                if wait is not None:
                    wait.end()

    def _wait_in_slices(self, ready: threading.Event, timeout: float | None) -> None:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not ready.wait(min(_SLICE, deadline - time.monotonic())):
            if time.monotonic() >= deadline:
                raise _timed_out(timeout)
            if self._producer is not None:
                self._producer._notice_a_closed_loop()

    def _get_derived(self, timeout: float | None) -> T:
        deadline = None if timeout is None else time.monotonic() + timeout
        values = [source.get(timeout=_left(deadline)) for source in self._sources]
        combine = cast("Callable[[list[Any]], T]", self._combine)
        return self._make_once(lambda: combine(values), _left(deadline))

    def _make_once(self, make: Callable[[], T], timeout: float | None = None) -> T:
        """Return the value, made by the first who comes. An exception is not kept: the next one tries, as in pykka."""
        once = cast("threading.RLock", self._once)
        if not once.acquire(timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)):
            raise _timed_out(timeout)
        try:
            if not self._done:
                self._value = make()
                self._done = True
            return cast("T", self._value)
        finally:
            once.release()

    async def _get_async(self) -> T:
        if not self._done:
            if self._get_hook is not None:
                return await wait_on_thread(self, Reply())
            if self._combine is not None:
                return await self._combine_async([await _wait(source) for source in self._sources])
            await self._wait_for_outcome()
        return self._outcome()

    async def _combine_async(self, values: list[Any]) -> T:
        once = cast("threading.RLock", self._once)
        if not once.acquire(blocking=False):  # the function is running on another thread
            return await wait_on_thread(self, Reply())
        try:
            combine = cast("Callable[[list[Any]], T]", self._combine)
            return self._make_once(lambda: combine(values))
        finally:
            once.release()

    async def _wait_for_outcome(self) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        elsewhere = self._producer
        if elsewhere is not None and elsewhere.serving_loop in (loop, None):
            elsewhere = None  # this loop would not wait if it were closed

        def wake() -> None:
            resolve_from_anywhere(loop, waiter)

        if self._add_wakeup(wake):
            wait = None
            try:
                if handling.get() is not None:
                    wait = self._begin_wait()
                while elsewhere is not None and not waiter.done():
                    elsewhere._notice_a_closed_loop()
                    await asyncio.wait([waiter], timeout=_SLICE)
                await waiter
            finally:
                if not self._done:
                    self._drop_wakeup(wake)
                if wait is not None:
                    wait.end()

    def _begin_wait(self) -> Wait | None:
        return None if self._producer is None else begin_wait(self, self._producer._find_cell())


def _wake_again(wakeups: Iterable[Callable[[], object]]) -> None:
    for wake in wakeups:
        with suppress(Exception):
            wake()


async def _wait[S](future: Future[S]) -> S:
    return await future.get_async() if isinstance(future, Reply) else await wait_on_thread(future, Reply())


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _check(value: object, kind: str, *, good: bool) -> None:
    if not good:
        msg = f"{value!r} is no {kind}"
        raise TypeError(msg)


def _timed_out(timeout: float | None) -> Timeout:
    return Timeout(f"{timeout} seconds")
