"""Own tasks: the code that a child waits for before it goes on to its next message.

It is told by the task, not by the context alone: a task that a handler has begun has the handler's context, but the
handler may go on without it. A child's own are its activation, and the tasks that the activation waits for: that of a
tool, of a hook, of an ``on_*`` method. These bear a name of ours, and run in a context that the child knows:

* A tool or a method has one that was made for it, ``Child.inner``, until it is left alone.
* A hook shares the one of whoever awaits it, and loses its name when it is left alone.
* What an activation has left behind that is fenced runs in contexts that the child has not any more.

Not told are the tools of an agent that no system runs, and of a turn by itself, if a handler runs one.
"""

# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from pygents.actors.running import running_task

if TYPE_CHECKING:
    import weakref
    from asyncio import Task
    from contextvars import Context

    from pygents.actors.child import Child

__all__ = ["disown", "handling", "inner_context", "is_own", "leave_context", "leave_inner", "own_task_here"]

_OURS = "pygents-"

handling: ContextVar["weakref.ref[Child[Any]] | None"] = ContextVar("pygents.handling", default=None)
"""The child whose code has begun what runs here, whether it waits for that or not."""


def own_task_here() -> "tuple[Child[Any], Task[Any]] | None":
    """Return the child one of whose own tasks is running here, and that task; None if it is nobody's."""
    found = handling.get()
    child, task = None if found is None else found(), running_task()
    return (child, task) if child is not None and task is not None and is_own(child, task) else None


def is_own(child: "Child[Any]", task: "Task[Any]") -> bool:
    """Return whether a task is the child's activation, or one that this waits for."""
    activation = child.activation
    if activation is None:
        return False
    if task is activation:
        return True
    context = task.get_context()
    return task.get_name().startswith(_OURS) and (context is child.inner or context is child._context)


def inner_context(child: "Child[Any]") -> "Context":
    """Return a copy of this context, for a task that the child's activation is about to wait for."""
    child.inner = context = copy_context()
    return context


def leave_inner(child: "Child[Any]") -> None:
    """Leave the task in that context alone: it is no longer the child's own."""
    child.inner = None


def leave_context(child: "Child[Any]") -> None:
    """Go on in another context: what is inside the one that the child has is abandoned."""
    child._context, child.inner = child._context.copy(), None


def disown(task: "Task[Any]") -> None:
    """See that the task of a hook is nobody's own any more, because it is left alone."""
    task.set_name(f"abandoned {task.get_name()}")
