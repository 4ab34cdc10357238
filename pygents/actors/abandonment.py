"""Abandonment: cutting a message short, and going on without a handler that ignores that, or a loop that is blocked.

What such a handler still does counts for nothing: `Cuts` has the argument. Its message is a dead letter if the child is
killed, and goes back to the head of the mailbox if not.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pygents.actors.child_spec import Order, Phase
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.lane import end_control
from pygents.actors.own_task import leave_context
from pygents.actors.reply import Reply

if TYPE_CHECKING:
    from asyncio import Task

    from pykka._envelope import Envelope

    from pygents.actors.child import Child

__all__ = ["abandon_handler", "abandon_loop", "cut"]


def cut(child: "Child[Any]") -> None:
    """Cancel the message in hand, which goes back to the head of the mailbox; or a start that takes long."""

    def cancel() -> None:
        wanted = child.course.order is Order.SUSPEND or (
            child.child_failure is not None and child.course.order is not Order.STOP
        )
        busy = child.inbox.in_hand is not None or child.course.phase in {Phase.STARTING, Phase.RESTARTING}
        if child.activation is not None and wanted and busy:
            child.cuts.cancel(child.activation)

    child.on_loop(cancel)


def abandon_handler(child: "Child[Any]", of: "Envelope[Any] | None" = None) -> Reply[None]:
    """Abandon what the child's activation does; what is returned is set when that is done, on the child's loop.

    Args:
        child: the child
        of: the only message whose handler is abandoned, if it is to be one only

    """
    done: Reply[None] = Reply()
    child.cuts.suspect(child.activation)

    def abandon() -> None:
        with child.system.lock:
            task = child.activation
            in_hand = child.inbox.in_hand
            handles = task is not None and not task.done() and in_hand is not None and (of is None or in_hand is of)
            if task is not None and handles:  # else it has ended, or the ``on_*`` method that runs has its own time
                _fence(child, task)
        if handles:
            _go_on_without(child)
        done.set(None)

    child.on_loop(abandon)
    return done


def abandon_loop(child: "Child[Any]", before: Callable[[], None] | None = None) -> None:
    """Abandon the child's loop, which does not answer; the child goes on with a new one.

    Args:
        child: the child
        before: called before it lets the message in hand go

    """
    with child.system.lock:
        task = child.activation
        if child.course.phase is Phase.STOPPED or task is None or not child.cuts.is_suspected(task):
            return
        _fence(child, task)
        child.move_to_new_loop()
    if before is not None:
        before()
    _go_on_without(child)


def _fence(child: "Child[Any]", task: "Task[None]") -> None:
    child.cuts.fence(task)
    child.activation = None
    child.incarnate = False
    leave_context(child)


def _go_on_without(child: "Child[Any]") -> None:
    child.system.note_abandoned(child.spec.path)
    if (envelope := child.inbox.in_hand) is not None:
        child.give_up(envelope)
        if child.killed:
            child.ledger.bury(envelope, DeadLetterReason.CUT)
        elif child.control is not None and child.control.reason is not None:
            child.refuse(envelope, child.control.cancelled())
            child.incarnate = True  # the actor goes on as it is
        else:
            child.ledger.go_back(envelope, child.policy.max_attempts)
    end_control(child)
    child.course.halt = True
    child.on_loop(child.activate)
