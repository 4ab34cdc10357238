"""Reading fields of stored data with errors that name them, and storing hooks by type and name."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, cast

from pygents.hook_types import AgentHook, MemoryHook, ToolHook, TurnHook, type_of
from pygents.registry import HookRegistry

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["Fields", "hooks_from_dict", "hooks_to_dict"]

_REQUIRED = object()
_TYPES = frozenset(one.value for kind in (TurnHook, AgentHook, ToolHook, MemoryHook) for one in kind)


class Fields:
    """The fields of a stored object, read one by one.

    Args:
        data: the stored object
        owner: what it is, for the errors

    Raises:
        TypeError: if `data` is no mapping

    """

    def __init__(self, data: object, owner: str) -> None:
        if not isinstance(data, Mapping):
            msg = f"{owner}.from_dict needs a dict as {owner}.to_dict made it, not {data!r}"
            raise TypeError(msg)
        self._data = cast("Mapping[str, Any]", data)
        self._owner = owner

    def read(self, name: str, kind: type | tuple[type, ...], default: Any = _REQUIRED) -> Any:
        """Return a field.

        Raises:
            ValueError: if it is missing and has no default
            TypeError: if it is not of `kind`

        """
        if name not in self._data:
            if default is _REQUIRED:
                msg = f"{self._owner}.from_dict: field {name!r} is missing"
                raise ValueError(msg)
            return default
        value = self._data[name]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds and object not in kinds):
            wanted = " or ".join("None" if one is type(None) else one.__name__ for one in kinds)
            raise TypeError(self.error(name, f"must be {wanted}, not {value!r}"))
        return value

    def names(self, name: str) -> list[str]:
        """Return a field that is a list of names.

        Raises:
            ValueError: if it is missing
            TypeError: if it is no list of names

        """
        value = self.read(name, (list, tuple))
        return _names(value, self.error(name, f"must be a list of names, not {value!r}"))

    def error(self, name: str, problem: str) -> str:
        """Return a message about a field."""
        return f"{self._owner}.from_dict: field {name!r} {problem}"


def hooks_to_dict(hooks: "Iterable[Hook]") -> dict[str, list[str]]:
    """Return the names of hooks by the value of the type that they are for, in list order."""
    stored: dict[str, list[str]] = {}
    for hook in hooks:
        own = type_of(hook)
        for one in own if isinstance(own, tuple) else (own,):
            stored.setdefault(str(one.value), []).append(HookRegistry.name_of(hook))
    return stored


def hooks_from_dict(fields: Fields) -> "list[Hook]":
    """Return the hooks of the field ``hooks``, in an order that keeps the order of each type.

    A hook for several types is stored under each of them, so the list is the merger of those orders.

    Raises:
        UnregisteredHookError: if a name is not registered
        TypeError: if the field is no dict of lists of names
        ValueError: if a key is no hook type's value, or the orders contradict each other

    """
    order: TopologicalSorter[tuple[str, int]] = TopologicalSorter()
    stored: dict[str, Any] = fields.read("hooks", (dict, type(None)), None) or {}
    for hook_type, names in stored.items():
        if hook_type not in _TYPES:
            raise ValueError(fields.error("hooks", f"has an unknown hook type: {hook_type!r}"))
        previous: list[tuple[str, int]] = []
        for name in _names(names, fields.error("hooks", f"must hold lists of hook names, not {names!r}")):
            entry = (name, sum(1 for seen, _ in previous if seen == name))
            order.add(entry, *previous[-1:])
            previous.append(entry)
    try:
        return [HookRegistry.get(name) for name, _ in order.static_order()]
    except CycleError as error:
        raise ValueError(fields.error("hooks", f"has orders that contradict each other: {error.args[1]!r}")) from None


def _names(value: object, problem: str) -> list[str]:
    names = list(cast("Iterable[object]", value)) if isinstance(value, (list, tuple)) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise TypeError(problem)
    return cast("list[str]", names)
