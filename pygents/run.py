"""Run: the consumer's side of a drain, and what becomes of a drain whose consumer goes away.

``break`` in an ``async for`` closes nothing: the iterator is merely dropped. When the generator behind it is collected,
the drain is closed, on the consumer's loop or by the next run, whichever comes first.

Invariant: ``_closing`` is taken by whoever closes a dropped drain; everybody else waits for ``_over``. Both are safe on
any thread, since the garbage collector may call ``drop`` anywhere.
"""

import asyncio
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Self, cast

from pygents.actors.answers import log
from pygents.actors.dispatcher import LoopDispatcher
from pygents.actors.loops import LoopEndedError
from pygents.actors.reply import Reply
from pygents.generators import begin

__all__ = ["Drain", "Run", "drain_of"]

logger = logging.getLogger("pygents")


class Drain:
    """The state of one drain, shared by its consumer and the actor that is drained."""

    def __init__(self) -> None:
        self.active = False
        """Whether it has begun and not ended."""
        self._consumer: weakref.ref[asyncio.Task[Any]] | None = None  # weak: a task may hold the generator
        self._loop: LoopDispatcher | None = None
        self._run: weakref.ref[object] | None = None
        self._generator: weakref.ref[AsyncGenerator[Any]] | None = None
        self._kept: AsyncGenerator[Any] | None = None
        self._closing = threading.Lock()
        self._over: Reply[None] = Reply()
        self._task: asyncio.Task[None] | None = None

    def watch(self, run: object, generator: AsyncGenerator[Any]) -> None:
        """Say what its consumer holds and which generator is behind it, without keeping them alive."""
        self._run = weakref.ref(run)
        self._generator = weakref.ref(generator)

    @property
    def is_mine(self) -> bool:
        """Whether it has been begun by the task that asks."""
        return self._consumer is not None and self._consumer() is asyncio.current_task()

    @property
    def dropped(self) -> bool:
        """Whether its consumer has gone without closing it, so that anybody may close it."""
        if self._kept is not None or self._closing.locked():
            return True
        gone = self._run is None or self._run() is None
        return gone and not getattr(self._find_generator(), "ag_running", False)

    @property
    def lost(self) -> bool:
        """Whether the loop was closed on which it was being closed, so that nobody ever will."""
        return self._closing.locked() and self._loop is not None and self._loop.ended

    def _find_generator(self) -> AsyncGenerator[Any] | None:
        return self._kept or (self._generator() if self._generator is not None else None)

    def begin(self) -> None:
        """Note that it begins, here.

        Raises:
            RuntimeError: if the running loop is closing down

        """
        self._loop = LoopDispatcher.open()
        self._loop.add(self.close)
        self.active = True
        task = asyncio.current_task()
        self._consumer = None if task is None else weakref.ref(task)

    def end(self) -> None:
        """Note that it has ended."""
        self.active = False
        self._consumer = None
        if self._loop is not None:
            self._loop.discard(self.close)
        self._over.set()

    def drop(self, generator: AsyncGenerator[Any]) -> None:
        """Have a generator closed that its consumer has dropped; called when it is collected, on any thread."""
        if not self.active:
            return
        self._kept = generator
        loop = cast("LoopDispatcher", self._loop)
        try:
            loop.schedule(self._close_soon)
        except LoopEndedError:
            loop.discard(self.close)  # the next run closes it, if there is one

    def _close_soon(self) -> None:
        if self.active:
            self._task = asyncio.get_running_loop().create_task(self.close())

    async def close(self) -> None:
        """Close the generator, or wait until whoever does so is done; what it raises is logged."""
        generator = self._find_generator()
        if generator is None or not self._closing.acquire(blocking=False):
            await self._over
            return
        try:
            await generator.aclose()
        except Exception as error:  # noqa: BLE001 (logged)
            log(logging.ERROR, "A run that its consumer had left raised while it was closed:", error=error, to=logger)
        finally:
            self._kept = None


def drain_of(agent: object) -> Drain | None:
    """Return an agent's drain that is on or was last; the agent keeps it, since it may keep the agent."""
    drain: Drain | None = agent.__dict__.get("_drain")
    return drain


class Run[T]:
    """The results of a drain, as an asynchronous iterator."""

    __slots__ = ("__weakref__", "_drain", "_generator")

    def __init__(self, generator: AsyncGenerator[T], drain: Drain) -> None:
        self._generator = generator
        self._drain = drain
        drain.watch(self, generator)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'active' if self._drain.active else 'inactive'}>"

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[T]:
        """Ask for the next result."""
        return anext(self._generator) if self._drain.active else begin(self._generator, self._drain.drop)

    async def aclose(self) -> None:
        """Leave: end what is running and give the mailbox back."""
        await self._generator.aclose()
