"""Tools: what one is, and the ``@tool`` decorator that makes one. What calling it does is in ``tool_functions``."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Protocol, overload

from pygents.arguments import check_fixed
from pygents.intercept import check_hooks
from pygents.locks import CrossLoopLock, check_lock
from pygents.metadata import RunMetadata
from pygents.names import check_name
from pygents.registry import ToolRegistry
from pygents.tool_functions import CoroutineTool, GeneratorTool

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["Tool", "ToolMetadata", "tool"]


class ToolMetadata(RunMetadata):
    """Name, description and run timing of a tool.

    ``start_time`` and ``end_time`` are when the last run began and ended, in local time, or None.
    """


class Tool(Protocol):
    """An async callable that turns can name."""

    __name__: str
    """The name that turns call it by."""
    metadata: ToolMetadata
    """Its name, what it does, and when it last ran."""
    fn: Callable[..., Any]
    """The function that was decorated."""
    lock: asyncio.Lock | None
    """What lets one invocation run at a time; None without ``lock=True``."""
    hooks: "list[Hook]"
    """Hooks for the tool's own events; append to it."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the tool: a coroutine, or an async generator."""
        ...


class _Decorator(Protocol):
    @overload
    def __call__[**P, R](self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> CoroutineTool[P, R]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[P, AsyncGenerator[R]], /) -> GeneratorTool[P, R]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[P, AsyncIterator[R]], /) -> GeneratorTool[P, R]: ...


@overload
def tool[**P, R](func: Callable[P, Coroutine[Any, Any, R]], /) -> CoroutineTool[P, R]: ...
@overload
def tool[**P, R](func: Callable[P, AsyncGenerator[R]], /) -> GeneratorTool[P, R]: ...
@overload
def tool[**P, R](func: Callable[P, AsyncIterator[R]], /) -> GeneratorTool[P, R]: ...
@overload
def tool(*, lock: bool = False, hooks: "Iterable[Hook] | None" = None, **fixed_kwargs: Any) -> _Decorator: ...
def tool(
    func: Callable[..., Any] | None = None,
    /,
    *,
    lock: bool = False,
    hooks: "Iterable[Hook] | None" = None,
    **fixed_kwargs: Any,
) -> Any:
    """Make an async function a tool, and register it under its name.

    Args:
        func: the coroutine function or async generator function, if the decorator is used without parentheses
        lock: run one invocation at a time, also between event loops and threads
        hooks: hooks for the tool's own events
        fixed_kwargs: keyword arguments of every invocation; the call's own override them, functions are called each
            time

    Raises:
        TypeError: if the function is not async or cannot take a fixed argument, or something in `hooks` is no hook
        ValueError: if the name is taken

    """
    own_hooks = check_hooks(hooks)
    check_lock(lock)

    def decorate(fn: Callable[..., Any]) -> Tool:
        if not (inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)):
            msg = f"Tool must be async: {fn!r} is neither a coroutine function nor an async generator function"
            raise TypeError(msg)
        check_name(getattr(fn, "__name__", None), f"the name of {fn!r}")
        check_fixed(fn, fixed_kwargs, "Tool")
        kind = GeneratorTool[..., Any] if inspect.isasyncgenfunction(fn) else CoroutineTool[..., Any]
        metadata = ToolMetadata(fn.__name__, fn.__doc__)
        made = kind(fn, metadata, CrossLoopLock() if lock else None, own_hooks, fixed_kwargs)
        ToolRegistry.register(made)
        return made

    return decorate if func is None else decorate(func)
