"""How a turn ended: its stop reasons, and the one place that turns an exception into an outcome."""

from asyncio import CancelledError
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, cast

from pygents.errors import TurnCancelledError, TurnDeniedError, TurnTimeoutError
from pygents.hooks import TurnHook
from pygents.intercept import LeakedCancellationError, run_failure_hooks
from pygents.invocation import ExpiredError

if TYPE_CHECKING:
    from pygents.turn import Turn

__all__ = ["StopReason", "fail", "recorded"]


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


async def fail(turn: "Turn[Any]", error: BaseException) -> NoReturn:
    """Record what the turn raised, run its hooks for that, and raise it.

    Raises:
        TurnTimeoutError: for an expired time
        TurnCancelledError: for a ``CancelledError`` that nobody asked for
        BaseException: the error itself, else

    """
    raise await recorded(turn, error)


async def recorded(turn: "Turn[Any]", error: BaseException) -> BaseException:
    """Record what the turn raised, run its hooks for that, and return what `fail` raises."""
    if isinstance(error, ExpiredError):
        turn.stop_reason = StopReason.TIMEOUT
        failure: BaseException = TurnTimeoutError(cast("float", turn.timeout))
        failure.__suppress_context__ = True
        await run_failure_hooks(turn.hooks, TurnHook.ON_TIMEOUT, failure, turn)
        return failure
    if isinstance(error, (CancelledError, GeneratorExit)):  # the consumer was cancelled, or is being thrown away
        turn.stop_reason = StopReason.CANCELLED
        return error
    if isinstance(error, LeakedCancellationError):
        turn.stop_reason = StopReason.CANCELLED
        failure = TurnCancelledError(f"{turn!r} let a CancelledError out that nobody had asked for")
        failure.__cause__ = error.__cause__
    else:
        turn.stop_reason = StopReason.ERROR
        failure = error
        if isinstance(error, TurnDeniedError):  # a refusal, no failure
            return error
    await run_failure_hooks(turn.hooks, TurnHook.ON_ERROR, failure, turn, failure)
    return failure
