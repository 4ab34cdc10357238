"""What can be the name of a tool, a hook or an agent, and what can be the type of a hook."""

from enum import StrEnum
from typing import cast

__all__ = ["check_name", "is_hook_type"]


def check_name(name: object, what: str) -> str:
    """Return `name` if it can be a name.

    Raises:
        TypeError: if it is not a string
        ValueError: if it is empty

    """
    if not isinstance(name, str):
        msg = f"{what} must be a string, not {name!r}"
        raise TypeError(msg)
    if not name:
        msg = f"{what} must not be empty"
        raise ValueError(msg)
    return name


def is_hook_type(value: object) -> bool:
    """Return whether a value can be what a hook is for: a member of an enumeration of events, or a tuple of some."""
    if not isinstance(value, tuple):
        return isinstance(value, StrEnum)
    types = cast("tuple[object, ...]", value)
    return bool(types) and all(isinstance(one, StrEnum) for one in types)
