"""Hooks: what one is, and the ``@hook`` decorator. How the hooks of a list are run is in ``intercept``."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from pygents.actors.supervision import Directive
from pygents.arguments import check_fixed, merge_fixed
from pygents.deciding import Decision, Verdict
from pygents.decorated import Decorated
from pygents.hook_types import AgentHook, HookType, MemoryHook, ToolHook, TurnHook, checked_hook_type
from pygents.locks import CrossLoopLock, check_lock
from pygents.metadata import RunMetadata
from pygents.names import check_name
from pygents.registry import HookRegistry

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.turn import Turn

__all__ = ["AgentHook", "Hook", "HookMetadata", "HookType", "MemoryHook", "ToolHook", "TurnHook", "hook"]


class HookMetadata(RunMetadata):
    """Name, description and run timing of a hook.

    ``start_time`` and ``end_time`` are when the last run began and ended, in local time, or None.
    """


class Hook(Protocol):
    """An async callable that is run at certain events."""

    __name__: str
    """The name it is stored by."""
    metadata: HookMetadata
    """Its name, what it does, and when it last ran."""
    type: HookType | tuple[HookType, ...]
    """The event it is for, or a tuple of them."""
    fn: Callable[..., Awaitable[Verdict | None]]
    """The function that was decorated."""
    lock: asyncio.Lock | None
    """What lets one invocation run at a time; None without ``lock=True``."""

    @property
    def hook_type(self) -> HookType | tuple[HookType, ...]:
        """The same as ``type``."""
        ...

    def __call__(self, /, *args: Any, **kwargs: Any) -> Awaitable[Verdict | None]:
        """Run the hook, and give back what it says."""
        ...


class _HookFunction(Decorated):
    """A decorated function; conforms to `Hook`."""

    def __init__(
        self,
        fn: Callable[..., Awaitable[Verdict | None]],
        hook_type: HookType | tuple[HookType, ...],
        lock: asyncio.Lock | None,
        fixed: dict[str, Any],
    ) -> None:
        super().__init__(fn)
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

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Verdict | None:
        """Run the function, with the fixed keyword arguments, under the lock if there is one."""
        if self._fixed:
            kwargs = await merge_fixed(self._fixed, kwargs, f"hook {self.__name__!r}")
        if self.lock is None:
            return await self._run(args, kwargs)
        async with self.lock:
            return await self._run(args, kwargs)

    async def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Verdict | None:
        times = self.metadata.__dict__
        times["start_time"] = time()
        try:
            return await self.fn(*args, **kwargs)
        finally:
            times["end_time"] = time()


type _On[**P] = Callable[[Callable[P, Awaitable[None]]], Hook]
type _Before[**P] = Callable[[Callable[P, Awaitable[Decision | None]]], Hook]
type _Failed[**P] = Callable[[Callable[P, Awaitable[Directive | None]]], Hook]
type _Any = Callable[[Callable[..., Awaitable[Verdict | None]]], Hook]


@overload
def hook(
    type: Sequence[HookType],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> _Any: ...
@overload
def hook(
    type: Literal[ToolHook.BEFORE_INVOKE],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> _Before[...]: ...
@overload
def hook(
    type: Literal[TurnHook.BEFORE_RUN],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_Before[Turn[Any]]": ...
@overload
def hook(
    type: Literal[TurnHook.AFTER_RUN, TurnHook.ON_TIMEOUT],
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
) -> "_Before[Agent]": ...
@overload
def hook(
    type: Literal[AgentHook.BEFORE_PUT],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_Before[Agent, Turn[Any]]": ...
@overload
def hook(
    type: Literal[AgentHook.AFTER_PUT, AgentHook.AFTER_TURN],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_On[Agent, Turn[Any]]": ...
@overload
def hook(
    type: Literal[AgentHook.ON_TURN_TIMEOUT],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> "_Failed[Agent, Turn[Any]]": ...
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
) -> "_Failed[Agent, Turn[Any], BaseException]": ...
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
def hook(
    type: HookType | Sequence[HookType],
    *,
    lock: bool = False,
    **fixed_kwargs: object,
) -> Callable[[Callable[..., Awaitable[Any]]], Hook]:
    """Make an async function a hook, and register it under its name.

    A hook for BEFORE_PUT, BEFORE_TURN, BEFORE_RUN or BEFORE_INVOKE may return a `Deny`, `Skip` or `Replace`; one for
    ON_TURN_ERROR or ON_TURN_TIMEOUT a `Directive` for the agent's supervisor. There, anything else but None is a
    TypeError. What other hooks return is ignored.

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
    hook_type = checked_hook_type(type)
    check_lock(lock)

    def decorate(fn: Callable[..., Awaitable[Verdict | None]]) -> Hook:
        if not inspect.iscoroutinefunction(fn):
            msg = f"Hook must be async: {fn!r} is not a coroutine function"
            raise TypeError(msg)
        check_name(getattr(fn, "__name__", None), f"the name of {fn!r}")
        check_fixed(fn, fixed_kwargs, "Hook")
        made = _HookFunction(fn, hook_type, CrossLoopLock() if lock else None, fixed_kwargs)
        HookRegistry.register(made)
        return made

    return decorate
