"""Checks of arguments, at the call that gives them."""

import math

__all__ = [
    "check_timeout",
    "checked",
    "checked_count",
    "checked_limit",
    "checked_name",
    "checked_number",
    "checked_seconds",
]


def check_timeout(timeout: object) -> None:
    """Refuse what is neither a number of seconds to wait nor None.

    Raises:
        TypeError: if it is no number
        ValueError: if it is below zero, or NaN

    """
    if timeout is None:
        return
    if not isinstance(timeout, int | float):
        msg = f"timeout is a number of seconds or None, not {timeout!r}"
        raise TypeError(msg)
    if not timeout >= 0:
        msg = f"timeout must be at least 0 seconds, not {timeout!r}"
        raise ValueError(msg)


def checked[T](name: str, value: object, kind: type[T]) -> T:
    """Return a value that is of a type.

    Raises:
        TypeError: if it is not

    """
    if not isinstance(value, kind):
        raise TypeError(_text(name, f"a {kind.__name__}", value))
    return value


def checked_name(value: object, what: str) -> str:
    """Return a name that can be a part of a path.

    Raises:
        TypeError: if it is no string
        ValueError: if it is empty or has a slash

    """
    if not isinstance(value, str):
        raise TypeError(_text(what, "a string", value))
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
    number = checked_number(name, value, "a number of seconds above zero")
    if not 0 < number < math.inf:
        raise ValueError(_text(name, "a number of seconds above zero, and finite", value))
    return number


def checked_limit(name: str, value: object) -> float | None:
    """Return a time that is above zero, or None for no limit.

    Raises:
        TypeError: if it is neither
        ValueError: as `checked_seconds`

    """
    return None if value is None else checked_seconds(name, value)


def checked_number(name: str, value: object, wanted: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Return a number that is within bounds.

    Raises:
        TypeError: if it is no number
        ValueError: if it is out of bounds

    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(_text(name, wanted, value))
    if not least <= value <= most:  # NaN is within none
        raise ValueError(_text(name, wanted, value))
    return value


def checked_count(name: str, value: object, *, least: int) -> int:
    """Return an integer that is not too small.

    Raises:
        TypeError: if it is no integer
        ValueError: if it is too small

    """
    wanted = f"an integer of at least {least}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(_text(name, wanted, value))
    if value < least:
        raise ValueError(_text(name, wanted, value))
    return value


def _text(name: str, wanted: str, given: object) -> str:
    return f"{name} must be {wanted}, not {given!r}"
