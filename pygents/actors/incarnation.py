"""Incarnation: one actor after another behind a child's ref, from ``on_start`` to ``on_stop`` or ``on_failure``.

Everything here runs on the child's loop, for the holder of its mailbox's claim. Each of the actor's own methods has its
time; one that ignores its cancellation is abandoned.
"""

# pyright: reportPrivateUsage=false

import logging
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pygents.actors.answers import log
from pygents.actors.bounded import Bounds, call_bounded
from pygents.actors.child_spec import Phase
from pygents.actors.own_task import inner_context, leave_inner
from pygents.errors import StartTimeoutError

if TYPE_CHECKING:
    from pygents.actors.child import Child
    from pygents.actors.reply import Reply

__all__ = ["retire", "start_again", "start_first", "wait_for"]


class _CutError(Exception):
    """What one of an actor's own methods ends in that its system has cut: no failure."""


async def start_first(child: "Child[Any]") -> None:
    """Run ``on_start`` of the first actor."""
    error = await _run_own(child, child.spec.start_timeout, child.actor.on_start)
    if child.killed or isinstance(error, _CutError):
        return
    if error is not None:
        await child.fail(error)
        return
    child.course.enter(Phase.RUNNING)
    child.system.news.started(child.spec.path)


async def start_again(child: "Child[Any]") -> None:
    """Make a fresh actor, and run its ``on_restart`` and ``on_start``."""
    child.comeback.due = False
    failure = child.comeback.failure
    error = await _begin_again(child, failure)
    if child.killed or isinstance(error, _CutError):
        return
    child.restarts += 1
    if error is not None:
        await child.fail(error)
        return
    child.comeback.failure = None
    child.course.enter(Phase.RUNNING)
    child.settle()
    child.system.news.restarted(child.spec.path, failure, child.restarts)


async def _begin_again(child: "Child[Any]", failure: BaseException | None) -> BaseException | None:
    try:
        child.actor = actor = child.spec.make_again(child)
    except BaseException as raised:  # noqa: BLE001 (it is the actor's failure)
        return raised
    child.ref._actor_weakref = weakref.ref(actor)  # noqa: SLF001 (the ref's actor, from now on)
    child.incarnate = True
    child.system.adopt(child)
    error = await _run_own(child, child.spec.start_timeout, actor.on_restart, failure)
    if error is None and not child.killed:
        error = await _run_own(child, child.spec.start_timeout, actor.on_start)
    return error


async def retire(child: "Child[Any]", failure: BaseException | None) -> None:
    """End the actor that is running, if one is: children first, then ``on_failure`` or ``on_stop``."""
    if child.children is not None:
        await wait_for(child, child.children.stop_all())
    if not child.incarnate:
        return
    child.incarnate = False
    if failure is None:
        error = await _run_own(child, child.spec.shutdown, child.actor.on_stop)
    else:
        details = type(failure), failure, failure.__traceback__
        error = await _run_own(child, child.spec.shutdown, child.actor.on_failure, *details)
    if child.children is not None:  # those that it has spawned just now
        await wait_for(child, child.children.stop_all())
    if error is not None and not child.killed:
        name = "on_stop" if failure is None else "on_failure"
        log(logging.ERROR, "Exception in %s of %s:", name, child.label, error=error)


async def wait_for(child: "Child[Any]", children: "Reply[None]") -> None:
    """Wait for the child's own children, whoever cancels meanwhile: they are told when the child is."""
    while not children.done:
        try:
            await children
        except CancelledError:
            child.take_cuts_back()


async def _run_own(
    child: "Child[Any]", seconds: float, method: Callable[..., object], *args: object
) -> BaseException | None:
    name = getattr(method, "__name__", "a method")
    cut = False

    def interrupted() -> None:
        nonlocal cut
        cut = child.take_cuts_back() or child.ending or cut

    def abandoned() -> None:
        leave_inner(child)
        child.system.note_abandoned(f"{child.spec.path} in {name}")

    bounds = Bounds(
        seconds,
        child.spec.shutdown,
        interrupted,
        abandoned,
        lambda: inner_context(child),
    )
    try:
        return await call_bounded(bounds, method, *args)
    except TimeoutError:
        return _CutError(f"{name} was cut") if cut else StartTimeoutError(child.spec.path, name, seconds)
