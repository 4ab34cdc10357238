"""Insider: the child of a tree whose code is running here, and that must not wait for the tree.

A task that a handler has begun is none, though it has the handler's context; and an actor of another system is free to
wait.
"""

from typing import TYPE_CHECKING

from pygents.actors.own_task import own_task_here
from pygents.errors import WouldDeadlockError

if TYPE_CHECKING:
    from pygents.actors.system import ActorSystem

__all__ = ["refuse_insiders"]


def refuse_insiders(system: "ActorSystem", target: str, advice: str) -> None:
    """Refuse a wait for what cannot come before the running handler has ended.

    Raises:
        WouldDeadlockError: if a child of this system would wait for it in its own task

    """
    here = own_task_here()
    if here is not None and here[0].system is system:
        raise WouldDeadlockError(str(here[0].ref), target, advice=advice)
