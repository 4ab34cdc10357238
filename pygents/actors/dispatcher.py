"""Dispatchers: where an actor's messages are handled.

A dispatcher runs *activations* on an event loop and tells its actors when that loop ends. It knows an actor only as a
function that ends it (``Member``). Never one loop per actor, unless that is asked for with ``ThreadDispatcher``.

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
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import ClassVar, Protocol

__all__ = ["CallerDispatcher", "Dispatcher", "LoopDispatcher", "LoopEndedError", "Member", "ThreadDispatcher"]
__all__ += ["check_dispatcher", "end_closed_loops"]


logger = logging.getLogger("pygents.actors")


class LoopEndedError(RuntimeError):
    """Raised by a dispatcher whose event loop has ended."""


type Member = Callable[[], Awaitable[None]]
"""What a dispatcher knows of an actor: how to end it when its loop is about to close."""


class Dispatcher(Protocol):
    """Where an actor's messages are handled."""

    throughput: ClassVar[int]
    """Messages that an actor handles before it lets its peers on the same loop have their turn."""

    wakes_for_messages: ClassVar[bool]
    """Whether an arriving message schedules an activation; if not, somebody drains the actor."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that runs the handlers; None while nobody drains an actor on the caller's dispatcher."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the loop is closed, so that nothing will run any more."""
        ...

    @property
    def stranded(self) -> bool:
        """Whether a wait on this thread would keep the loop from being run ever again."""
        ...

    @classmethod
    def open(cls, name: str = "actor") -> "Dispatcher":
        """Return the dispatcher for an actor that is started here; `name` is for a thread of its own."""
        ...

    def add(self, member: Member, lost: Callable[[], object] | None = None) -> None:
        """Have `member` called when the loop ends, or `lost` when it is found closed."""

    def discard(self, member: Member) -> None:
        """Forget a member that has ended."""

    def schedule(self, activate: Callable[[], None]) -> None:
        """Call `activate` soon, on the loop; from any thread.

        Raises:
            LoopEndedError: if the loop has ended

        """


class _Loop:
    """What is known of one event loop, by all dispatchers that use it: who lives on it, who runs it, its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.members: dict[Member, Callable[[], object] | None] = {}
        self.dispatchers: dict[type[LoopDispatcher], LoopDispatcher] = {}
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
        with self._lock:
            return list(reversed(self.members))

    def add(self, member: Member, lost: Callable[[], object] | None) -> None:
        with self._lock:
            self.members[member] = lost

    def discard(self, member: Member) -> Callable[[], object] | None:
        with self._lock:
            return self.members.pop(member, None)

    def lose_all(self) -> None:
        """End the actors of a loop that was closed before it could end them."""
        for member in self.youngest_first():
            lost = self.discard(member)
            if lost is not None:
                lost()


def check_dispatcher(actor: str, kind: object) -> None:
    """Refuse what is no class of dispatchers.

    Raises:
        TypeError: if it has no `open`
        ValueError: if its `throughput` would let an actor handle nothing

    """
    if not isinstance(kind, type) or not hasattr(kind, "open"):
        msg = f"{actor}.dispatcher is {kind!r}: it must be a dispatcher class, such as ThreadDispatcher"
        raise TypeError(msg)
    throughput = getattr(kind, "throughput", 1)
    if throughput < 1:
        msg = f"{kind.__name__}.throughput is {throughput}: it must be at least 1 message"
        raise ValueError(msg)


class LoopDispatcher:
    """The loop that runs where the actor is started; if none does, one background loop thread shared by all."""

    throughput: ClassVar[int] = 64
    wakes_for_messages: ClassVar[bool] = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._shared = _known(loop)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._shared.members)} actors>"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs the handlers."""
        return self._loop

    @property
    def ended(self) -> bool:
        """Whether the loop is closed, so that nothing will run any more."""
        return self._loop.is_closed()

    @property
    def stranded(self) -> bool:
        """Whether a wait on this thread would keep the loop from being run ever again."""
        return self._shared.stranded

    @classmethod
    def open(cls, name: str = "actor") -> "LoopDispatcher":  # noqa: ARG003 (no thread is made for it alone)
        """Return the dispatcher of the running loop, or of the background loop.

        Raises:
            LoopEndedError: if the running loop is closing down

        """
        loop = asyncio._get_running_loop()  # noqa: SLF001 (documented; None, not an error)
        shared = _known(loop or _background_loop())
        if loop is not None:
            shared.watch_for_the_end()
        if cls not in shared.dispatchers:
            shared.dispatchers.setdefault(cls, cls(shared.loop))
        return shared.dispatchers[cls]

    def add(self, member: Member, lost: Callable[[], object] | None = None) -> None:
        """Have `member` called when the loop ends, or `lost` when it is found closed."""
        self._shared.add(member, lost)

    def discard(self, member: Member) -> None:
        """Forget a member that has ended."""
        self._shared.discard(member)

    def schedule(self, activate: Callable[[], None]) -> None:
        """Call `activate` soon, on the loop; from any thread."""
        loop = self._loop
        try:
            here = asyncio._get_running_loop() is loop  # noqa: SLF001 (documented; None, not an error)
            if here and asyncio.current_task(loop) is not None:  # a signal handler may run while the loop is asleep
                loop.call_soon(activate)
            else:
                loop.call_soon_threadsafe(activate)
        except RuntimeError as error:
            raise LoopEndedError(str(error)) from error


async def _end(member: Member) -> None:
    """End an actor; a fault of the machinery must not keep the older ones from their ``on_stop``."""
    try:
        await member()
    except Exception:
        with suppress(Exception):
            logger.critical("an actor could not be ended with its loop:", exc_info=True)


class ThreadDispatcher(LoopDispatcher):
    """A loop thread of the actor's own, for tools and handlers that block; it ends with its actor."""

    def __init__(self, thread: "_LoopThread") -> None:
        super().__init__(thread.loop)
        self._thread = thread
        thread.loop.call_soon_threadsafe(self._shared.watch_for_the_end)

    @classmethod
    def open(cls, name: str = "actor") -> "ThreadDispatcher":
        """Start a loop thread and return its dispatcher."""
        return cls(_LoopThread(f"pygents-actor-{name}"))

    def discard(self, member: Member) -> None:
        """Forget the actor, and let its thread end."""
        super().discard(member)
        self._thread.end()


class CallerDispatcher:
    """Nobody handles the messages until somebody drains the actor, on a loop of their own choice.

    Only a stop needs nobody: it is carried out on the thread that asks for it.
    """

    throughput: ClassVar[int] = 1
    wakes_for_messages: ClassVar[bool] = False

    __slots__ = ("loop",)

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop of whoever drains the actor now."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'idle' if self.loop is None else 'drained'}>"

    @classmethod
    def open(cls, name: str = "actor") -> "CallerDispatcher":  # noqa: ARG003 (no thread is made)
        """Return a dispatcher for one actor."""
        return cls()

    @property
    def ended(self) -> bool:
        """False: whose loop it is changes with who drains."""
        return False

    @property
    def stranded(self) -> bool:
        """False: anybody may drain the actor, on any thread."""
        return False

    def add(self, member: Member, lost: Callable[[], object] | None = None) -> None:
        """Do nothing: no loop is the actor's own."""

    def discard(self, member: Member) -> None:
        """Do nothing: no loop is the actor's own."""

    def schedule(self, activate: Callable[[], None]) -> None:
        """Call `activate` at once."""
        activate()


class _LoopThread:
    """A daemon thread that runs one event loop until it is told to end, and then closes it properly."""

    def __init__(self, name: str) -> None:
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
        except RuntimeError:
            if not _exiting.is_set():
                raise
            self.loop.close()  # at exit no thread may be started, not even to shut the loop's executor down
        finally:
            with _loops_lock:
                _threads.discard(self)

    def end(self) -> None:
        """Let the loop close and the thread end, soon; from any thread."""
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)


_loops_lock = threading.RLock()
_loops: dict[asyncio.AbstractEventLoop, _Loop] = {}  # a loop stays until it has ended
_threads: set[_LoopThread] = set()
_exiting = threading.Event()
_background: _LoopThread | None = None

_EXIT_PATIENCE = 5.0  # seconds that the end of the program waits for the actors on loop threads to end


def _known(loop: asyncio.AbstractEventLoop) -> _Loop:
    known = _loops.get(loop)
    if known is None:
        end_closed_loops()
        made = _Loop(loop)
        with _loops_lock:
            known = _loops.setdefault(loop, made)
    return known


def end_closed_loops() -> None:
    """End the actors of loops that were closed by hand, and forget these loops."""
    with _loops_lock:
        closed = [_loops.pop(loop) for loop in list(_loops) if loop.is_closed()]
    for shared in closed:
        shared.lose_all()


def _background_loop() -> asyncio.AbstractEventLoop:
    global _background  # noqa: PLW0603 (one per process, by ruling)
    with _loops_lock:
        if _background is None or _background.loop.is_closed():
            _background = _LoopThread("pygents-background")
            _background.loop.call_soon_threadsafe(_known(_background.loop).watch_for_the_end)
        return _background.loop


@atexit.register
def _end_threads() -> None:
    """End the actors that live on threads of ours, before the interpreter freezes them."""
    _exiting.set()
    with _loops_lock:
        threads = list(_threads)
    for thread in threads:
        thread.end()
    deadline = time.monotonic() + _EXIT_PATIENCE
    for thread in threads:
        thread.thread.join(max(0.0, deadline - time.monotonic()))


def _start_afresh_in_child() -> None:
    """Forget, in a forked child, the loops and threads that only its parent has: they are closed to it."""
    global _background, _loops_lock  # noqa: PLW0603 (one per process, by ruling)
    _background = None
    _loops_lock = threading.RLock()
    _loops.clear()
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)
