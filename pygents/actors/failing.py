"""Failing: what a child does about a failure of its own, as its policy or its supervisor says, or about a cut.

Everything here runs on the child's loop, for the holder of its mailbox's claim.
"""

import logging
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

from pygents.actors.answers import answer, log, show
from pygents.actors.child_spec import Phase
from pygents.actors.dead_letters import DeadLetterReason
from pygents.actors.ending import end
from pygents.actors.incarnation import retire
from pygents.actors.supervision import Directive, Restart
from pygents.actors.watch import Ended
from pygents.errors import TurnCancelledError

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from pygents.actors.child import Child

__all__ = ["cut_short", "fail", "fail_on", "start_over"]


async def fail_on(child: "Child[Any]", envelope: "Envelope[Any]", error: BaseException) -> None:
    """Do what follows from a handler that has raised, or was cut: that goes first, whatever it has raised then."""
    cut = child.cuts.has_cut
    if isinstance(error, CancelledError):
        child.take_cuts_back()
    elif child.has_outlived_cancellation():
        await child.go_on()
    if cut or child.ending:
        if not isinstance(error, CancelledError):
            text = "%s was cut on %s and raised, which is dropped:"
            log(logging.ERROR, text, child.label, show(envelope.message), error=error)
        if child.killed or child.ending:
            child.ledger.bury(envelope, DeadLetterReason.CUT)
        else:
            child.ledger.go_back(envelope, child.policy.max_attempts)
        return
    _report(child, error, envelope.message)
    directive = Directive.RESUME if child.killed else child.directive_for(error)  # if so, there is nothing to decide
    if directive is Directive.RETRY:
        if child.ledger.go_back(envelope, child.policy.max_attempts, error):
            _rest(child, child.comeback.next_delay(child.policy, child.system.now()))
        return
    child.ledger.spend_failed(envelope, error)
    if directive is not Directive.RESUME:
        await _apply(child, directive, error)


async def cut_short(child: "Child[Any]", envelope: "Envelope[Any]", error: BaseException) -> None:
    """Do what follows from a handler that was to end, which is no failure."""
    cut = child.take_cuts_back()
    if child.killed or child.ending:
        child.ledger.bury(envelope, DeadLetterReason.CUT)
    elif isinstance(error, TurnCancelledError):
        child.refuse(envelope, error)
    elif cut and child.control is not None:  # for a sibling's restart, which would have had it run again
        child.refuse(envelope, child.control.cancelled())
    else:
        await child.message_failed(envelope, error)


async def fail(child: "Child[Any]", error: BaseException) -> None:
    """Fail with no message to blame, so that there is nothing to go on with."""
    _report(child, error, None)
    directive = child.directive_for(error)
    if directive in {Directive.RESUME, Directive.RETRY}:
        directive = Directive.RESTART
    await _apply(child, directive, error)


async def start_over(child: "Child[Any]", envelope: "Envelope[Any]", life: int) -> None:
    """Restart a permanent child that has stopped itself, unless it has done so since."""
    child.inbox.done(envelope)
    if child.inbox.paused:
        child.inbox.pause()  # it was open for the stop
    answer(envelope.reply_to, True)  # noqa: FBT003
    if life == child.restarts:
        child.course.halt = True
        await _restart_alone(child, None, child.parent.ask_restart(child, None))


async def _restart_alone(child: "Child[Any]", failure: BaseException | None, delay: float | None) -> None:
    """End the actor, and start again after the delay; without one, when the supervisor revives the child."""
    await retire(child, failure)
    with child.system.lock:
        child.course.enter(Phase.RESTARTING)
        if child.comeback.is_revival:  # one that failed at its start has been revived meanwhile
            return
        child.comeback.failure = failure
        child.comeback.due = delay is not None and child.course.order is None
    if delay is not None and child.comeback.due:
        _rest(child, delay)


async def _apply(child: "Child[Any]", directive: Directive, error: BaseException) -> None:
    child.course.halt = True
    delay: float | None = None
    if directive is Directive.ESCALATE:
        child.parent.fail(error)
    if directive is Directive.STOP or child.spec.restart is Restart.TEMPORARY:
        await end(child, error, Ended.FAILED)
        return
    if directive is Directive.RESTART:
        delay = child.parent.ask_restart(child, error)
    child.settle()  # what has to follow has been asked for
    await _restart_alone(child, error, delay)


def _rest(child: "Child[Any]", delay: float) -> None:
    """Wait for the backoff before the next message is handled, or the next actor starts."""
    loop = child.dispatcher.loop
    if delay > 0 and loop is not None:
        child.course.halt = True
        child.comeback.rest(loop, delay, lambda: _wake_up(child))


def _wake_up(child: "Child[Any]") -> None:
    with child.system.lock:
        child.course.halt = True
    if child.course.parked:
        child.activate()


def _report(child: "Child[Any]", error: BaseException, message: object) -> None:
    """Say once, in the log and as an event, that something of the actor's has failed."""
    if message is None:
        log(logging.ERROR, "%s failed:", child.label, error=error)
    else:
        log(logging.ERROR, "%s failed on %s:", child.label, show(message), error=error)
    child.system.news.failed(child.spec.path, error, message)
