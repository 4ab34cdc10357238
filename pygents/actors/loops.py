"""Event loops that actors live on: who lives there, how its end is noticed, and loop threads of our own.

It knows an actor only as a function that ends it (``Member``).

How a loop's end is noticed: ``asyncio.run`` and ``asyncio.Runner`` close the asynchronous generators that were begun on
their loop, when the main task and all others are over and the loop still runs. Each loop with actors therefore holds
one such generator whose ``finally`` ends the actors, youngest first, as Erlang's supervisors stop their children. A
loop that is closed without that courtesy is noticed at the next message: scheduling on it fails.

Invariants: ``_loops_lock`` guards the table of loops and the background thread. What is known of a loop is there once,
for all dispatchers on it. Its members are added on the thread that starts them and dropped on the loop; the dict
operations are single steps under its lock. Both locks are re-entrant: a finalizer may start or end an actor on a thread
that is inside them. If one starts the first actor while the background loop is being made, there are two such loops.
"""

import asyncio
import atexit
import concurrent.futures
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from pygents.actors.answers import log

__all__ = [
    "KnownLoop",
    "LoopEndedError",
    "LoopThread",
    "Member",
    "background_loop",
    "end_closed_loops",
    "join_ending_threads",
    "known_loop",
    "resolve_from_anywhere",
]


class LoopEndedError(RuntimeError):
    """Raised by a dispatcher whose event loop has ended."""


type Member = Callable[[], Awaitable[None]]
"""What a dispatcher knows of an actor: how to end it when its loop is about to close."""


class KnownLoop:
    """What is known of one event loop, by all dispatchers that use it: who lives on it, who runs it, its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.members: dict[Member, Callable[[], object] | None] = {}
        self.dispatchers: dict[type, object] = {}
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._sentinel: AsyncGenerator[None] | None = None

    @property
    def stranded(self) -> bool:
        """Whether the loop is not running, and it was last run by this thread or by one that has ended."""
        thread = self._thread
        if thread is None or self.loop.is_running() or self.loop.is_closed():
            return False
        return thread is threading.current_thread() or not thread.is_alive()

    def watch_for_the_end(self) -> None:
        """Notice the end of the loop; called on the loop."""
        if self._ended:
            msg = "this event loop is closing down: start actors before it does"
            raise LoopEndedError(msg)
        self._thread = threading.current_thread()
        if self._sentinel is None:
            self._sentinel = self._until_the_end()
            with suppress(StopIteration):  # it runs to its yield without suspending, which registers it with the loop
                self._sentinel.__anext__().send(None)

    async def _until_the_end(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._ended = True
            while members := self.youngest_first():
                for member in members:
                    await _end(member)
                    self.discard(member)

    def youngest_first(self) -> list[Member]:
        """Return who lives here, the youngest first."""
        with self._lock:
            return list(reversed(self.members))

    def add(self, member: Member, lost: Callable[[], object] | None) -> None:
        """Have `member` called when the loop ends, or `lost` when it is found closed."""
        with self._lock:
            self.members[member] = lost

    def discard(self, member: Member) -> Callable[[], object] | None:
        """Forget a member, and return what was to be called had the loop been found closed."""
        with self._lock:
            return self.members.pop(member, None)

    def lose_all(self) -> None:
        """End the actors of a loop that was closed before it could end them."""
        for member in self.youngest_first():
            lost = self.discard(member)
            if lost is not None:
                lost()


async def _end(member: Member) -> None:
    """End an actor; a fault of the machinery must not keep the older ones from their ``on_stop``."""
    try:
        await member()
    except Exception as error:  # noqa: BLE001 (logged)
        log(logging.CRITICAL, "an actor could not be ended with its loop:", error=error)


class LoopThread:
    """A daemon thread that runs one event loop until it is told to end, and then closes it properly.

    Args:
        name: the thread's
        serves: the loop whose system it works for, if it does
        tells_failure: whether what ends the loop before that is shown by the thread, as by any; it is kept anyhow

    """

    def __init__(
        self, name: str, *, serves: asyncio.AbstractEventLoop | None = None, tells_failure: bool = True
    ) -> None:
        self.serves = serves
        """The loop whose system it works for."""
        self.ending = False
        """Whether it has been told to end."""
        self._tells_failure = tells_failure
        self.failure: BaseException | None = None
        """What the loop has ended with, if nobody had told it to: a ``SystemExit`` out of a task, say."""
        self._ended = False
        self._waiting: list[threading.Lock] = []
        self.loop = asyncio.new_event_loop()
        self._over: asyncio.Future[None] = self.loop.create_future()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self.thread.start()
        except BaseException:
            self.loop.close()
            raise
        with _loops_lock:
            _threads.add(self)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(asyncio.wait([self._over]))
        except BaseException as error:
            if not isinstance(error, RuntimeError) or not _exiting.is_set():
                self.failure = error
                if self._tells_failure:
                    raise
            self.loop.close()  # at exit no thread may be started, not even to shut the loop's executor down
        finally:
            with _loops_lock:
                _threads.discard(self)
                _last_steps[:] = [self, *(thread for thread in _last_steps if thread.thread.is_alive())]
            self._ended = True
            for over in list(self._waiting):
                _let_go(over)

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Have work done on the loop, and wait for its end or the loop's, whichever comes first; not on its thread.

        A ``KeyboardInterrupt`` out of the wait leaves the work going on. So the wait is for a bare lock: out of that of
        an event or a future, an interrupt may come with a lock of theirs held, for which the loop's thread would wait.
        """
        over = threading.Lock()
        over.acquire()
        tasks: list[asyncio.Task[object]] = []

        def begin() -> None:
            tasks.append(self.loop.create_task(work))
            tasks[0].add_done_callback(lambda _: _let_go(over))

        self._waiting.append(over)  # before the look whether it has ended, which is said before those here are let go
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(begin)
            if not self._ended:
                over.acquire()
        self._waiting.remove(over)
        if not tasks or not tasks[0].done():
            work.close()

    def end(self) -> None:
        """Let the loop close and the thread end, soon; from any thread."""
        self.ending = True
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)


def _let_go(over: threading.Lock) -> None:
    with suppress(RuntimeError):  # it has been let go already
        over.release()


_loops_lock = threading.RLock()
_loops: dict[asyncio.AbstractEventLoop, KnownLoop] = {}  # a loop stays until it has ended
_threads: set[LoopThread] = set()
_last_steps: list[LoopThread] = []  # those whose loop has ended, and that may live for another moment
_exiting = threading.Event()
_background: LoopThread | None = None

_EXIT_PATIENCE = 5.0  # seconds that the end of the program waits for the actors on loop threads to end
_JOIN_PATIENCE = 1.0  # seconds that the end of a system waits for a thread, which may be blocked for ever


def known_loop(loop: asyncio.AbstractEventLoop) -> KnownLoop:
    """Return what is known of a loop; from now on, it is known."""
    known = _loops.get(loop)
    if known is None:
        end_closed_loops()
        made = KnownLoop(loop)
        with _loops_lock:
            known = _loops.setdefault(loop, made)
    return known


def end_closed_loops() -> None:
    """End the actors of loops that were closed by hand, and forget these loops."""
    with _loops_lock:
        closed = [_loops.pop(loop) for loop in list(_loops) if loop.is_closed()]
    for shared in closed:
        shared.lose_all()


def resolve_from_anywhere(loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[None]") -> None:
    """Wake who waits for a future of the loop, from any thread; a closed loop has nobody left who waits."""
    here = asyncio._get_running_loop() is loop  # noqa: SLF001 (documented; None, not an error)
    if here and asyncio.current_task(loop) is not None:  # a signal handler may run while the loop is asleep
        _resolve(waiter)
        return
    try:
        loop.call_soon_threadsafe(_resolve, waiter)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _resolve(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of the one background thread, which is started if it does not run."""
    global _background  # noqa: PLW0603 (one per process, by ruling)
    with _loops_lock:
        if _background is None or _background.loop.is_closed():
            _background = LoopThread("pygents-background")
            _background.loop.call_soon_threadsafe(known_loop(_background.loop).watch_for_the_end)
        return _background.loop


async def join_ending_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Wait for the threads that were told to end and work for a system on this loop, which goes on meanwhile.

    A thread that is blocked, or whose loop has a task that ignores its cancellation, is left after a second of real
    time.
    """
    with _loops_lock:
        ending = [thread for thread in (*_threads, *_last_steps) if thread.serves is loop and thread.ending]
    if ending:
        with concurrent.futures.ThreadPoolExecutor(1, "pygents-join") as executor:
            await loop.run_in_executor(executor, _join, ending, _JOIN_PATIENCE)


def _join(threads: list[LoopThread], patience: float) -> None:
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.thread.join(max(0.0, deadline - time.monotonic()))


@atexit.register
def _end_threads() -> None:
    """End the actors that live on threads of ours, before the interpreter freezes them."""
    _exiting.set()
    with _loops_lock:
        threads = list(_threads)
    for thread in threads:
        thread.end()
    _join(threads, _EXIT_PATIENCE)


def _start_afresh_in_child() -> None:
    """Forget, in a forked child, the loops and threads that only its parent has: they are closed to it."""
    global _background, _loops_lock  # noqa: PLW0603 (one per process, by ruling)
    _background = None
    _loops_lock = threading.RLock()
    _loops.clear()
    _threads.clear()
    _last_steps.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)
