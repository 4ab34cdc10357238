"""A wait, for a test, until a system rests."""

import asyncio
from typing import TYPE_CHECKING, Any

from pygents.actors.answers import show
from pygents.actors.tree import state_of
from pygents.testing.virtual_time import VirtualTimeLoop, check_seconds

if TYPE_CHECKING:
    from pygents.actors.child import Child
    from pygents.actors.system import ActorSystem

__all__ = ["busy_in", "wait_idle"]


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
    check_seconds(timeout)
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
    raise AssertionError(f"{system!r} was not idle {waited}; busy: {busy_in(system)}\n{system.tree()}")


def busy_in(system: "ActorSystem") -> str:
    """Return which actors of a system have something to do, and what."""
    return ", ".join(_doing(child) for child in system.root.all_children() if not child.is_idle)


def _doing(child: "Child[Any]") -> str:
    in_hand = child.inbox.in_hand
    if in_hand is not None:
        return f"{child.spec.path} with {show(in_hand.message)}"
    return f"{child.spec.path} ({state_of(child)}, {len(child.inbox)} queued)"
