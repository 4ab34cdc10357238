"""The process-wide tables of tools, agents and hooks, by name.

Invariant: a table is changed under its lock, in one step with the check that the name is free; reading is a single dict
operation. The tables hold their entries strongly: an agent that only its name refers to is alive until it is stopped.
"""

import inspect
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from pykka import ActorDeadError

from pygents.errors import UnregisteredAgentError, UnregisteredHookError, UnregisteredToolError
from pygents.hook_types import HookType, checked_hook_type
from pygents.names import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pygents.agent import Agent
    from pygents.hooks import Hook
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
            self.check_free(name, entry)
            self.entries[name] = entry

    def find(self, name: object) -> E | None:
        return self.entries.get(name) if isinstance(name, str) else None

    def move(self, old: str, new: str, entry: E) -> None:
        with self._lock:
            self.check_free(new, entry)
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

    def check_free(self, name: str, entry: E) -> None:
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
            TypeError: if it is no tool

        """
        given: object = tool
        metadata_name = getattr(getattr(tool, "metadata", None), "name", None)
        if not callable(given) or not isinstance(metadata_name, str):
            msg = f"{tool!r} is not a tool: decorate an async function with @tool()"
            raise TypeError(msg)
        name = check_name(getattr(tool, "__name__", None), f"the name of {tool!r}")
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
        tool = cls._table.find(name)
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
            TypeError: if it is no agent
            ActorDeadError: if it has stopped

        """
        name = _name_of_agent(agent)
        cls._table.add(name, agent)
        if not agent.ref.is_alive():  # looked at last: one that stops from now on gives the name up itself
            cls._table.discard(name, agent)
            msg = f"Agent {name!r} has stopped and cannot be registered: construct another one"
            raise ActorDeadError(msg)

    @classmethod
    def _forget_dead(cls) -> None:
        """Give the names up, in a forked child, of the agents that are dead there; a thread may have held the lock."""
        table, cls._table = cls._table, _Table("Agent")
        cls._table.entries = {name: agent for name, agent in table.entries.items() if agent.ref.is_alive()}

    @classmethod
    def check_free(cls, agent: "Agent") -> None:
        """Check that an agent can be registered now.

        Raises:
            ValueError: if another agent has its name

        """
        cls._table.check_free(_name_of_agent(agent), agent)

    @classmethod
    def rename(cls, agent: "Agent", name: str) -> None:
        """Move an agent to another name.

        Raises:
            ValueError: if another agent has that name

        """
        cls._table.move(_name_of_agent(agent), check_name(name, "an agent's name"), agent)

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
        agent = cls._table.find(name)
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
        cls, hook: "Hook", name: str | None = None, hook_type: "HookType | Sequence[HookType] | None" = None
    ) -> None:
        """Add a hook; `hook` does it for you. The same hook again is fine.

        Args:
            hook: the hook, or any async callable
            name: the name to add it under; its ``__name__`` if not given
            hook_type: what it is a hook for, or a list of that; stored on the hook

        Raises:
            ValueError: if another hook has that name, or if nothing says what it is a hook for
            TypeError: if it is not async, cannot be given a type, or `hook_type` is no hook type

        """
        _check_async(hook)
        if name is None:
            name = check_name(getattr(hook, "__name__", None), f"the name of {hook!r}")
        check_name(name, "a hook's name")
        if hook_type is None and getattr(hook, "type", None) is None:
            msg = f"Hook {name!r} has no type: give hook_type, or decorate its function with @hook(...)"
            raise ValueError(msg)
        checked = None if hook_type is None else checked_hook_type(hook_type)
        cls._table.add(name, hook)
        if checked is None:
            return
        try:
            _set_type(hook, checked)
        except AttributeError:
            cls._table.discard(name, hook)
            msg = f"{hook!r} cannot be given a type: decorate an async function with @hook(type)"
            raise TypeError(msg) from None

    @classmethod
    def get(cls, name: str) -> "Hook":
        """Return the hook of that name.

        Raises:
            UnregisteredHookError: if there is none

        """
        hook = cls._table.find(name)
        if hook is None:
            raise UnregisteredHookError(name)
        return hook

    @classmethod
    def name_of(cls, hook: "Hook") -> str:
        """Return the name that `get` finds a hook under, for a snapshot; its own, if it is not registered."""
        name: str = getattr(hook, "__name__", repr(hook))
        if cls._table.entries.get(name) is hook:
            return name
        return next((known for known, entry in list(cls._table.entries.items()) if entry is hook), name)

    @classmethod
    def get_by_type(cls, hook_type: "HookType", hooks: "list[Hook]") -> "Hook | None":
        """Return the first of `hooks` that is a hook for `hook_type`, or None.

        Raises:
            TypeError: if `hook_type` is no hook type, or `hooks` no list

        """
        _check_search(hook_type, hooks)
        return next((hook for hook in hooks if cls._is_for(hook, hook_type)), None)

    @classmethod
    def clear(cls) -> None:
        """Forget all names; the hooks themselves go on working."""
        cls._table.clear()

    @staticmethod
    def _is_for(hook: "Hook", hook_type: "HookType") -> bool:
        own = getattr(hook, "type", None)
        return hook_type in own if isinstance(own, tuple) else own == hook_type


def _name_of_agent(agent: object) -> str:
    name = getattr(agent, "name", None)
    if not isinstance(name, str):
        msg = f"{agent!r} is not an agent"
        raise TypeError(msg)
    return name


def _check_search(hook_type: object, hooks: object) -> None:
    if not isinstance(hook_type, HookType):
        msg = f"hook_type must be a hook type such as TurnHook.BEFORE_RUN, not {hook_type!r}"
        raise TypeError(msg)
    if isinstance(hooks, str) or not isinstance(hooks, Iterable):
        msg = f"hooks must be a list of hooks, not {hooks!r}"
        raise TypeError(msg)


def _check_async(hook: object) -> None:
    called = getattr(type(hook), "__call__", None)  # noqa: B004 (whether it is async, not whether it is there)
    if not inspect.iscoroutinefunction(hook) and not inspect.iscoroutinefunction(called):
        msg = f"Hook must be async: {hook!r} is not a coroutine function. Decorate one with @hook(type)"
        raise TypeError(msg)


def _set_type(hook: "Hook", hook_type: "HookType | tuple[HookType, ...]") -> None:
    hook.type = hook_type
    if getattr(hook, "hook_type", None) != hook_type:  # a plain function, whose two names are two attributes
        setattr(hook, "hook_type", hook_type)  # noqa: B010 (read-only to type checkers)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=AgentRegistry._forget_dead)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] (of its own module)
