"""Memory: a bounded window of items, the newest at the end; when it is full the oldest go.

Plain Python, used on one event loop at a time; it knows nothing of agents.
"""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Self

from pygents.hooks import MemoryHook
from pygents.intercept import check_hooks, run_hooks
from pygents.serialization import Fields, hooks_from_dict, hooks_to_dict

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["Memory"]


class Memory:
    """A bounded window of items.

    Args:
        limit: how many items it holds at the most
        hooks: hooks for its events

    Raises:
        TypeError: if `limit` is not an integer, or something in `hooks` is no hook
        ValueError: if `limit` is below 1

    """

    def __init__(self, limit: int, hooks: "Iterable[Hook] | None" = None) -> None:
        self._limit = _checked_limit(limit)
        self._items: deque[Any] = deque(maxlen=limit)
        self._hooks = check_hooks(hooks)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(limit={self.limit}, len={len(self)})"

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def hooks(self) -> "list[Hook]":
        """Hooks for its events; append to it.

        Raises:
            TypeError: if it is set to something that is no list of hooks

        """
        return self._hooks

    @hooks.setter
    def hooks(self, hooks: "Iterable[Hook] | None") -> None:
        self._hooks = check_hooks(hooks)

    @property
    def limit(self) -> int:
        """How many items it holds at the most."""
        return self._limit

    @property
    def items(self) -> list[Any]:
        """A copy of the items, oldest first."""
        return list(self._items)

    async def append(self, *items: Any) -> None:
        """Add items; the oldest go when it is full.

        Each hook for BEFORE_APPEND and AFTER_APPEND gets a copy of its own of the items as they are then. If a hook for
        BEFORE_APPEND raises, nothing is added.

        Raises:
            BaseException: what a hook raised

        """
        await self._run_hooks(MemoryHook.BEFORE_APPEND)
        self._items.extend(items)
        await self._run_hooks(MemoryHook.AFTER_APPEND)

    async def _run_hooks(self, hook_type: MemoryHook) -> None:
        for hook in tuple(self.hooks):  # one may change its copy, or the list of hooks
            await run_hooks((hook,), hook_type, self.items)

    def clear(self) -> None:
        """Drop all items."""
        self._items.clear()

    def branch(self, limit: int | None = None, hooks: "Iterable[Hook] | EllipsisType | None" = ...) -> Self:
        """Return an independent memory with the same items.

        Args:
            limit: its limit, if not the same; the newest items that fit are taken
            hooks: its hooks, if not the same; None or an empty list for none

        """
        own_hooks = self.hooks if isinstance(hooks, EllipsisType) else hooks
        child = type(self)(self.limit if limit is None else limit, own_hooks)
        child._items.extend(self._items)  # noqa: SLF001 (of its own class)
        return child

    def to_dict(self) -> dict[str, Any]:
        """Return limit, items and the names of the hooks."""
        return {"limit": self.limit, "items": self.items, "hooks": hooks_to_dict(self.hooks)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the memory that `to_dict` stored; only ``limit`` is required.

        Raises:
            ValueError: if a field is missing or has an impossible value; the message names it
            TypeError: if a field is of the wrong type; the message names it
            UnregisteredHookError: if a hook is not registered

        """
        fields = Fields(data, "Memory")
        memory = cls(fields.read("limit", int), hooks_from_dict(fields))
        memory._items.extend(fields.read("items", (list, tuple), ()))
        return memory


def _checked_limit(limit: object) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int):
        msg = f"limit must be an integer, not {limit!r}"
        raise TypeError(msg)
    if limit < 1:
        msg = "limit must be >= 1"
        raise ValueError(msg)
    if limit > sys.maxsize:
        msg = f"limit must be at most {sys.maxsize}"
        raise ValueError(msg)
    return limit
