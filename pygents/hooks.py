"""Hooks: the events they are for, and the ``@hook`` decorator. How the hooks of a list are run is in ``intercept``."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from time import time
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, overload

from pygents.arguments import check_fixed, merge_fixed
from pygents.locks import CrossLoopLock
from pygents.metadata import RunMetadata
from pygents.names import check_name
from pygents.registry import HookRegistry

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.turn import Turn

__all__ = ["AgentHook", "Hook", "HookMetadata", "HookType", "MemoryHook", "ToolHook", "TurnHook", "hook"]


class TurnHook(StrEnum):
    """Events of one turn; every hook gets the turn first."""

    BEFORE_RUN = "before_run"
    """Before the tool runs: ``(turn)``."""
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
    """Before the next turn is taken from the mailbox: ``(agent)``."""
    AFTER_TURN = "after_turn"
    """The turn is fully processed: ``(agent, turn)``."""
    ON_TURN_VALUE = "on_turn_value"
    """Before a value reaches the consumer: ``(agent, turn, value)``."""
    ON_TURN_ERROR = "on_turn_error"
    """The turn raised: ``(agent, turn, exception)``."""
    ON_TURN_TIMEOUT = "on_turn_timeout"
    """The turn timed out: ``(agent, turn)``."""
    BEFORE_PUT = "before_put"
    """Before a turn is enqueued: ``(agent, turn)``."""
    AFTER_PUT = "after_put"
    """After a turn was enqueued: ``(agent, turn)``."""


class ToolHook(StrEnum):
    """Events of a tool's invocation, inside its lock."""

    BEFORE_INVOKE = "before_invoke"
    """Before the function runs: ``(*args, **kwargs)`` as merged."""
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


type HookType = TurnHook | AgentHook | ToolHook | MemoryHook

_TYPES = (TurnHook, AgentHook, ToolHook, MemoryHook)


class HookMetadata(RunMetadata):
    """Name, description and run timing of a hook."""


class Hook(Protocol):
    """An async callable that is run at certain events."""

    __name__: str
    metadata: HookMetadata
    type: HookType | tuple[HookType, ...]
    fn: Callable[..., Awaitable[None]]
    lock: asyncio.Lock | None

    @property
    def hook_type(self) -> HookType | tuple[HookType, ...]:
        """The same as ``type``."""
        ...

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[None]:
        """Run the hook."""
        ...


class _HookFunction:
    """A decorated function; conforms to `Hook`."""

    __name__: str

    def __init__(
        self,
        fn: Callable[..., Awaitable[None]],
        hook_type: HookType | tuple[HookType, ...],
        lock: asyncio.Lock | None,
        fixed: dict[str, Any],
    ) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.metadata = HookMetadata(fn.__name__, fn.__doc__)
        self.type = hook_type
        self.lock = lock
        self._fixed = fixed
        inspect.markcoroutinefunction(self)

    def __repr__(self) -> str:
        return f"<hook {self.__name__!r} for {self.type!r}>"

    @property
    def hook_type(self) -> HookType | tuple[HookType, ...]:
        """The same as ``type``."""
        return self.type

    async def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the function, with the fixed keyword arguments, under the lock if there is one."""
        if self._fixed:
            kwargs = await merge_fixed(self._fixed, kwargs, f"hook {self.__name__!r}")
        if self.lock is None:
            await self._run(args, kwargs)
        else:
            async with self.lock:
                await self._run(args, kwargs)

    async def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        times = self.metadata.__dict__
        times["start_time"] = time()
        try:
            await self.fn(*args, **kwargs)
        finally:
            times["end_time"] = time()


type _On[**P] = Callable[[Callable[P, Awaitable[None]]], Hook]


@overload
def hook(
    type: Literal[TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN, TurnHook.ON_TIMEOUT],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Turn[Any]]": ...
@overload
def hook(
    type: Literal[TurnHook.ON_ERROR],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Turn[Any], BaseException]": ...
@overload
def hook(
    type: Literal[TurnHook.ON_VALUE],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Turn[Any], Any]": ...
@overload
def hook(
    type: Literal[AgentHook.BEFORE_TURN],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Agent]": ...
@overload
def hook(
    type: Literal[AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT, AgentHook.ON_TURN_TIMEOUT, AgentHook.AFTER_TURN],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Agent, Turn[Any]]": ...
@overload
def hook(
    type: Literal[AgentHook.ON_TURN_VALUE],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Agent, Turn[Any], Any]": ...
@overload
def hook(
    type: Literal[AgentHook.ON_TURN_ERROR],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Agent, Turn[Any], BaseException]": ...
@overload
def hook(
    type: Literal[ToolHook.ON_YIELD, ToolHook.AFTER_INVOKE],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> _On[Any]: ...
@overload
def hook(
    type: Literal[MemoryHook.BEFORE_APPEND, MemoryHook.AFTER_APPEND],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> _On[list[Any]]: ...
@overload
def hook(
    type: Literal[ToolHook.BEFORE_INVOKE] | Sequence[HookType],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> _On[...]: ...
def hook(
    type: HookType | Sequence[HookType],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> _On[...]:
    """Make an async function a hook, and register it under its name.

    Args:
        type: the event it is for, or a list of events; a hook for several must accept the arguments of each
        lock: run one invocation at a time, also between event loops
        fixed_kwargs: keyword arguments of every invocation; the call's own override them, functions are called each
            time

    Raises:
        TypeError: if `type` is no hook type, or the function is not a coroutine function or cannot take a fixed
            argument
        ValueError: if `type` is empty, or another hook has the name

    """
    hook_type = _checked_type(type)

    def decorate(fn: Callable[..., Awaitable[None]]) -> Hook:
        if not inspect.iscoroutinefunction(fn):
            msg = f"Hook must be async: {fn!r} is not a coroutine function"
            raise TypeError(msg)
        check_name(getattr(fn, "__name__", None), "a hook's name")
        check_fixed(fn, fixed_kwargs, "Hook")
        made = _HookFunction(fn, hook_type, CrossLoopLock() if lock else None, fixed_kwargs)
        HookRegistry.register(made)
        return made

    return decorate


def _checked_type(given: object) -> HookType | tuple[HookType, ...]:
    if isinstance(given, _TYPES):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence):
        msg = f"type must be a hook type such as TurnHook.BEFORE_RUN, or a list of them, not {given!r}"
        raise TypeError(msg)
    types = cast("Sequence[object]", given)
    for one in types:
        if not isinstance(one, _TYPES):
            msg = f"type must hold hook types such as TurnHook.BEFORE_RUN, not {one!r}"
            raise TypeError(msg)
    if not types:
        msg = "type requires at least one hook type, but the list is empty"
        raise ValueError(msg)
    checked = cast("tuple[HookType, ...]", tuple(dict.fromkeys(types)))
    return checked[0] if len(checked) == 1 else checked
