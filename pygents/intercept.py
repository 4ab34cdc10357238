"""Running the hooks of a list that are for an event. It knows neither tools nor turns nor agents."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from pygents.names import is_hook_type

if TYPE_CHECKING:
    from pygents.hooks import Hook, HookType

__all__ = ["check_hooks", "consumer_is_cancelled", "run_failure_hooks", "run_hooks"]

logger = logging.getLogger("pygents")


async def run_hooks(hooks: "Sequence[Hook]", hook_type: "HookType", *args: Any, **kwargs: Any) -> None:
    """Run every hook of the list that is for `hook_type`, in list order; the first exception ends it.

    Raises:
        TypeError: if something in the list is no hook

    """
    for hook in tuple(hooks):  # a hook may change the list
        own = _type_of(hook)
        if own is hook_type or (type(own) is tuple and hook_type in own):
            await hook(*args, **kwargs)


async def run_failure_hooks(
    hooks: "Sequence[Hook]",
    hook_type: "HookType",
    failure: BaseException,
    *args: Any,
) -> None:
    """Run hooks while `failure` is being handled: it stays the outcome, whatever they raise.

    What a hook raises is logged and added to the failure as a note. Only a cancellation of the consumer goes through.
    """
    for hook in tuple(hooks):
        try:
            await run_hooks((hook,), hook_type, *args)
        except asyncio.CancelledError as error:
            if consumer_is_cancelled():
                raise
            _note(failure, hook_type, error)
        except Exception as error:  # noqa: BLE001 (logged)
            _note(failure, hook_type, error)


def consumer_is_cancelled() -> bool:
    """Return whether somebody has asked the task that this code runs in to cancel.

    It tells a cancellation of the consumer from a ``CancelledError`` that a tool or hook lets out by itself.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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
        _type_of(hook)
    return checked


def _type_of(hook: "Hook") -> "HookType | tuple[HookType, ...]":
    own: Any = getattr(hook, "type", None)
    candidate: object = hook
    if not callable(candidate) or not is_hook_type(own):
        msg = f"{hook!r} is not a hook: decorate an async function with @hook(type)"
        raise TypeError(msg)
    return cast("HookType | tuple[HookType, ...]", own)


def _note(failure: BaseException, hook_type: "HookType", error: BaseException) -> None:
    logger.error("A hook for %s raised while %r was being handled:", hook_type, failure, exc_info=error)
    failure.add_note(f"While this was being handled, a hook for {hook_type} raised {error!r}")
