"""Ending: how a child ends for good, in order or at once, and who is told."""

# pyright: reportPrivateUsage=false

from typing import TYPE_CHECKING, Any

from pygents.actors.child_spec import Phase
from pygents.actors.incarnation import retire, wait_for
from pygents.actors.watch import Ended

if TYPE_CHECKING:
    from pygents.actors.child import Child

__all__ = ["die", "end", "tell_of_end"]


async def end(child: "Child[Any]", failure: BaseException | None, how: Ended) -> None:
    """End in order: the actor first, while the mailbox is closed; on the child's loop."""
    child.course.enter(Phase.STOPPING)
    rest = child.inbox.close()
    child.leave_pykka()
    await retire(child, failure)
    child.let_go(rest, how)


async def die(child: "Child[Any]") -> None:
    """End at once, because the child was killed: nothing of the actor's runs, but its children end first."""
    child.course.enter(Phase.STOPPING)
    child.incarnate = False
    if child.children is not None:
        child.children.kill_all()  # those of one that was to finish its message first live still
        await wait_for(child, child.children.all_gone())
    child.let_go([], Ended.KILLED)


def tell_of_end(child: "Child[Any]", how: Ended) -> None:
    """Tell everybody who waits for it that the child has ended; once, on any thread."""
    if not child.course.enter(Phase.STOPPED):
        return
    child.settle()
    child.ref._past = child.ledger.balance()  # noqa: SLF001 (the ref outlives the child)
    child.parent.forget(child)
    child.course.note_idle()
    child.watches.end(how)
    child.system.news.stopped(child.spec.path, how)
