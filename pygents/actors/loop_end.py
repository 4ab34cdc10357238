"""The end of an actor with its event loop: in order, if the loop says that it is about to close, or at once."""

# pyright: reportPrivateUsage=false

import asyncio
import logging
from asyncio import Task
from typing import TYPE_CHECKING, Any

from pygents.actors.answers import log
from pygents.actors.lane import end_control
from pygents.actors.watch import Ended

if TYPE_CHECKING:
    from pygents.actors.cell import Cell

__all__ = ["end_with_loop", "lose_loop"]


async def end_with_loop(cell: "Cell[Any]") -> None:
    """End because the loop is about to close; called on the loop."""
    cell.ending = True
    while not cell.inbox.closed or cell.activation is not None:
        if cell.activation is None:
            cell.inbox.claim()  # or somebody has it whose activation is only scheduled: that will find nothing
            cell.activation = Task(cell.work(), loop=cell.dispatcher.loop, context=cell._context)  # noqa: SLF001 (a part of the cell)
        elif not cell.inbox.closed:
            cell.activation.cancel()
        await asyncio.wait([cell.activation])
        cell.activation = None


def lose_loop(cell: "Cell[Any]") -> None:
    """End because the loop has gone; ``on_stop`` has no loop to run on. Called on any thread, maybe by several."""
    was_closed = cell.inbox.closed
    cell.inbox.close()
    cell.leave_pykka()
    end_control(cell)
    cell.answer_unhandled(cell.inbox.clear())
    cell.dispatcher.discard(cell.end_with_loop)
    if not was_closed:
        text = "%s ends without on_stop: its event loop was closed before it was stopped"
        log(logging.WARNING, text, cell.label)
    cell.watches.end(Ended.LOOP_CLOSED)
