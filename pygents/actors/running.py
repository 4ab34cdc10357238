"""What is being run in this context: for the errors of the runtime, and for the layers above.

A context variable: each thread and each task has its own value, so no lock is needed.
"""

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import weakref

__all__ = ["home", "running", "running_task", "runs_here", "who_runs"]

running: ContextVar[object] = ContextVar("pygents.running", default=None)
"""An actor's ref, or a tuple of a layer above: a weak reference to whoever is running, and what it has in hand.

Either may be None. Who is running has its actor's ref as ``ref``.
"""

home: ContextVar[object] = ContextVar("pygents.home", default=None)
"""The bulletin of the system whose actor's code is running here: two systems may have an actor of the same path."""


def runs_here(ref: object) -> bool:
    """Return whether the code of an actor is what runs in this context."""
    who = _who()
    return who is not None and (who is ref or getattr(who, "ref", None) is ref)


def who_runs() -> str:
    """Return who is running in this context, for an error."""
    who = _who()
    return "Code outside any actor" if who is None else str(who)


def _who() -> object:
    who = running.get()
    if isinstance(who, tuple):
        first = cast("tuple[weakref.ref[object] | None, object]", who)[0]
        who = None if first is None else first()
    return who


def running_task() -> "asyncio.Task[Any] | None":
    """Return the task that is running on this thread, if one is."""
    loop = asyncio._get_running_loop()  # noqa: SLF001 (documented; None, not an error)
    return None if loop is None else asyncio.current_task(loop)
