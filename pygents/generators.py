"""Asynchronous generators that somebody of ours closes, and not asyncio.

asyncio learns of every generator that is begun on its loop: it closes all of them at once when the loop ends, in any
order, and each one when it is collected. In a chain (a run, its turn, the tool, its function) each member closes the
one inside it, and must find it as it left it. So they are begun with hooks of our own.
"""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

__all__ = ["begin", "only"]


def _closed_by_its_owner(_: AsyncGenerator[Any]) -> None:
    """Do nothing with a generator that is collected: without a hook it would be closed on the spot, unable to await."""


async def only[T](value: T) -> AsyncGenerator[T]:
    """Yield one value."""
    yield value


def begin[T](
    generator: AsyncGenerator[T], finalizer: Callable[[AsyncGenerator[T]], None] = _closed_by_its_owner
) -> Awaitable[T]:
    """Return the first step of a generator that the caller will close.

    The hooks that are set aside belong to this thread, and no code of the generator's runs before they are back.

    Args:
        generator: the generator, not begun
        finalizer: called with it when it is collected without having been closed

    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, finalizer)
    try:
        return anext(generator)
    finally:
        sys.set_asyncgen_hooks(*hooks)
