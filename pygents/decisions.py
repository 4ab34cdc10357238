"""What a hook may decide before something is done: that it is denied, skipped, or done with other arguments.

Plain values, which know nothing of hooks, tools or turns. What becomes of them is in ``deciding``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pygents.arguments import checked_kwargs

__all__ = ["Deny", "Replace", "Skip"]


@dataclass(frozen=True, slots=True)
class Deny:
    """It is not done: whoever waits for it gets a `TurnDeniedError`.

    Raises:
        TypeError: if the reason is not a string
        ValueError: if the reason is empty

    """

    reason: str
    """Why, for people."""

    def __post_init__(self) -> None:
        _check_reason(self.reason)


@dataclass(frozen=True, slots=True)
class Skip:
    """The tool does not run: this value is the turn's, and of a generator tool its only one."""

    value: Any
    """The value in place of the tool's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """The tool gets other arguments; what is left out stays as it is.

    Raises:
        TypeError: if `args` is no list or tuple, or `kwargs` no mapping with strings as keys
        ValueError: if both are left out

    """

    args: list[Any] | tuple[Any, ...] | None = None
    """All positional arguments, or None if they stay; a tuple."""
    kwargs: Mapping[str, Any] | None = None
    """All keyword arguments, or None if they stay; a dict of its own."""

    def __post_init__(self) -> None:
        if self.args is None and self.kwargs is None:
            msg = "Replace() replaces nothing: give args or kwargs, or return None to go on"
            raise ValueError(msg)
        if self.args is not None:
            object.__setattr__(self, "args", _checked_args(self.args))
        if self.kwargs is not None:
            object.__setattr__(self, "kwargs", checked_kwargs(self.kwargs, "a dict of all keyword arguments"))


def _check_reason(reason: object) -> None:
    if not isinstance(reason, str):
        msg = f"reason must be a string that says why, not {reason!r}"
        raise TypeError(msg)
    if not reason:
        msg = f"reason must say why, for people, not {reason!r}"
        raise ValueError(msg)


def _checked_args(args: object) -> tuple[Any, ...]:
    if not isinstance(args, (list, tuple)):
        msg = f"args must be a list or tuple of all positional arguments, not {args!r}"
        raise TypeError(msg)
    return tuple(cast("list[Any]", args))
