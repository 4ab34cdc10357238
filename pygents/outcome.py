"""How a turn ended: its stop reasons, and the one place that turns an exception into an outcome."""

import logging
from asyncio import CancelledError
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, cast

from pygents.actors.answers import log, show
from pygents.deciding import is_denial
from pygents.errors import TurnCancelledError, TurnTimeoutError
from pygents.hooks import TurnHook
from pygents.intercept import LeakedCancellationError, run_failure_hooks
from pygents.task_watch import ExpiredError

if TYPE_CHECKING:
    from pygents.turn import Turn

__all__ = ["Due", "StopReason", "fail", "failure_behind", "recorded"]

logger = logging.getLogger("pygents")


class StopReason(StrEnum):
    """Why a turn ended."""

    COMPLETED = "completed"
    """The tool returned, or yielded its last value."""
    TIMEOUT = "timeout"
    """It took longer than the turn's timeout."""
    ERROR = "error"
    """The tool or a hook raised, or a hook denied the turn."""
    CANCELLED = "cancelled"
    """Its consumer was cancelled or left, or the tool let a ``CancelledError`` out."""


class Due(StrEnum):
    """What is left to be done for a turn in hand whose tool has completed."""

    VALUE = "value"
    """The consumer is to get the value; all the rest comes after it."""
    AFTER_TURN = "after_turn"
    """The hooks for AFTER_TURN are to run; the rest comes after them."""
    PUT = "put"
    """The turn that was returned, if it is one, is to be put."""


async def fail(turn: "Turn[Any]", error: BaseException, *, cut: bool = False) -> NoReturn:
    """Record what the turn raised, run its hooks for that, and raise it; if it was cut by then, just raise it.

    Raises:
        TurnTimeoutError: for an expired time
        TurnCancelledError: for a ``CancelledError`` that nobody asked for
        BaseException: the error itself, else

    """
    raise await recorded(turn, error, cut=cut)


async def recorded(turn: "Turn[Any]", error: BaseException, *, cut: bool = False) -> BaseException:
    """Record what the turn raised, run its hooks for that, and return what `fail` raises.

    Raises:
        CancelledError: if the consumer was cancelled in one of the hooks; what `fail` would have raised is logged then

    """
    if cut or isinstance(error, (CancelledError, GeneratorExit)):  # or the consumer is being thrown away
        turn.stop_reason = StopReason.CANCELLED
        return error
    if isinstance(error, ExpiredError):
        turn.stop_reason = StopReason.TIMEOUT
        failure: BaseException = TurnTimeoutError(cast("float", turn.timeout))
        failure.__suppress_context__ = True
        await _handle(turn, TurnHook.ON_TIMEOUT, failure, turn)
        return failure
    if isinstance(error, LeakedCancellationError):
        turn.stop_reason = StopReason.CANCELLED
        failure = TurnCancelledError(f"{turn!r} let a CancelledError out that nobody had asked for")
        failure.__cause__ = error.__cause__
    else:
        turn.stop_reason = StopReason.ERROR
        failure = error
        if is_denial(error, turn):  # a refusal, no failure
            return error
    await _handle(turn, TurnHook.ON_ERROR, failure, turn, failure)
    return failure


async def _handle(turn: "Turn[Any]", hook_type: TurnHook, failure: BaseException, *args: object) -> None:
    try:
        await run_failure_hooks(turn.hooks, hook_type, failure, *args)
    except (CancelledError, GeneratorExit) as cut:  # the consumer's own: it goes first, and hides the failure
        text = "The consumer of %s was cancelled while this was being handled:"
        log(logging.ERROR, text, show(turn), error=failure, to=logger)
        cut.__dict__["_hides"] = turn, failure  # named: on its way out it may pass turns around this one
        raise


def failure_behind(turn: "Turn[Any]", error: BaseException) -> BaseException:
    """Return what a turn ended in, which is not `error` if the consumer was cancelled in the hooks for it."""
    hidden: tuple[Turn[Any], BaseException] | None = error.__dict__.get("_hides")
    return hidden[1] if hidden is not None and hidden[0] is turn else error
