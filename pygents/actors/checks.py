"""Checks of arguments, at the call that gives them."""

import math

__all__ = ["checked", "checked_name", "checked_seconds"]


def checked[T](name: str, value: object, kind: type[T]) -> T:
    """Return a value that is of a type.

    Raises:
        TypeError: if it is not

    """
    if not isinstance(value, kind):
        msg = f"{name} must be a {kind.__name__}, not {value!r}"
        raise TypeError(msg)
    return value


def checked_name(value: object, what: str) -> str:
    """Return a name that can be a part of a path.

    Raises:
        TypeError: if it is no string
        ValueError: if it is empty or has a slash

    """
    if not isinstance(value, str):
        msg = f"{what} must be a string, not {value!r}"
        raise TypeError(msg)
    if not value or "/" in value:
        msg = f"{what} must not be empty or have a slash: {value!r}"
        raise ValueError(msg)
    return value


def checked_seconds(name: str, value: object) -> float:
    """Return a time that is above zero.

    Raises:
        TypeError: if it is no number
        ValueError: if it is not above zero, or not finite

    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{name} must be a number of seconds, not {value!r}"
        raise TypeError(msg)
    if not 0 < value < math.inf:
        msg = f"{name} must be above zero seconds and finite, not {value!r}"
        raise ValueError(msg)
    return value
