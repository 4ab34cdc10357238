"""What a tool and a hook have in common: a decorator made them of a function, and they are used where it was."""

import functools
from collections.abc import Callable
from types import MethodType
from typing import Any, Self, cast

__all__ = ["Decorated"]


class Decorated:
    """An object in a function's place: it has its name and is bound, copied and pickled as the function would be.

    Args:
        fn: the function

    """

    __name__: str
    __qualname__: str

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), fn)

    def __get__(self, instance: object, owner: type | None = None) -> Self | MethodType:
        return self if instance is None else MethodType(cast("Callable[..., Any]", self), instance)

    def __reduce__(self) -> str:
        """Return the name that the module has for it."""
        return self.__qualname__
