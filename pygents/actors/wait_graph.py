"""The wait graph: which handlers wait for whose answers, so that none waits in a ring, where nobody would get one.

A child has one edge at the most, ``Child.waits_for``: as long as its own code waits for a `Reply` of a child of the
same system, of an ask or of a stop. What its handler has begun in tasks of their own makes none, since the handler may
go on without it (`own_task` tells them apart).

Invariants:

* Edges are added and dropped under the system's lock, and so is a ring looked for, in one step with adding the edge
  that would close it. So there never is one, whatever threads the children live on, and following edges from any child
  comes to an end. Of those who would close a ring at the same moment, the last one is refused.
* An edge counts only while its reply is open and its task is its child's own. The first says that its target has still
  to answer, which it cannot while its own code waits for somebody: it settles the reply before it takes its next
  message. The second says that a handler is not abandoned, with its edge. So the graph is right whenever an edge is
  dropped; who has added it drops it.

Who asks and waits adds the edge before the message is sent: so it is never refused when its message is being handled
already, by a target on another thread that asks further. Who awaits a reply that came of ``ask(block=False)`` may be.
An asker whose put hooks ask somebody meanwhile has the edge of that ask in the place of its own, which it adds again.
An ask's wait for room in a full mailbox is part of its wait, with the same edge; a tell's wait for room has none.
"""

from typing import TYPE_CHECKING, Any, cast

from pygents.actors.own_task import is_own, own_task_here
from pygents.errors import AskCycleError

if TYPE_CHECKING:
    from asyncio import Task

    from pygents.actors.cell import Cell
    from pygents.actors.child import Child
    from pygents.actors.reply import Reply

__all__ = ["Wait", "begin_wait"]


class Wait:
    """An edge: a child whose own code waits for the answer of another."""

    __slots__ = ("asker", "reply", "target", "task")

    def __init__(self, asker: "Child[Any]", task: "Task[Any]", target: "Child[Any]", reply: "Reply[Any]") -> None:
        self.asker = asker
        """Who waits."""
        self.task = task
        """Where it does so."""
        self.target = target
        """Who has to answer."""
        self.reply = reply
        """The answer."""

    @property
    def is_on(self) -> bool:
        """Whether the asker cannot go on before the answer has come."""
        return not self.reply.done and is_own(self.asker, self.task)

    def end(self) -> None:
        """Drop the edge: the wait is over."""
        asker = self.asker
        with asker.system.lock:
            if asker.waits_for is self:  # else it was abandoned, and the child waits for another one
                asker.waits_for = None


def begin_wait(reply: "Reply[Any]", answerer: "Cell[Any] | None") -> Wait | None:
    """Add an edge for a wait that begins here, unless it is there already, or is none of a child's for a child.

    Args:
        reply: what is waited for
        answerer: who is going to set it

    Raises:
        AskCycleError: if it would close a ring

    """
    here = own_task_here()
    target = None if here is None else _sibling(here[0], answerer)
    if here is None or target is None:
        return None
    asker, task = here
    with asker.system.lock:
        before = asker.waits_for
        if before is not None and before.reply is reply and before.task is task:
            return None
        if not reply.done:  # else its target may wait for somebody by now
            _check(asker, target)
        asker.waits_for = wait = Wait(asker, task, target, reply)
    return wait


def _sibling(child: "Child[Any]", cell: "Cell[Any] | None") -> "Child[Any] | None":
    """Return a cell if it is a child of the same system."""
    return cast("Child[Any]", cell) if getattr(cell, "system", None) is child.system else None


def _check(asker: "Child[Any]", target: "Child[Any]") -> None:
    paths = [asker.spec.path]
    while target is not asker:
        paths.append(target.spec.path)
        wait = target.waits_for
        if wait is None or not wait.is_on:
            return
        target = wait.target
    raise AskCycleError(tuple(paths))
