"""Uncancelling: taking a cancellation back that a handler has outlived."""

import asyncio
from asyncio import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygents.actors.cell import Cell

__all__ = ["take_back"]


async def take_back(cell: "Cell[Any]") -> None:
    """Rid the activation of all requests to cancel it.

    Most are the handler's own: until Python 3.13, a `TaskGroup` whose child has failed leaves one. One by
    ``asyncio.run``, which is ending the loop, ends the actor: it alone waits for a task that nobody else knows.
    """
    task: Any = cell.activation  # Any: for the private flag, which no type checker knows
    cell.ending = cell.ending or bool(task._callbacks)  # noqa: SLF001 (only the loop that ends it has one)
    while task.uncancel():
        pass
    if task._must_cancel:  # noqa: SLF001 (a request that has not come through yet)
        with suppress(CancelledError):
            await asyncio.sleep(0)
        cell.note_cancellation()  # of another one, which has come instead
