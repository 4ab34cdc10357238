"""Checks of what a turn is made of: each returns the value to keep, or raises an error that says what to do."""

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pygents.arguments import checked_kwargs
from pygents.errors import UnregisteredToolError
from pygents.intercept import check_hooks
from pygents.outcome import StopReason
from pygents.registry import ToolRegistry

if TYPE_CHECKING:
    from pygents.tool import Tool

__all__ = ["CHECKS", "checked_args", "checked_metadata", "checked_timeout", "checked_tool"]


def checked_tool(tool: object) -> "Tool":
    """Return the registered tool of that name, or that is the given one or wraps the given function."""
    if isinstance(tool, str):
        return ToolRegistry.get(tool)
    name = getattr(tool, "__name__", None)
    if not callable(tool) or not isinstance(name, str):
        msg = f"tool must be a registered tool's name or a function decorated with @tool(), not {tool!r}"
        raise TypeError(msg)
    registered: Any = ToolRegistry.get(name)
    if tool is not registered and tool != registered.fn:  # the same method is another object each time
        raise UnregisteredToolError(name)
    return cast("Tool", registered)


def checked_args(args: object) -> list[Any]:
    """Return a list of the positional arguments."""
    if isinstance(args, (str, bytes, Mapping)) or not isinstance(args, Iterable):
        msg = f"args must be a list of positional arguments, not {args!r}"
        raise TypeError(msg)
    return [*args]  # pyright: ignore[reportUnknownVariableType] (of whatever the caller gave)


def checked_metadata(metadata: object) -> dict[str, Any]:
    """Return the annotations: the very dict, which is the caller's."""
    if not isinstance(metadata, dict):
        msg = f"metadata must be a dict, not {metadata!r}"
        raise TypeError(msg)
    return cast("dict[str, Any]", metadata)


def checked_timeout(timeout: object) -> float | None:
    """Return the seconds, or None for no limit."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        msg = f"timeout must be a number of seconds or None for no limit, not {timeout!r}"
        raise TypeError(msg)
    if isinstance(timeout, int) and abs(timeout) > sys.float_info.max:
        msg = f"timeout must be a number of seconds (None for no limit), not an integer of {timeout.bit_length()} bits"
        raise ValueError(msg)
    if not timeout > 0:  # NaN is not
        msg = f"timeout must be above zero (seconds; None for no limit), not {timeout!r}"
        raise ValueError(msg)
    return timeout


def _checked_stop_reason(reason: object) -> StopReason | None:
    """Return how the turn ended, or None."""
    if reason is not None and not isinstance(reason, StopReason):
        msg = f"stop_reason must be a StopReason or None, not {reason!r}"
        raise TypeError(msg)
    return reason


def _checked_time(name: str, moment: object) -> datetime | None:
    if moment is not None and not isinstance(moment, datetime):
        msg = f"{name} must be a datetime or None, not {moment!r}"
        raise TypeError(msg)
    return moment


CHECKS: dict[str, Callable[[Any], object]] = {
    "tool": lambda tool: None if tool is None else checked_tool(tool),
    "args": checked_args,
    "kwargs": checked_kwargs,
    "metadata": checked_metadata,
    "timeout": checked_timeout,
    "hooks": check_hooks,
    "start_time": partial(_checked_time, "start_time"),
    "end_time": partial(_checked_time, "end_time"),
    "stop_reason": _checked_stop_reason,
}
"""The check of each attribute, for those who set it later."""
