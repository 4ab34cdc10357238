"""The process-wide tables of tools, agents and hooks, by name.

Invariant: a table is changed under its lock, in one step with the check that the name is free; reading is a single dict
operation. The tables hold their entries strongly: an agent that only its name refers to is alive until it is stopped.
"""

import threading
from typing import TYPE_CHECKING, ClassVar

from pygents.errors import UnregisteredAgentError, UnregisteredHookError, UnregisteredToolError
from pygents.names import check_name, is_hook_type

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.hooks import Hook, HookType
    from pygents.tool import Tool

__all__ = ["AgentRegistry", "HookRegistry", "ToolRegistry"]


class _Table[E]:
    """Entries under unique names."""

    def __init__(self, kind: str) -> None:
        self.entries: dict[str, E] = {}
        self._kind = kind
        self._lock = threading.Lock()

    def add(self, name: str, entry: E) -> None:
        with self._lock:
            self._check_free(name, entry)
            self.entries[name] = entry

    def move(self, old: str, new: str, entry: E) -> None:
        with self._lock:
            self._check_free(new, entry)
            if self.entries.get(old) is entry:
                del self.entries[old]
                self.entries[new] = entry

    def discard(self, name: str, entry: E) -> None:
        with self._lock:
            if self.entries.get(name) is entry:
                del self.entries[name]

    def clear(self) -> None:
        with self._lock:
            self.entries = {}

    def _check_free(self, name: str, entry: E) -> None:
        if self.entries.get(name, entry) is not entry:
            msg = f"{self._kind} {name!r} already registered: names are unique, choose another"
            raise ValueError(msg)


class ToolRegistry:
    """All tools, by name."""

    _table: ClassVar[_Table["Tool"]] = _Table("Tool")

    @classmethod
    def register(cls, tool: "Tool") -> None:
        """Add a tool under its ``__name__``; `tool` does it for you.

        Raises:
            ValueError: if the name is taken, by this tool or another

        """
        name = check_name(getattr(tool, "__name__", None), "a tool's name")
        if cls._table.entries.get(name) is tool:
            msg = f"Tool {name!r} already registered: register a tool once"
            raise ValueError(msg)
        cls._table.add(name, tool)

    @classmethod
    def get(cls, name: str) -> "Tool":
        """Return the tool of that name.

        Raises:
            UnregisteredToolError: if there is none

        """
        tool = cls._table.entries.get(name)
        if tool is None:
            raise UnregisteredToolError(name)
        return tool

    @classmethod
    def all(cls) -> list["Tool"]:
        """Return all tools, in the order of their registration."""
        return list(cls._table.entries.values())


class AgentRegistry:
    """All living agents, by name."""

    _table: ClassVar[_Table["Agent"]] = _Table("Agent")

    @classmethod
    def register(cls, agent: "Agent") -> None:
        """Add an agent under its name; constructing it does it for you.

        Raises:
            ValueError: if another agent has that name

        """
        cls._table.add(agent.name, agent)

    @classmethod
    def rename(cls, agent: "Agent", name: str) -> None:
        """Move an agent to another name.

        Raises:
            ValueError: if another agent has that name

        """
        cls._table.move(agent.name, name, agent)

    @classmethod
    def discard(cls, agent: "Agent") -> None:
        """Give an agent's name up, if it is the agent's."""
        cls._table.discard(agent.name, agent)

    @classmethod
    def get(cls, name: str) -> "Agent":
        """Return the agent of that name.

        Raises:
            UnregisteredAgentError: if there is none

        """
        agent = cls._table.entries.get(name)
        if agent is None:
            raise UnregisteredAgentError(name)
        return agent

    @classmethod
    def clear(cls) -> None:
        """Forget all names; agents that somebody still holds go on working."""
        cls._table.clear()


class HookRegistry:
    """All hooks, by name."""

    _table: ClassVar[_Table["Hook"]] = _Table("Hook")

    @classmethod
    def register(
        cls, hook: "Hook", name: str | None = None, hook_type: "HookType | tuple[HookType, ...] | None" = None
    ) -> None:
        """Add a hook; `hook` does it for you. The same hook again is fine.

        Args:
            hook: the hook, or any async callable
            name: the name to add it under; its ``__name__`` if not given
            hook_type: what it is a hook for; stored on the hook

        Raises:
            ValueError: if another hook has that name, or if nothing says what it is a hook for
            TypeError: if it cannot be called, or `hook_type` is no hook type

        """
        given: object = hook
        if not callable(given):
            msg = f"{hook!r} is not a hook: decorate an async function with @hook(type)"
            raise TypeError(msg)
        name = check_name(getattr(hook, "__name__", None) if name is None else name, "a hook's name")
        if hook_type is None and getattr(hook, "type", None) is None:
            msg = f"Hook {name!r} has no type: give hook_type, or decorate its function with @hook(...)"
            raise ValueError(msg)
        if hook_type is not None and not is_hook_type(hook_type):
            msg = f"hook_type must be a hook type such as TurnHook.BEFORE_RUN, or a tuple of them, not {hook_type!r}"
            raise TypeError(msg)
        cls._table.add(name, hook)
        if hook_type is not None:
            hook.type = hook_type
            if getattr(hook, "hook_type", None) != hook_type:  # a plain function, whose two names are two attributes
                setattr(hook, "hook_type", hook_type)  # noqa: B010 (read-only to type checkers)

    @classmethod
    def get(cls, name: str) -> "Hook":
        """Return the hook of that name.

        Raises:
            UnregisteredHookError: if there is none

        """
        hook = cls._table.entries.get(name)
        if hook is None:
            raise UnregisteredHookError(name)
        return hook

    @classmethod
    def name_of(cls, hook: "Hook") -> str:
        """Return the name that `get` finds a hook under, for a snapshot.

        Raises:
            UnregisteredHookError: if it is not registered

        """
        name = getattr(hook, "__name__", repr(hook))
        if cls._table.entries.get(name) is hook:
            return name
        for registered, entry in list(cls._table.entries.items()):
            if entry is hook:
                return registered
        raise UnregisteredHookError(name)

    @classmethod
    def get_by_type(cls, hook_type: "HookType", hooks: "list[Hook]") -> "Hook | None":
        """Return the first of `hooks` that is a hook for `hook_type`, or None."""
        return next((hook for hook in hooks if cls._is_for(hook, hook_type)), None)

    @classmethod
    def clear(cls) -> None:
        """Forget all names; the hooks themselves go on working."""
        cls._table.clear()

    @staticmethod
    def _is_for(hook: "Hook", hook_type: "HookType") -> bool:
        own = getattr(hook, "type", None)
        return hook_type in own if isinstance(own, tuple) else own == hook_type
