"""Turns as plain data and back.

A turn inside the arguments or the output of a turn is stored as ``{"__turn__": {...}}``; one that is an ancestor of the
place where it stands (a tool may return the turn it runs in) as ``{"__turn__": n}``, n levels up. Lists, tuples and
dicts are looked into, everything else is taken as it is. A dict of the user's that has such a key itself is stored as a
list of its items under ``__dict__``.
"""

import inspect
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from pygents.arguments import is_dynamic
from pygents.called_with import asked_with
from pygents.outcome import StopReason
from pygents.serialization import Fields, hooks_from_dict, hooks_to_dict
from pygents.turn_fields import checked_timeout

if TYPE_CHECKING:
    from pygents.turn import Turn

__all__ = ["load_turn", "store_turn"]

_TURN = "__turn__"
_DICT = "__dict__"


type _Turns = tuple["Turn[Any]", ...]


def store_turn(turn: "Turn[Any]", kind: "type[Turn[Any]]") -> dict[str, Any]:
    """Return a turn as plain data.

    Args:
        turn: the turn
        kind: the class whose instances are turns

    Raises:
        TypeError: if a dynamic argument is async, or the turn has no tool
        RecursionError: if too much stands within one another

    """
    try:
        return _store(turn, kind, ())
    except RecursionError as error:
        raise _too_deep("stored") from error


def load_turn[C: "Turn[Any]"](data: object, cls: type[C]) -> C:
    """Return the turn that `store_turn` stored; missing fields but ``tool_name`` have the values of a new turn.

    Args:
        data: the stored turn
        cls: the class to make

    Raises:
        ValueError: if a field is missing or has an impossible value; the message names it
        TypeError: if a field is of the wrong type; the message names it
        RecursionError: if too much stands within one another

    """
    try:
        return _load(data, cls, ())
    except RecursionError as error:
        raise _too_deep("restored") from error


def _too_deep(verb: str) -> RecursionError:
    return RecursionError(
        f"what stands in the turn is too deep to be {verb} within Python's recursion limit of "
        f"{sys.getrecursionlimit()}: leave earlier turns out of the arguments, outputs and metadata"
    )


def _store(turn: "Turn[Any]", kind: "type[Turn[Any]]", outer: _Turns) -> dict[str, Any]:
    """Return a turn as plain data that will stand in that of the outer ones, of which the outermost comes first."""
    if turn.tool is None:
        msg = "Turn has no tool: it cannot be stored"
        raise TypeError(msg)
    around = (*outer, turn)
    args, kwargs = _asked(turn)
    return {
        "tool_name": turn.tool.metadata.name,
        "args": _encode(args, kind, around),
        "kwargs": _encode_items(kwargs, kind, around),
        "metadata": _encode_items(turn.metadata, kind, around),
        "timeout": turn.timeout,
        "start_time": turn.start_time.isoformat() if turn.start_time else None,
        "end_time": turn.end_time.isoformat() if turn.end_time else None,
        "stop_reason": turn.stop_reason.value if turn.stop_reason else None,
        "output": _encode(turn.output, kind, around),
        "hooks": hooks_to_dict(turn.hooks),
    }


def _load[C: "Turn[Any]"](data: object, cls: type[C], outer: _Turns) -> C:
    fields = Fields(data, "Turn")
    turn = cls(
        fields.read("tool_name", str),
        timeout=_timeout(fields),
        hooks=hooks_from_dict(fields),
    )
    around: _Turns = (*outer, turn)
    turn.args = _read(fields, "args", (list, tuple), [], around)
    turn.kwargs = _read(fields, "kwargs", dict, {}, around)
    turn.metadata = _read(fields, "metadata", dict, {}, around)
    turn.output = _read(fields, "output", object, None, around)
    turn.start_time = _time(fields, "start_time")
    turn.end_time = _time(fields, "end_time")
    turn.stop_reason = _stop_reason(fields)
    return turn


def _asked(turn: "Turn[Any]") -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that the turn asks for, as its run has evaluated those that no hook replaced."""
    args, kwargs = asked_with(turn)
    if args is None:
        args = [_evaluate(value, f"args[{index}]", turn) for index, value in enumerate(turn.args)]
    if kwargs is None:
        kwargs = {name: _evaluate(value, f"kwargs[{name!r}]", turn) for name, value in dict(turn.kwargs).items()}
    return args, kwargs


def _evaluate(value: Any, place: str, turn: "Turn[Any]") -> object:
    if not is_dynamic(value):
        return value
    result = None if inspect.iscoroutinefunction(value) else value()
    if inspect.isawaitable(result) or inspect.iscoroutinefunction(value):
        if inspect.iscoroutine(result):
            result.close()
        msg = f"{place} of {turn!r} is an async dynamic argument: only a run can await it, so it cannot be stored"
        raise TypeError(msg)
    return result


def _encode(value: object, kind: "type[Turn[Any]]", outer: _Turns) -> object:
    if isinstance(value, kind):
        levels = next((n for n, ancestor in enumerate(reversed(outer), start=1) if ancestor is value), None)
        return {_TURN: _store(value, kind, outer) if levels is None else levels}  # pyright: ignore[reportUnknownArgumentType]
    if type(value) is list or type(value) is tuple:
        items = cast("list[object] | tuple[object, ...]", value)
        return type(items)([_encode(item, kind, outer) for item in items])
    if type(value) is dict:
        return _encode_items(cast("dict[Any, object]", value), kind, outer)
    return value


def _encode_items(items: Mapping[Any, object], kind: "type[Turn[Any]]", outer: _Turns) -> dict[Any, Any]:
    stored = {key: _encode(item, kind, outer) for key, item in dict(items).items()}  # others may be changing it
    return {_DICT: [[key, item] for key, item in stored.items()]} if {_TURN, _DICT} & stored.keys() else stored


def _read(fields: Fields, name: str, kind: type | tuple[type, ...], default: object, outer: _Turns) -> Any:
    value = fields.read(name, kind, default)
    try:
        return _decode_items(value, outer) if kind is dict else _decode(value, outer)
    except (TypeError, ValueError) as error:
        raise type(error)(fields.error(name, f"cannot be restored: {error}")) from error


def _decode(value: object, outer: _Turns) -> Any:
    if type(value) is list or type(value) is tuple:
        items = cast("list[object] | tuple[object, ...]", value)
        return type(items)([_decode(item, outer) for item in items])
    if type(value) is not dict:
        return value
    stored = cast("dict[Any, object]", value)
    if stored.keys() == {_TURN}:
        return _decode_turn(stored[_TURN], outer)
    return _decode_items(stored, outer)


def _decode_turn(nested: object, outer: _Turns) -> "Turn[Any]":
    if isinstance(nested, int) and not isinstance(nested, bool):
        if not 0 < nested <= len(outer):
            msg = f"there is no turn {nested} levels up from here"
            raise ValueError(msg)
        return outer[-nested]
    return _load(nested, type(outer[0]), outer)


def _decode_items(stored: dict[Any, Any], outer: _Turns) -> dict[Any, Any]:
    items = stored[_DICT] if stored.keys() == {_DICT} else list(stored.items())
    if not isinstance(items, list):
        msg = f"{_DICT!r} must be a list of pairs, not {items!r}"
        raise TypeError(msg)
    return {key: _decode(item, outer) for key, item in cast("list[tuple[Any, object]]", items)}


def _timeout(fields: Fields) -> float | None:
    try:
        return checked_timeout(fields.read("timeout", object, 60))
    except (TypeError, ValueError) as error:
        raise type(error)(fields.error("timeout", f"is wrong: {error}")) from None


def _time(fields: Fields, name: str) -> datetime | None:
    stored = fields.read(name, (str, type(None)), None)
    try:
        return None if stored is None else datetime.fromisoformat(stored)
    except ValueError:
        raise ValueError(fields.error(name, f"must be a time in ISO format, not {stored!r}")) from None


def _stop_reason(fields: Fields) -> StopReason | None:
    stored = fields.read("stop_reason", (str, type(None)), None)
    try:
        return None if stored is None else StopReason(stored)
    except ValueError:
        wanted = ", ".join(repr(reason.value) for reason in StopReason)
        raise ValueError(fields.error("stop_reason", f"must be one of {wanted} or None, not {stored!r}")) from None
