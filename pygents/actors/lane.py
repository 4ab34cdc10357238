"""Lane: how what overtakes the queue gets to the message in hand, from any thread, and what becomes of that.

What is said is brought to the loop that runs the handler (`Control` has the rest).
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pykka.messages import _ActorStop

from pygents.actors.answers import answer, log, show
from pygents.actors.control import Control
from pygents.actors.envelope import Sent
from pygents.actors.reply import Reply
from pygents.actors.watch import Terminated
from pygents.errors import NoTurnError, SafeExecutionError

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from pygents.actors.cell import Cell
    from pygents.actors.ref import ActorRef

__all__ = ["cancel", "control_of", "end_control", "handles", "outlived", "steer"]


def handles(cell: "Cell[Any]") -> bool:
    """Return whether a message of a user's is being handled, and on the running loop."""
    in_hand = cell.inbox.in_hand
    if in_hand is None or isinstance(in_hand.message, (_ActorStop, Terminated)):
        return False
    return cell.is_at_work() and cell.dispatcher.loop is asyncio._get_running_loop()  # noqa: SLF001 (as below)


def cancel(cell: "Cell[Any] | None", reason: str) -> Reply[bool]:
    """Have the message in hand end; what is returned says when it has, and whether there was one.

    Raises:
        SafeExecutionError: if the handler would end itself

    """
    if cell is not None and cell.is_own_code():
        msg = f"{cell.label} cannot cancel what it handles from within: raise an exception, or return"
        raise SafeExecutionError(msg)
    over: Reply[bool] = Reply()

    def begin() -> None:
        if cell is not None and handles(cell):
            control_of(cell).ask_to_end(reason, over, cell.interrupt)
        elif not over.done:  # its loop was blocked and abandoned, which is told from elsewhere
            over.set(False)

    if not _on_loop(cell, begin):
        over.set(False)
    if cell is not None and not over.done:
        cell.see_to_the_end_in_hand(reason, over)
    return over


def steer(ref: "ActorRef[Any]", cell: "Cell[Any] | None", note: object) -> Reply[None]:
    """Hand a note to the handler of the message in hand; what is returned says when it has it."""
    there: Reply[None] = Reply()
    sent = Sent(note)  # here, where the sender is known

    def begin() -> None:
        if cell is not None and handles(cell):
            control_of(cell).notes.put(sent)
            there.set(None)
        else:
            there.fail(NoTurnError(str(ref)))

    if not _on_loop(cell, begin):
        there.fail(NoTurnError(str(ref)))
    return there


def control_of(cell: "Cell[Any]") -> Control:
    """Return the control of the message in hand."""
    if cell.control is None:
        cell.control = Control()
    return cell.control


async def outlived(cell: "Cell[Any]", envelope: "Envelope[Any]", result: object) -> None:
    """Let a message go whose handler was cancelled, and has gone on: if it was to end, what it gave is dropped."""
    if cell.control is None or cell.control.reason is None:
        answer(envelope.reply_to, result)
    else:
        log(logging.WARNING, "%s was told to end and gave %s, which is dropped", cell.label, show(result))
        await cell.cut_short(envelope, cell.control.cancelled())


def end_control(cell: "Cell[Any]") -> None:
    """Tell whoever said something to the message in hand that it has ended."""
    control, cell.control = cell.control, None
    for note in () if control is None else control.end():
        cell.lose_note(note)


def _on_loop(cell: "Cell[Any] | None", function: Callable[[], None]) -> bool:
    """Have a function called on the loop that runs the handlers; return whether there is one."""
    loop = None if cell is None else cell.dispatcher.loop
    if loop is None:
        return False
    if loop is asyncio._get_running_loop() and asyncio.current_task() is not None:  # noqa: SLF001 (documented; None, not an error)
        function()
        return True
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # it is closed
        return False
    return True
