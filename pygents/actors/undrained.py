"""Undrained: the end of an actor that nobody drains, on the thread that asks for it."""

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pygents.actors.answers import log

if TYPE_CHECKING:
    from pygents.actors.cell import Cell

__all__ = ["end_undrained"]


def end_undrained(cell: "Cell[Any]") -> None:
    """Carry a stop out; ``on_stop`` runs as far as it comes without waiting for anything."""
    rest = cell.inbox.close()
    cell.leave_pykka()
    coroutine = cell.call_hook(cell.actor.on_stop)
    try:
        coroutine.send(None)
    except (StopIteration, GeneratorExit):
        pass
    else:
        with suppress(RuntimeError):  # it will not be cut off
            coroutine.close()
        text = "on_stop of %s was cut off: it must not suspend when nobody drains the actor"
        log(logging.ERROR, text, cell.label)
    cell.let_go(rest)
