"""Attending: what a child does beside messages, in the order of what matters most.

Everything here runs on the child's loop, for the holder of its mailbox's claim.
"""

from typing import TYPE_CHECKING, Any

from pygents.actors.child_spec import Order, Phase
from pygents.actors.ending import die
from pygents.actors.incarnation import retire, start_again, start_first

if TYPE_CHECKING:
    from pygents.actors.child import Child

__all__ = ["attend"]


async def attend(child: "Child[Any]") -> bool:  # noqa: C901, PLR0912 (one branch for each thing that there may be to do)
    """Do what there is to do beside messages; return whether the activation may go on with these."""
    while True:
        child.course.halt = False
        if child.comeback.is_revival:
            child.comeback.stop_resting()
        if child.killed:
            await die(child)
            return False
        if child.ending or child.course.order is Order.STOP:
            await child.end()
            return False
        if child.course.order is Order.SUSPEND and child.course.phase is not Phase.SUSPENDED:
            await retire(child, None)
            child.comeback.due = False
            child.settle()
            child.course.enter(Phase.SUSPENDED)
        elif child.child_failure is not None:
            failure, child.child_failure = child.child_failure, None
            if child.incarnate or child.course.phase is Phase.RUNNING:  # its handler may have been abandoned
                await child.fail(failure)
        elif child.course.phase is Phase.STARTING:
            await start_first(child)
        elif child.course.phase is Phase.RESTARTING and child.comeback.due and not child.comeback.rests:
            await start_again(child)
        elif child.comeback.rests or child.course.phase is not Phase.RUNNING or child.course.order is Order.HOLD:
            if child.course.park():
                return False
        elif child.inbox.paused is not child.at_gate:
            child.at_gate = child.inbox.paused
            await child.pass_gate()
        else:
            return True
        if child.course.phase is Phase.STOPPED:
            return False
