"""ActorSystem: where supervised actors live. Akka's system, with the life of an ``asyncio.TaskGroup``.

Invariants:

* ``lock`` guards what many threads change: tables of children, their phases and orders, the windows. It is held for a
  few steps, never while a user's code runs, and it is re-entrant, since a finalizer may stop an actor inside it. In a
  forked child, where neither the loop nor the threads exist, it is refused, and the system is left at once.
* Everything that concerns more than one child runs on ``loop``, as tasks that ``_errands`` keeps until they have ended.
* The system fails once: ``_failure`` goes from None to the failure under the lock.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, override

from pykka import ActorDeadError

from pygents.actors.answers import log
from pygents.actors.body import Body
from pygents.actors.bulletin import Bulletin
from pygents.actors.checks import checked, checked_limit, checked_name
from pygents.actors.child import Child
from pygents.actors.dead_letters import DeadLetter, DeadLetters
from pygents.actors.errands import Errands
from pygents.actors.events import Subscription
from pygents.actors.idleness import wait_until_idle
from pygents.actors.insider import refuse_insiders
from pygents.actors.lifecycle import Event
from pygents.actors.loops import LoopThread
from pygents.actors.process_lock import ProcessLock
from pygents.actors.ref import ActorRef
from pygents.actors.reply import Reply
from pygents.actors.shutdown import Shutdown
from pygents.actors.shutdown_report import ShutdownReport
from pygents.actors.signals import in_place_of_signals
from pygents.actors.spawner import Spawner
from pygents.actors.stalls import Stalls
from pygents.actors.statistics import Statistics
from pygents.actors.supervision import Restart, Supervision
from pygents.actors.supervisor import Supervisor
from pygents.actors.tree import draw
from pygents.errors import SystemFailedError

__all__ = ["ActorSystem"]

_DEAD_LETTERS = 10_000

_IDLE_ADVICE = "it is busy with the very message. Wait for it outside its actors"

_SHUTDOWN_ADVICE = (
    "it has the very message in hand. Let a task of its own do it, asyncio.create_task(system.shutdown()), and do not "
    "wait for that, or use drain=False"
)


class ActorSystem(Spawner):
    """A tree of supervised actors, from ``async with`` (or ``with``, on a loop thread of its own) to its end.

    Leaving it is `shutdown` with ``drain=True``, or with ``drain=False`` if the body raised. When a failure comes up to
    the root, the body is cancelled and `SystemFailedError` comes out, as with ``asyncio.TaskGroup``.

    Args:
        name: for people
        supervision: what is done about failures of the children of the root
        shutdown_timeout: seconds that leaving it waits for queued work at the most; None for no limit
        hook_timeout: seconds that each hook of its agents may take; None for no limit
        stall_after: real seconds after which its event loop, if it stands still, is reported; None for no watchdog

    Raises:
        TypeError: if an argument is of the wrong type
        ValueError: if the name is empty, or a timeout not above zero

    """

    def __init__(
        self,
        name: str,
        *,
        supervision: Supervision | None = None,
        shutdown_timeout: float | None = None,
        hook_timeout: float | None = None,
        stall_after: float | None = 1.0,
    ) -> None:
        self.name = checked_name(name, "a system's name")
        self.lock = ProcessLock(f"the actor system {name!r}")
        self.closed = True
        self._policy = Supervision() if supervision is None else checked("supervision", supervision, Supervision)
        self._shutdown_timeout = checked_limit("shutdown_timeout", shutdown_timeout)
        self.hook_timeout = checked_limit("hook_timeout", hook_timeout)
        """Seconds that each hook of its agents may take; None for no limit."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._root: Supervisor | None = None
        self._thread: LoopThread | None = None
        self._errands = Errands(self)
        self.news = Bulletin()
        self._dead_letters = DeadLetters(_DEAD_LETTERS, self._deliver)
        self._numbers = itertools.count(1)
        self._body = Body()
        self._failure: BaseException | None = None
        self.stalls = Stalls(self, stall_after)
        self._end = Shutdown(self)

    def __repr__(self) -> str:
        state = "not entered" if self._root is None else "closed" if self.closed else "open"
        return f"<{type(self).__name__} {self.name!r} {state}>"

    # Its life.

    async def __aenter__(self) -> Self:
        self._open(asyncio.get_running_loop(), threading.get_ident())
        self._body.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.lock.is_parents:
            return
        error = self._body.leave(error)
        cancelled = await self._leave(error)
        self._raise_failure(error)
        if cancelled is not None:
            raise cancelled

    def __enter__(self) -> Self:
        self._check_not_entered()
        self._thread = LoopThread(f"pygents-system-{self.name}", tells_failure=False)
        self._open(self._thread.loop, self._thread.thread.ident)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.lock.is_parents:
            return
        thread = self._thread
        assert thread is not None  # noqa: S101 (entered)
        try:
            raised = self._leave_on(thread, error)
        finally:
            thread.end()
            thread.thread.join()
        self._failure = self._failure or thread.failure
        self._end.conclude()
        self._raise_failure(raised)
        if raised is not None and raised is not error:
            raise raised

    def _leave_on(self, thread: LoopThread, error: BaseException | None) -> BaseException | None:
        """Shut down on a loop thread, and return what the body has raised, or an interrupt that has come since.

        The first interrupt ends the draining, as a cancellation does; the second kills; the third comes out at once.
        """
        killed = False
        while True:
            try:
                thread.run(self._leave(error))
            except KeyboardInterrupt as interrupt:
                if killed:
                    raise
                if isinstance(error, KeyboardInterrupt):
                    killed = True
                    self.root.kill_all()
                error = interrupt
            else:
                return error

    def _check_not_entered(self) -> None:
        if self._loop is not None:
            msg = f"{self!r} can be entered once: make a new system"
            raise RuntimeError(msg)

    def _open(self, loop: asyncio.AbstractEventLoop, thread: int | None) -> None:
        self._check_not_entered()
        self._loop = loop
        self._root = Supervisor(self, "", self._policy)
        self.closed = False
        self.stalls.start(thread)

    async def _leave(self, error: BaseException | None) -> BaseException | None:
        """Shut down, also when cancelled meanwhile, which ends the draining; return that cancellation."""
        drain = error is None and self._failure is None
        over = self._end.begin(self._shutdown_timeout, drain=drain)
        cancelled: asyncio.CancelledError | None = None
        while not over.done:
            try:
                await over
            except asyncio.CancelledError as again:
                cancelled = again
                self._end.begin(drain=False)
        return cancelled

    def _raise_failure(self, error: BaseException | None) -> None:
        if self._failure is None:
            return
        failed = SystemFailedError(self.name)
        failed.__cause__ = self._failure
        if error is None or isinstance(error, asyncio.CancelledError):  # which stays pending, as in a TaskGroup
            raise failed
        if not isinstance(error, Exception):  # a KeyboardInterrupt goes first
            log(logging.ERROR, "%s", failed, error=failed)
            return
        msg = f"the actor system {self.name!r} failed, and so did the body"
        raise ExceptionGroup(msg, [failed, error])

    async def shutdown(self, *, drain: bool = True, timeout: float | None = None) -> ShutdownReport:
        """Stop every actor, youngest first, and return what was cut. Nothing can be spawned from now on.

        When the system is shutting down already, this can only make it end its draining sooner, and gives its report.

        Args:
            drain: whether queued messages are handled first, and what follows from them; if not, only those in hand
            timeout: seconds that draining may take at the most; None for no limit

        Raises:
            TypeError: if the timeout is no number
            ValueError: if it is not above zero
            RuntimeError: if the system has not been entered
            WouldDeadlockError: if an actor of it would wait in a handler until its own message has been handled

        """
        checked_limit("timeout", timeout)
        self._check_entered()
        if drain:
            refuse_insiders(self, f"{self!r} to handle what is queued", _SHUTDOWN_ADVICE)
        return await self._end.begin(timeout, drain=drain)

    async def serve(self) -> ShutdownReport:
        """Run until SIGINT or SIGTERM comes, and then shut down; a second one kills every actor. On the main thread.

        It returns as well when something else has shut the system down. The former signal handlers are back then.

        Raises:
            RuntimeError: if this is not the main thread, or the system has not been entered

        """
        self._check_entered()
        asked = asyncio.Event()
        over = asyncio.ensure_future(self._end.over.get_async())
        over.add_done_callback(lambda _: asked.set())
        try:
            with in_place_of_signals(lambda: self.root.kill_all() if asked.is_set() else asked.set()):
                await asked.wait()
                return await self.shutdown(timeout=self._shutdown_timeout)
        finally:
            over.cancel()

    # What users do with it, on any thread.

    @property
    def root(self) -> Supervisor:
        """The supervisor at the top.

        Raises:
            RuntimeError: if the system has not been entered

        """
        return self._check_entered()

    def _check_entered(self) -> Supervisor:
        if self._root is None:
            msg = f"{self!r} has not been entered: use it in `async with`, or in `with`"
            raise RuntimeError(msg)
        self.lock.check()
        return self._root

    @override
    def _supervisor_below(self) -> Supervisor:
        return self.root

    def supervisor(
        self, name: str, supervision: Supervision | None = None, *, restart: Restart = Restart.TRANSIENT
    ) -> Supervisor:
        """Return a new supervisor under the root; see `Supervisor.supervisor`."""
        return self.root.supervisor(name, supervision, restart=restart)

    def whereis(self, path: str) -> ActorRef[Any] | None:
        """Return the ref of the actor at a path such as ``"team/writer"``, or None.

        Raises:
            TypeError: if the path is no string

        """
        node = self.root.find(checked("path", path, str).split("/"))
        return node.ref if isinstance(node, Child) else None

    def statistics(self) -> Statistics:
        """Return what has become of all messages that its actors have accepted."""
        return self.root.statistics()

    @property
    def dead_letters(self) -> DeadLetters:
        """The messages that nobody will handle."""
        return self._dead_letters

    def events(self, *, capacity: int = 1_000) -> Subscription[Event]:
        """Return what happens from now on, as an asynchronous iterator; it ends with the system.

        Args:
            capacity: events that wait for the subscriber at the most; beyond, the oldest are lost and counted

        Raises:
            TypeError: if the capacity is no integer
            ValueError: if it is below 1

        """
        self.lock.check()
        return self.news.subscribe(capacity=capacity)

    def tree(self) -> str:
        """Return the tree with the state, queue length and restarts of each actor, for people."""
        return draw(self.name, self.root)

    async def wait_idle(self) -> None:
        """Wait until no actor has anything to do: nothing is queued or in hand, and nothing starts or restarts.

        Raises:
            WouldDeadlockError: if an actor of it would wait in a handler, which it is busy with

        """
        refuse_insiders(self, f"{self!r} to be idle", _IDLE_ADVICE)
        await wait_until_idle(self.root)

    # What its parts use.

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it lives on."""
        assert self._loop is not None  # noqa: S101 (nothing has a system that was not entered)
        return self._loop

    def now(self) -> float:
        """Return the seconds of its loop's clock."""
        return self.loop.time()

    def new_name(self, kind: str) -> str:
        """Return a name for a child that was given none."""
        return f"{kind}-{next(self._numbers)}"

    def adopt(self, child: Child[Any]) -> None:
        """Do nothing: a simulation looks at a child before it starts, and at each fresh actor of it."""

    def bury(self, letter: DeadLetter) -> None:
        """Keep a dead letter."""
        self._dead_letters.record(letter)
        self._end.note_dead(letter)
        self.news.dead_letter(letter)

    def note_abandoned(self, path: str) -> None:
        """Count a handler that ignores its cancellation."""
        self._end.note_abandoned(path)

    def fail(self, failure: BaseException) -> None:
        """End because a failure has come up to the root; on its loop."""
        with self.lock:
            if self._failure is not None:
                return
            self._failure = failure
        self._end.begin(drain=False)
        self._body.cancel()

    async def tasks_done(self) -> None:
        """Wait until nothing that was submitted runs, but for the running task."""
        await self._errands.done()

    def call(self, function: Callable[[], object]) -> None:
        """Call a function soon, on its loop."""
        self.lock.check()
        self.loop.call_soon_threadsafe(function)

    def submit[T](self, work: Callable[[], Awaitable[T]]) -> Reply[T]:
        """Have work done on its loop, and return its outcome to come."""
        return self._errands.submit(work)

    def _deliver(self, path: str, letter: DeadLetter) -> None:
        node = self.root.find(checked("path", path, str).split("/"))
        if not isinstance(node, Child):
            msg = f"{self!r} has no actor at {path!r}"
            raise ActorDeadError(msg)
        node.redeliver(letter)
