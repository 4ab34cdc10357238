"""Testing actors and agents: a loop on virtual time, a wait until a system rests, and probes that stand in for actors.

It knows nothing of any test framework. Names and semantics are those of Akka's test kit (``TestProbe``,
``ManualTime``) and of trio's ``MockClock`` (``autojump_threshold``). A loop asks its selector to wait where it would
sleep: that is when virtual time passes, and so never while anything is ready.
"""

import asyncio
import math
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, override

from pykka import Future
from pykka._envelope import Envelope
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]

from pygents.actors.actor import AsyncActor
from pygents.actors.answers import answer, fail_reply, show
from pygents.actors.cell import Cell
from pygents.actors.tree import state_of
from pygents.actors.watch import Terminated

if TYPE_CHECKING:
    from pygents.actors.child import Child
    from pygents.actors.ref import ActorRef
    from pygents.actors.system import ActorSystem
    from pygents.actors.watch import Ended

__all__ = ["Probe", "VirtualTimeLoop", "advance", "run", "wait_idle"]

type _Events = list[tuple[selectors.SelectorKey, int]]
type _Poll = Callable[[float | None], _Events]

_RESOLUTION = 1e-9  # seconds; the system clock's own may be coarse
_CLEAN_UP = 10_000  # timers
_ANYTHING = object()


class _IdleSelector(selectors.DefaultSelector):
    """Calls `idle`, instead of waiting, with the seconds it was to wait and with what waits."""

    def __init__(self, idle: Callable[[float | None, _Poll], _Events]) -> None:
        super().__init__()
        self._idle = idle

    @override
    def select(self, timeout: float | None = None) -> _Events:
        due = timeout is not None and timeout < _RESOLUTION / 2  # asyncio will run it now
        return super().select(0) if due else self._idle(timeout, super().select)


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
        _check_seconds(patience)
        self.auto_advance = auto_advance
        """Whether time jumps to the next timer when nothing is ready; it may be changed at any moment."""
        self._patience = patience
        self._now = 0.0
        self._target = 0.0
        self._jumps_left = math.inf
        self._arrival: asyncio.Future[None] | None = None
        self._jobs: set[asyncio.Future[Any]] = set()
        super().__init__(_IdleSelector(self._idle))
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
        _check_seconds(seconds)
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

    def _idle(self, timeout: float | None, poll: _Poll) -> _Events:
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


async def wait_idle(system: "ActorSystem", *, timeout: float = 3.0) -> None:
    """Wait until no actor of a system has anything to do: ``system.wait_idle()``, for a test, which must not hang.

    Args:
        system: the system, which has been entered
        timeout: seconds to wait at the most; while virtual time stands still, until nothing is ready

    Raises:
        AssertionError: if an actor still has something to do; it names these, and has the tree
        TypeError: if `timeout` is not a number
        ValueError: if it is negative or not finite

    """
    _check_seconds(timeout)
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(system.wait_idle())
    try:
        if isinstance(loop, VirtualTimeLoop) and (loop.stands_still or not timeout):
            await loop.advance(0)
            waited = f"at {loop.time()} virtual seconds, where time stands still: advance() it to wait longer"
        else:
            await asyncio.wait([waiting], timeout=timeout)
            waited = f"within {timeout} seconds"
        if waiting.done():
            return waiting.result()
    finally:
        waiting.cancel()
    busy = ", ".join(_doing(child) for child in system.root.all_children() if not child.is_idle)
    raise AssertionError(f"{system!r} was not idle {waited}; busy: {busy}\n{system.tree()}")


def _doing(child: "Child[Any]") -> str:
    in_hand = child.inbox.in_hand
    if in_hand is not None:
        return f"{child.spec.path} with {show(in_hand.message)}"
    return f"{child.spec.path} ({state_of(child)}, {len(child.inbox)} queued)"


class Probe:
    """Stands in for an actor: it keeps what is sent to `ref` until the test expects it; Akka's ``TestProbe``.

    It is made and used on the running loop of its test; `ref` may be told and asked from any thread.
    """

    def __init__(self) -> None:
        asyncio.get_running_loop()
        self._received: deque[Envelope[Any]] = deque()
        self._asked: list[Envelope[Any]] = []
        self._arrived = asyncio.Event()
        self._asker: Future[Any] | None = None
        self.ref: ActorRef[Any] = _ProbeActor.start(self._receive, self._asked)
        """The ref to hand to what is tested."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._received)} messages>"

    async def expect_message(self, expected: object = _ANYTHING, *, timeout: float = 3.0) -> Any:
        """Return the next message, waiting for it if need be. It is taken, also if it is not the expected one.

        Args:
            expected: what it must be equal to; any message will do if left out
            timeout: seconds to wait at the most; while virtual time stands still, until nothing is ready

        Raises:
            AssertionError: if there is none, or it is not equal to `expected`

        """
        waited = await self._wait(timeout, advance_by=0)
        wanted = "a message" if expected is _ANYTHING else show(expected)
        if not self._received:
            raise AssertionError(f"expected {wanted}, but nothing came {waited}")
        envelope = self._received.popleft()
        self._asker = envelope.reply_to
        if expected is not _ANYTHING and envelope.message != expected:
            raise AssertionError(f"expected {wanted}, but {show(envelope.message)} came; {self._queued()}")
        return envelope.message

    async def expect_terminated(self, ref: "ActorRef[Any]", *, timeout: float = 3.0) -> "Ended":
        """Return how an actor has ended that ``await probe.ref.watch(ref)`` has made the probe watch.

        Raises:
            AssertionError: if the next message, within so many seconds, does not say that it has ended

        """
        message = await self.expect_message(timeout=timeout)
        if not isinstance(message, Terminated) or message.ref is not ref:
            raise AssertionError(f"expected the end of {ref}, but {show(message)} came; {self._queued()}")
        return message.reason

    async def expect_no_message(self, *, within: float = 0.1) -> None:
        """Let time pass, and check that nothing comes. Virtual time that stands still is advanced.

        Raises:
            AssertionError: if there is a message, or one comes within so many seconds; it stays queued

        """
        await self._wait(within, advance_by=within)
        if self._received:
            raise AssertionError(f"expected no message within {within} seconds; {self._queued()}")

    def reply(self, value: object) -> None:
        """Answer the message that was taken last.

        Raises:
            RuntimeError: if it was told, not asked, or has been answered, or none was taken

        """
        answer(self._take_asker(), value)

    def fail(self, error: BaseException) -> None:
        """Answer as `reply` does, but with an error, as if a handler had raised it."""
        fail_reply(self._take_asker(), error, self)

    def _receive(self, envelope: Envelope[Any]) -> None:
        self._received.append(envelope)
        self._arrived.set()
        if envelope.reply_to is not None:
            self._asked.append(envelope)

    async def _wait(self, seconds: float, *, advance_by: float) -> str:
        """Wait for a message, and say how long; where waiting would not let time pass, advance it."""
        _check_seconds(seconds)
        loop = asyncio.get_running_loop()
        if not self._received and isinstance(loop, VirtualTimeLoop) and (loop.stands_still or not seconds):
            await loop.advance(advance_by)
            return f"at {loop.time()} virtual seconds, where time stands still: advance() it to wait longer"
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._received:
                    self._arrived.clear()
                    await self._arrived.wait()
        return f"within {seconds} seconds"

    def _queued(self) -> str:
        return f"queued: {', '.join(show(envelope.message) for envelope in self._received) or 'nothing'}"

    def _take_asker(self) -> Future[Any]:
        asker, self._asker = self._asker, None
        if asker is None:
            raise RuntimeError("nobody waits for an answer to the message that was taken last: expect_message() an ask")
        return asker


class _ProbeActor(AsyncActor):
    def __init__(self, receive: Callable[[Envelope[Any]], None], asked: list[Envelope[Any]]) -> None:
        super().__init__()
        self.receive = receive
        self.asked = asked

    def _start_actor_loop(self) -> None:
        _ProbeCell(self).start()


class _ProbeCell(Cell[_ProbeActor]):
    """Leaves the answers to the probe, and at the end answers whoever still waits for one."""

    __slots__ = ()

    @override
    async def handle(self, envelope: Envelope[Any]) -> None:
        if isinstance(envelope.message, _ActorStop):
            await super().handle(envelope)
        else:
            self.actor.receive(envelope)

    @override
    def answer_unhandled(self, envelopes: Sequence[Envelope[Any]]) -> None:
        super().answer_unhandled([*self.actor.asked, *envelopes])


def _check_seconds(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"seconds are a number, not {seconds!r}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds are finite and not negative, not {seconds!r}")
