"""Steering: notes for the turn that is running, from whoever has called ``agent.steer()`` or ``ref.steer()``."""

# pyright: reportPrivateUsage=false

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from pygents.actors.control import Notes
from pygents.actors.lane import control_of
from pygents.actors.ref import ActorRef
from pygents.context import current_agent, current_turn, running

if TYPE_CHECKING:
    from pygents.actors.cell import Cell

__all__ = ["steering"]


class _Steering:
    """The notes for the message that the calling code handles: a turn, if it is a tool."""

    def __call__(self) -> AsyncIterator[Any]:
        """Return the notes, as they come, until the turn ends: ``async for note in steering()``. Each is read once.

        Outside of a turn there are none.
        """
        cell = _cell_here()
        if cell is None:
            notes = Notes()
            notes.end()
        else:
            notes = control_of(cell).notes
        return notes.until_the_end()

    def take_nowait(self) -> Any | None:
        """Return the oldest note that nobody has read, or None."""
        cell = _cell_here()
        return None if cell is None or cell.control is None else cell.control.notes.take_nowait()


steering = _Steering()
"""The notes for the turn that is running."""


def _cell_here() -> "Cell[Any] | None":
    """Return what handles the message that this code belongs to, if it still does."""
    agent, turn = current_agent(), current_turn()
    if agent is not None:
        cell = agent._actor.cell  # noqa: SLF001
        return cell if turn is not None and cell.turn_in_hand is turn else None
    ref = running.get()
    if not isinstance(ref, ActorRef):
        return None
    found = ref._find_cell()  # noqa: SLF001
    return found if found is not None and found.inbox.in_hand is not None else None
