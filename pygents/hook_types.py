"""The events that hooks are for."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["AgentHook", "HookType", "MemoryHook", "ToolHook", "TurnHook", "checked_hook_type", "type_of"]


class TurnHook(StrEnum):
    """Events of one turn; every hook gets the turn first."""

    BEFORE_RUN = "before_run"
    """Before the tool runs: ``(turn)``; it may decide."""
    AFTER_RUN = "after_run"
    """After success, when ``turn.output`` is set: ``(turn)``."""
    ON_TIMEOUT = "on_timeout"
    """The turn timed out: ``(turn)``."""
    ON_ERROR = "on_error"
    """The tool or a hook raised anything but the timeout: ``(turn, exception)``."""
    ON_VALUE = "on_value"
    """Before each value of an async generator tool: ``(turn, value)``."""


class AgentHook(StrEnum):
    """Events of an agent; every hook gets the agent first."""

    BEFORE_TURN = "before_turn"
    """Before the next turn is taken from the mailbox: ``(agent)``; it may decide."""
    AFTER_TURN = "after_turn"
    """The turn ended well, and the consumer has moved on from its last value: ``(agent, turn)``."""
    ON_TURN_VALUE = "on_turn_value"
    """Before a value reaches the consumer: ``(agent, turn, value)``."""
    ON_TURN_ERROR = "on_turn_error"
    """The turn raised: ``(agent, turn, exception)``; it may direct."""
    ON_TURN_TIMEOUT = "on_turn_timeout"
    """The turn timed out: ``(agent, turn)``; it may direct."""
    BEFORE_PUT = "before_put"
    """Before a turn is enqueued: ``(agent, turn)``; it may decide."""
    AFTER_PUT = "after_put"
    """After a turn was enqueued: ``(agent, turn)``."""
    ON_PAUSE = "on_pause"
    """The agent is paused, and would run the next turn else: ``(agent)``."""
    ON_RESUME = "on_resume"
    """The agent goes on after a pause: ``(agent)``."""


class ToolHook(StrEnum):
    """Events of a tool's invocation, inside its lock."""

    BEFORE_INVOKE = "before_invoke"
    """Before the function runs: ``(*args, **kwargs)`` as merged; it may decide."""
    AFTER_INVOKE = "after_invoke"
    """After success: ``(value)``, the returned or the last yielded one."""
    ON_YIELD = "on_yield"
    """Before each yielded value: ``(value)``."""


class MemoryHook(StrEnum):
    """Events of a memory."""

    BEFORE_APPEND = "before_append"
    """Before items go in: ``(items)``, a copy of the current ones."""
    AFTER_APPEND = "after_append"
    """After items went in: ``(items)``, a copy of the current ones."""


HookType: TypeAlias = TurnHook | AgentHook | ToolHook | MemoryHook  # noqa: UP040 (isinstance() takes a plain union)
"""What a hook is for."""


def checked_hook_type(given: object) -> HookType | tuple[HookType, ...]:
    """Return what a hook is for: the member, or a tuple of the members that a list holds.

    Raises:
        TypeError: if it is neither a member of one of the four enumerations nor a list of some
        ValueError: if the list is empty

    """
    if isinstance(given, HookType):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence):
        msg = f"type must be a hook type such as TurnHook.BEFORE_RUN, or a list of some, not {given!r}"
        raise TypeError(msg)
    types = cast("Sequence[object]", given)
    for one in types:
        if not isinstance(one, HookType):
            msg = f"type must hold hook types such as TurnHook.BEFORE_RUN, not {one!r}"
            raise TypeError(msg)
    if not types:
        msg = "type requires at least one hook type, but the list is empty"
        raise ValueError(msg)
    checked = cast("tuple[HookType, ...]", tuple(dict.fromkeys(types)))
    return checked[0] if len(checked) == 1 else checked


def type_of(hook: "Hook") -> HookType | tuple[HookType, ...]:
    """Return what a hook is for.

    Raises:
        TypeError: if it is no hook

    """
    own: object = getattr(hook, "type", None)
    given: object = hook
    types = cast("tuple[object, ...]", own) if isinstance(own, tuple) else (own,)
    if not callable(given) or not types or not all(isinstance(one, HookType) for one in types):
        msg = f"{hook!r} is not a hook: decorate an async function with @hook(type)"
        raise TypeError(msg)
    return cast("HookType | tuple[HookType, ...]", own)
