"""Virtual time: an event loop whose clock jumps where it would sleep.

It knows neither actors nor any test framework. Names and semantics are those of Akka's ``ManualTime`` and of trio's
``MockClock`` (``autojump_threshold``). A loop asks its selector to wait where it would sleep: that is when virtual time
passes, and so never while anything is ready.
"""

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, override

__all__ = ["Events", "Poll", "VirtualTimeLoop", "advance", "check_seconds", "run"]

type Events = list[tuple[selectors.SelectorKey, int]]
"""What a selector gives: which files are ready, and for what."""
type Poll = Callable[[float | None], Events]
"""Waits so many seconds for files, or for ever."""

_RESOLUTION = 1e-9  # seconds; the system clock's own may be coarse
_CLEAN_UP = 10_000  # timers


class _IdleSelector(selectors.DefaultSelector):
    """Calls `wait`, instead of waiting, with the seconds it was to wait and with what waits."""

    def __init__(self, wait: Callable[[float | None, Poll], Events]) -> None:
        super().__init__()
        self._wait = wait

    @override
    def select(self, timeout: float | None = None) -> Events:
        return self._wait(timeout, super().select)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual seconds, from 0: where it would sleep, time passes at once.

    ``loop.time()`` is virtual, and so are asyncio's sleeps and timeouts; the clocks of ``time`` and ``datetime`` are
    not. While a thread works for the loop (``asyncio.to_thread``), time passes no faster than in reality. When nothing
    can happen, the run ends with a ``RuntimeError`` that says why and which tasks wait.

    Args:
        auto_advance: whether time jumps to the next timer when nothing is ready; if not, it stands still until
            `advance`, and jumps only when ``run_until_complete`` has returned, so that what is left can end
        patience: real seconds to wait for other threads, whenever nothing is ready, before time passes; trio's
            ``autojump_threshold``

    """

    _closed = True  # before it is made: if an argument is refused there is nothing to close

    def __init__(self, *, auto_advance: bool = True, patience: float = 0.0) -> None:
        check_seconds(patience)
        self.auto_advance = auto_advance
        """Whether time jumps to the next timer when nothing is ready; it may be changed at any moment."""
        self._patience = patience
        self._now = 0.0
        self._target = 0.0
        self._jumps_left = math.inf
        self._arrival: asyncio.Future[None] | None = None
        self._jobs: set[asyncio.Future[Any]] = set()
        super().__init__(_IdleSelector(self._wait))
        self._clock_resolution = _RESOLUTION
        self.is_waiting = False
        """Whether it waits for other threads, in real time; who wakes it has it wait anew."""

    @override
    def time(self) -> float:
        return self._now

    @property
    def stands_still(self) -> bool:
        """Whether time does not pass until somebody calls `advance`."""
        return self._arrival is None and not self.auto_advance

    async def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer, and return when nothing is ready any more; Akka's ``ManualTime.timePasses``.

        What a timer makes ready runs before time passes on. ``advance(0)`` runs what can be done now.

        Raises:
            TypeError: if `seconds` is not a number
            ValueError: if it is negative or not finite
            RuntimeError: if another task is advancing time

        """
        check_seconds(seconds)
        if self._arrival is not None:
            raise RuntimeError("another task is advancing virtual time")
        self._target = self._now + seconds
        self._arrival = self.create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    @override
    def run_until_complete[T](self, future: Awaitable[T]) -> T:
        try:
            return super().run_until_complete(future)
        finally:
            self.auto_advance = True

    @override
    def run_in_executor[T, *A](
        self, executor: Executor | None, func: Callable[[*A], T], *args: *A
    ) -> asyncio.Future[T]:
        job = super().run_in_executor(executor, func, *args)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    @override
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self._jobs.add(job := self.create_future())
        try:
            await super().shutdown_default_executor(timeout)
        finally:
            self._jobs.discard(job)

    def _wait(self, timeout: float | None, poll: Poll) -> Events:
        """Do what the loop does at the end of each iteration: look for what has become ready, or else let time pass."""
        due = timeout is not None and timeout < _RESOLUTION / 2  # asyncio will run it now
        return poll(0) if due else self._idle(timeout, poll)

    def _idle(self, timeout: float | None, poll: Poll) -> Events:
        """Let time pass, unless another thread wakes the loop; `timeout` is the seconds until the next timer."""
        seconds = math.inf if timeout is None or self.stands_still else timeout
        if self._arrival is not None:
            seconds = min(seconds, self._target - self._now)
        self.is_waiting = True
        try:
            events = poll(max(self._patience, min(seconds, 86_400) if self._jobs else 0))  # selectors may refuse more
        finally:
            self.is_waiting = False
        if not events:
            self._pass(seconds)
        return events

    def _pass(self, seconds: float) -> None:
        self._jumps_left -= 1
        if self._arrival is None:
            self._check_progress(seconds)
            self._now += seconds
        elif self._now < self._target:
            self._now = min(self._target, self._now + seconds)
        else:  # the timers that are due at the end have run, too
            self._arrival.set_result(None)
        # asyncio takes a timer that is due now for early if now + resolution is still now: it would never run
        self._clock_resolution = max(_RESOLUTION, math.ulp(self._now))

    def _check_progress(self, seconds: float) -> None:
        if seconds == math.inf:
            cause = "virtual time stands still; call advance()" if self.stands_still else "there is no timer"
            raise RuntimeError(f"nothing can happen: {cause}. {self._who_waits()}")
        if self._jumps_left < 0:
            raise RuntimeError(f"the run is over, but some tasks ignore their cancellation. {self._who_waits()}")

    def _who_waits(self) -> str:
        tasks = "".join(f"\n  {task!r}" for task in asyncio.all_tasks(self))
        return f"At {self._now} virtual seconds these wait:{tasks}"

    def give_up_soon(self) -> None:
        """Bear what is left for some timers yet, and then end with a ``RuntimeError``."""
        self._jumps_left = _CLEAN_UP


async def advance(seconds: float) -> None:
    """Let virtual time pass on the running loop: `VirtualTimeLoop.advance`; on another loop, a ``RuntimeError``."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        raise RuntimeError("advance() needs virtual time: run the test with pygents.testing.run()")  # noqa: TRY004
    await loop.advance(seconds)


def run[T](main: Coroutine[Any, Any, T], *, auto_advance: bool = True, patience: float = 0.0) -> T:
    """Run a coroutine on a `VirtualTimeLoop` of its own and return its result, as ``asyncio.run`` does.

    Raises:
        RuntimeError: if nothing can happen, or a task that is left ignores its cancellation for 10,000 timers
        BaseException: what the coroutine raised

    """
    loop = VirtualTimeLoop(auto_advance=auto_advance, patience=patience)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(main)
        finally:
            loop.give_up_soon()


def check_seconds(seconds: object) -> None:
    """Refuse what is no number of seconds that can pass.

    Raises:
        TypeError: if it is no number
        ValueError: if it is negative or not finite

    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"seconds are a number, not {seconds!r}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds are finite and not negative, not {seconds!r}")
