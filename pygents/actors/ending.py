"""Ending: how a child ends for good, in order or at once, and who is told."""

# pyright: reportPrivateUsage=false

from typing import TYPE_CHECKING, Any

from pygents.actors.child_spec import Phase
from pygents.actors.incarnation import retire, wait_for
from pygents.actors.watch import Ended

if TYPE_CHECKING:
    from pygents.actors.child import Child

__all__ = ["die", "end", "kill", "tell_of_end"]


async def end(child: "Child[Any]", failure: BaseException | None, how: Ended) -> None:
    """End in order: the actor first, while the mailbox is closed; on the child's loop."""
    child.course.enter(Phase.STOPPING)
    rest = child.inbox.close()
    child.leave_pykka()
    await retire(child, failure)
    child.let_go(rest, how)


def kill(child: "Child[Any]", *, spare: bool) -> None:
    """Have the child die, after the message in hand if that is spared; on any thread."""
    with child.system.lock:
        if child.course.phase is Phase.STOPPED or (child.killed and (spare or not child.spares)):
            return
        child.inbox.close()
        announce = child.ledger.clear_queued()  # counted before anybody can see that the child is killed, and end it
        child.killed = child.course.halt = True
        child.spares = spare
    child.leave_pykka()
    announce()
    if child.children is not None and not spare:
        child.children.kill_all()
    child.on_loop(child._cancel_for_kill)  # noqa: SLF001 (a part of the child)
    if not spare:
        child.parent.see_to_the_end_of(child)


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
