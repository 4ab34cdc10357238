"""Idleness: when no actor of a tree has anything to do. It knows what a child looks like, and nothing of systems.

Children are looked at one after another, while those on other threads go on: a message may pass from one that has not
been looked at to one that has. So a look proves nothing by itself. Two do: if every child was idle at both, and none
has taken a step between the beginning of the first and the end of the second, none did anything in between. Steps only
grow, so it is enough to compare their sums, before each look at a child and after it.
"""

# pyright: reportPrivateUsage=false

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygents.actors.child import Child
    from pygents.actors.supervisor import Supervisor

__all__ = ["wait_until_idle"]


async def wait_until_idle(root: "Supervisor") -> None:
    """Wait until there was a moment in which nobody had anything to do: no message, and no start or end."""
    known: list[Child[Any]] | None = None
    since = 0
    while True:
        children = list(root.all_children())
        before, after = await _look(children)
        if before is not None and children == known and after == since:
            return
        known, since = (None, 0) if before is None else (children, before)


async def _look(children: "list[Child[Any]]") -> tuple[int | None, int]:
    """Return the steps taken before and after the looks; None instead of the first if somebody was busy."""
    before = after = 0
    busy = False
    for child in children:
        before += _steps(child)
        if not child.is_idle:
            busy = True
            await child.idle()
        after += _steps(child)
    return (None if busy else before), after


def _steps(child: "Child[Any]") -> int:
    """Return a number that grows with what the child does: the messages that are gone, and the phases of its life."""
    return child.inbox._taken + child.course.steps  # noqa: SLF001 (without the lock: it is one field)
