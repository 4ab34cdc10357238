"""Arguments of tools and hooks: fixed ones, which a decorator gives, and dynamic ones, called when they are needed."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from types import FunctionType
from typing import Any

from pygents.actors.answers import log

__all__ = [
    "are_same",
    "check_fixed",
    "checked_kwargs",
    "evaluate",
    "evaluate_all",
    "has_dynamic",
    "is_dynamic",
    "merge_fixed",
]

logger = logging.getLogger("pygents")


def checked_kwargs(kwargs: object, wanted: str = "a dict of keyword arguments") -> dict[str, Any]:
    """Return a dict of the keyword arguments.

    Raises:
        TypeError: if they are not what is `wanted`, or a key is no string

    """
    if not isinstance(kwargs, Mapping):
        msg = f"kwargs must be {wanted}, not {kwargs!r}"
        raise TypeError(msg)
    given = dict(kwargs)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] (checked here)
    for name in given:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(name, str):
            msg = f"kwargs must have names as keys, not {name!r}"
            raise TypeError(msg)
    return given  # pyright: ignore[reportUnknownVariableType]


def is_dynamic(value: object) -> bool:
    """Return whether a value stands for the result of calling it: a plain function or lambda, nothing else callable."""
    return type(value) is FunctionType


async def evaluate(value: Any) -> Any:
    """Return a value, or the (awaited) result of a dynamic one."""
    if type(value) is not FunctionType:
        return value
    result = value()
    return await result if inspect.isawaitable(result) else result


def has_dynamic(args: Iterable[object], kwargs: Mapping[str, object]) -> bool:
    """Return whether an argument is dynamic."""
    for value in args:
        if type(value) is FunctionType:
            return True
    for value in kwargs.values():  # noqa: SIM110 (plain loops: any() and map() cost twice as much, for every turn)
        if type(value) is FunctionType:
            return True
    return False


def are_same(args: list[Any], kwargs: dict[str, Any], others: list[Any], by_name: dict[str, Any]) -> bool:
    """Return whether arguments are the very same ones, in lists and dicts that may be different."""
    if len(args) != len(others) or kwargs.keys() != by_name.keys():
        return False
    return all(map(is_, args, others)) and all(value is by_name[name] for name, value in kwargs.items())


async def evaluate_all(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return positional and keyword arguments with the dynamic ones evaluated, in order."""
    return [await evaluate(value) for value in args], {name: await evaluate(value) for name, value in kwargs.items()}


def check_fixed(fn: Callable[..., object], fixed: Mapping[str, object], kind: str) -> None:
    """Check that a function can take the keyword arguments that its decorator gives.

    Raises:
        TypeError: if it has no such parameter and no ``**kwargs``

    """
    parameters = inspect.signature(fn).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    unknown = sorted(set(fixed) - {parameter.name for parameter in parameters if parameter.kind in by_name})
    if unknown:
        msg = f"{kind} {fn.__name__!r} fixed kwargs {unknown} are not in function signature: drop them or add **kwargs"
        raise TypeError(msg)


async def merge_fixed(fixed: Mapping[str, Any], given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return the keyword arguments of one call: the fixed ones, overridden by the given ones with a logged warning."""
    overridden = [name for name in fixed if name in given]
    if overridden:
        text = "Fixed kwargs %s of %s are overridden by the call's own"
        log(logging.WARNING, text, overridden, owner, to=logger)
    merged = {name: given[name] if name in given else await evaluate(value) for name, value in fixed.items()}
    merged.update(given)
    return merged
