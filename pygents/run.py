"""Run: the consumer's side of a drain, and what becomes of a drain whose consumer goes away.

``break`` in an ``async for`` closes nothing: the iterator is merely dropped. ``Run.__del__`` notices and has the drain
closed, on the consumer's loop or by the next run, whichever comes first.

Invariant: ``_closing`` is taken by whoever closes a dropped drain; everybody else waits for ``_over``. Both are safe on
any thread, since the garbage collector may call ``__del__`` anywhere.
"""

import asyncio
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Self, cast

from pygents.actors.reply import Reply

__all__ = ["Drain", "Run"]

logger = logging.getLogger("pygents")


class Drain:
    """The state of one drain, shared by its consumer and the actor that is drained."""

    def __init__(self) -> None:
        self.active = False
        """Whether it has begun and not ended."""
        self.consumer: asyncio.Task[Any] | None = None
        """The task that began it."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._generator: weakref.ref[AsyncGenerator[Any]] | None = None
        self._dropped: AsyncGenerator[Any] | None = None
        self._closing = threading.Lock()
        self._over: Reply[None] = Reply()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Note that it begins, here."""
        self.active = True
        self._loop = asyncio.get_running_loop()
        self.consumer = asyncio.current_task()

    def end(self) -> None:
        """Note that it has ended."""
        self.active = False
        self.consumer = None

    def watch(self, generator: AsyncGenerator[Any]) -> None:
        """Say which generator it is, without keeping it alive."""
        self._generator = weakref.ref(generator)

    async def leave(self) -> None:
        """Close the generator, for its own consumer."""
        generator = self._generator() if self._generator is not None else None
        if generator is not None:
            await generator.aclose()

    @property
    def dropped(self) -> bool:
        """Whether its consumer has gone without closing it."""
        return self._dropped is not None

    def drop(self, generator: AsyncGenerator[Any]) -> None:
        """Have a generator closed that its consumer has dropped; from any thread."""
        self._dropped = generator
        try:
            cast("asyncio.AbstractEventLoop", self._loop).call_soon_threadsafe(self._close_soon)
        except RuntimeError:  # the loop is closed: the next run closes the generator
            logger.debug("A run was dropped after its event loop was closed")

    def _close_soon(self) -> None:
        if self.active:
            self._task = asyncio.get_running_loop().create_task(self.close())

    async def close(self) -> None:
        """Close the dropped generator, or wait until whoever does so is done; what it raises is logged."""
        if self._dropped is None or not self._closing.acquire(blocking=False):
            await self._over
            return
        try:
            await self._dropped.aclose()
        except Exception:
            logger.exception("A run that its consumer had left raised while it was closed:")
        finally:
            self._over.set()


class Run[T]:
    """The results of a drain, as an asynchronous iterator."""

    __slots__ = ("__weakref__", "_drain", "_generator")

    def __init__(self, generator: AsyncGenerator[T], drain: Drain) -> None:
        self._generator = generator
        self._drain = drain
        drain.watch(generator)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'active' if self._drain.active else 'inactive'}>"

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[T]:
        """Ask for the next result."""
        return self._generator.__anext__()

    async def aclose(self) -> None:
        """Leave: end what is running and give the mailbox back."""
        await self._generator.aclose()

    def __del__(self) -> None:
        if self._drain.active:
            self._drain.drop(self._generator)
