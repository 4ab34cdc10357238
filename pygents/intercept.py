"""Running the hooks of a list that are for an event. It knows neither tools nor turns nor agents.

Hooks of a turn and of an agent run in the consumer's task. A ``CancelledError`` that one lets out by itself looks there
like the consumer's own, so `intercept` tells them apart: by whether the task has been asked to cancel since.
"""

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from pygents.actors.answers import log, show
from pygents.actors.supervision import Directive
from pygents.deciding import Decision, checked_decision, checked_directive, combined, is_final
from pygents.errors import TurnCancelledError
from pygents.hook_time import in_hook_time
from pygents.hook_types import type_of

if TYPE_CHECKING:
    from pygents.hook_types import HookType
    from pygents.hooks import Hook

__all__ = [
    "LeakedCancellationError",
    "cancel_requests",
    "check_hooks",
    "hooks_for",
    "intercept",
    "run_failure_hooks",
    "run_hooks",
]

logger = logging.getLogger("pygents")


class LeakedCancellationError(TurnCancelledError):
    """Raised for a ``CancelledError`` that a tool or a hook let out, and that nobody had asked for: its cause.

    It is judged once, where it was let out, and goes no further: outside, it is a plain `TurnCancelledError`, which a
    tool that gets it may raise like any other error.
    """

    def __init__(self, reason: str = "a CancelledError was let out that nobody had asked for") -> None:
        super().__init__(reason)


async def run_hooks(hooks: "Sequence[Hook]", hook_type: "HookType", /, *args: Any, **kwargs: Any) -> Decision | None:
    """Run every hook of the list that is for `hook_type`, in list order; an exception, a Deny or a Skip ends it.

    Returns:
        What they have decided, if the event takes a decision.

    Raises:
        TypeError: if something in the list is no hook, or has decided something odd

    """
    decision: Decision | None = None
    for hook in hooks_for(hooks, hook_type):
        returned = await in_hook_time(hook, *args, **kwargs)
        if returned is not None:
            decision = combined(decision, checked_decision(returned, hook, hook_type))
            if is_final(decision):
                break
    return decision


def hooks_for(hooks: "Sequence[Hook]", hook_type: "HookType") -> "list[Hook]":
    """Return the hooks of the list that are for an event, as it is now: one of them may change it.

    Raises:
        TypeError: if something in the list is no hook

    """
    found: list[Hook] = []
    for hook in tuple(hooks):  # another thread may change it
        own = type_of(hook)
        if own is hook_type or (type(own) is tuple and hook_type in own):
            found.append(hook)
    return found


async def intercept(hooks: "Sequence[Hook]", hook_type: "HookType", /, *args: Any) -> Decision | None:
    """Run the hooks for an event as `run_hooks` does, in the consumer's task.

    Raises:
        CancelledError: if the consumer was cancelled meanwhile
        LeakedCancellationError: if a hook let a ``CancelledError`` out by itself
        BaseException: what else a hook raised

    """
    return await _judged(run_hooks(hooks, hook_type, *args), hook_type)


async def run_failure_hooks(
    hooks: "Sequence[Hook]",
    hook_type: "HookType",
    failure: BaseException,
    /,
    *args: Any,
) -> Directive | None:
    """Run hooks while `failure` is being handled: it stays the outcome, whatever they raise.

    What a hook raises is logged and added to the failure as a note. Only a cancellation of the consumer goes through,
    and what is no hook's: a ``KeyboardInterrupt``, and the ``GeneratorExit`` of a consumer that is thrown away.

    Returns:
        What is to be done about the failure, as the first hook says that says so, if the event takes a directive.

    """
    directive: Directive | None = None
    for hook in tuple(hooks):
        try:
            said = await _judged(_directive_of(hook, hook_type, args), hook_type)
            directive = directive or said
        except LeakedCancellationError as leak:
            _note(failure, hook_type, cast("CancelledError", leak.__cause__))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (logged)
            _note(failure, hook_type, error)
    return directive


async def _directive_of(hook: "Hook", hook_type: "HookType", args: Sequence[Any]) -> Directive | None:
    if not hooks_for((hook,), hook_type):
        return None
    return checked_directive(await in_hook_time(hook, *args), hook, hook_type)


async def _judged[T](hooks: Awaitable[T], hook_type: "HookType") -> T:
    requests = cancel_requests()
    try:
        return await hooks
    except CancelledError as error:
        if _asked_to_cancel_since(requests):
            raise
        msg = f"a hook for {hook_type} let a CancelledError out that nobody had asked for"
        raise LeakedCancellationError(msg) from error


def cancel_requests() -> int:
    """Return how many requests to cancel the running task has seen: one that it made itself just now it has not."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling() - bool(getattr(task, "_must_cancel", False))


def _asked_to_cancel_since(requests: int) -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > requests


def check_hooks(hooks: object) -> "list[Hook]":
    """Return a new list of the hooks.

    Raises:
        TypeError: if it is not iterable, or something in it is no hook

    """
    if hooks is None:
        return []
    if isinstance(hooks, (str, bytes)) or not isinstance(hooks, Iterable):
        msg = f"hooks must be a list of hooks, not {hooks!r}"
        raise TypeError(msg)
    checked = list(cast("Iterable[Hook]", hooks))
    for hook in checked:
        type_of(hook)
    return checked


def _note(failure: BaseException, hook_type: "HookType", error: BaseException) -> None:
    text = "A hook for %s raised while %s was being handled:"
    log(logging.ERROR, text, hook_type, show(failure), error=error, to=logger)
    failure.add_note(f"While this was being handled, a hook for {hook_type} raised {show(error)}")
