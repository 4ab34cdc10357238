"""Insider: the child of a tree whose code is running here, and that must not wait for the tree.

It is told by the task, not by the context alone: a task that a handler has begun has the handler's context, but the
handler may go on without it; and an actor of another system is free to wait. An ``on_*`` method and a tool have a task
of their own, which the child waits for: it bears a name of ours.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from pygents.actors.child import Child
from pygents.actors.envelope import sender
from pygents.errors import WouldDeadlockError

if TYPE_CHECKING:
    from pygents.actors.supervisor import Supervisor

__all__ = ["refuse_insiders", "waits_for_this_task"]

_OURS = "pygents-"


def refuse_insiders(root: "Supervisor", target: str, advice: str) -> None:
    """Refuse a wait for what cannot come before the running handler has ended.

    Raises:
        WouldDeadlockError: if a child of this tree would wait for it in its own task

    """
    path = sender.get()
    node = None if path is None else root.find(path.split("/"))
    if isinstance(node, Child) and waits_for_this_task(node):
        raise WouldDeadlockError(str(node.ref), target, advice=advice)


def waits_for_this_task(child: "Child[Any]") -> bool:
    """Return whether a child goes on only when the running task has ended, if it is the child's code at all."""
    task = asyncio.current_task()
    if task is None or child.activation is None:
        return False
    return task is child.activation or task.get_name().startswith(_OURS)
