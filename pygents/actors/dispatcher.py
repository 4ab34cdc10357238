"""Dispatchers: where an actor's messages are handled.

A dispatcher runs *activations* on an event loop and tells its actors when that loop ends. Never one loop per actor,
unless that is asked for with ``ThreadDispatcher``. They hold no state of their own beyond what their start writes once.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar, Protocol, cast

from pygents.actors.loops import LoopEndedError, LoopThread, Member, background_loop, known_loop

__all__ = ["CallerDispatcher", "Dispatcher", "LoopDispatcher", "ThreadDispatcher", "check_dispatcher"]


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
    def open(cls, name: str = "actor", loop: asyncio.AbstractEventLoop | None = None) -> "Dispatcher":
        """Return the dispatcher for an actor that is started here.

        Args:
            name: for a thread of its own
            loop: the loop of the actor's system, if it has one

        """
        ...

    def add(self, member: Member, lost: Callable[[], object] | None = None) -> None:
        """Have `member` called when the loop ends, or `lost` when it is found closed."""

    def discard(self, member: Member) -> None:
        """Forget a member that has ended."""

    def abandon(self, member: Member) -> None:
        """Forget a member that goes on elsewhere, because the loop is blocked."""

    def schedule(self, activate: Callable[[], None]) -> None:
        """Call `activate` soon, on the loop; from any thread.

        Raises:
            LoopEndedError: if the loop has ended

        """


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
        self._shared = known_loop(loop)

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
    def open(cls, name: str = "actor", loop: asyncio.AbstractEventLoop | None = None) -> "LoopDispatcher":  # noqa: ARG003 (no thread is made for it alone)
        """Return the dispatcher of a system's loop, else of the running loop, else of the background loop.

        Raises:
            LoopEndedError: if the running loop is closing down

        """
        here = asyncio._get_running_loop()  # noqa: SLF001 (documented; None, not an error)
        shared = known_loop(loop or here or background_loop())
        if here is shared.loop:
            shared.watch_for_the_end()
        if cls not in shared.dispatchers:
            shared.dispatchers.setdefault(cls, cls(shared.loop))
        return cast("LoopDispatcher", shared.dispatchers[cls])

    def add(self, member: Member, lost: Callable[[], object] | None = None) -> None:
        """Have `member` called when the loop ends, or `lost` when it is found closed."""
        self._shared.add(member, lost)

    def discard(self, member: Member) -> None:
        """Forget a member that has ended."""
        self._shared.discard(member)

    def abandon(self, member: Member) -> None:
        """Forget a member that goes on elsewhere, because the loop is blocked."""
        self.discard(member)

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
            if not loop.is_closed():  # such as a RecursionError, which is the sender's own
                raise
            raise LoopEndedError(str(error)) from error


class ThreadDispatcher(LoopDispatcher):
    """A loop thread of the actor's own, for tools and handlers that block; it ends with its actor."""

    def __init__(self, thread: "LoopThread") -> None:
        super().__init__(thread.loop)
        self._thread = thread
        thread.loop.call_soon_threadsafe(self._shared.watch_for_the_end)

    @classmethod
    def open(cls, name: str = "actor", loop: asyncio.AbstractEventLoop | None = None) -> "ThreadDispatcher":
        """Start a loop thread and return its dispatcher."""
        return cls(LoopThread(f"pygents-actor-{name}", serves=loop))

    def discard(self, member: Member) -> None:
        """Forget the actor, and let its thread end."""
        super().discard(member)
        self._thread.end()

    def abandon(self, member: Member) -> None:
        """Let the thread end when it can; nobody waits for it."""
        self._thread.serves = None
        super().abandon(member)


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
    def open(cls, name: str = "actor", loop: asyncio.AbstractEventLoop | None = None) -> "CallerDispatcher":  # noqa: ARG003 (no thread is made)
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

    def abandon(self, member: Member) -> None:
        """Do nothing: no loop is the actor's own."""

    def schedule(self, activate: Callable[[], None]) -> None:
        """Call `activate` at once."""
        activate()
