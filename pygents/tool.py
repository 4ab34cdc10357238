"""Tools: the ``@tool`` wrapper with its metadata, lock, hooks and fixed keyword arguments.

A tool is plain Python: it is called like the function it wraps, with or without a turn. The lock is taken here, so it
covers the function with its tool hooks, and nothing of the turn's.
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

from pygents.arguments import check_fixed, merge_fixed
from pygents.hooks import ToolHook
from pygents.intercept import check_hooks, run_hooks
from pygents.locks import CrossLoopLock
from pygents.metadata import RunMetadata
from pygents.registry import ToolRegistry

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["Tool", "ToolMetadata", "tool"]


@dataclass
class ToolMetadata(RunMetadata):
    """Name, description and run timing of a tool."""


class Tool(Protocol):
    """An async callable that turns can name."""

    __name__: str
    metadata: ToolMetadata
    fn: Callable[..., Any]
    lock: asyncio.Lock | None
    hooks: "list[Hook]"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (each tool has its own signature)
        """Call the tool: a coroutine, or an async generator."""
        ...


class _ToolFunction[**P, R]:
    """A decorated function; conforms to `Tool`."""

    __name__: str

    def __init__(
        self, fn: Callable[P, R], lock: asyncio.Lock | None, hooks: "list[Hook]", fixed: dict[str, Any]
    ) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.metadata = ToolMetadata(fn.__name__, fn.__doc__)
        self.lock = lock
        self.hooks = hooks
        self.streams = inspect.isasyncgenfunction(fn)
        self._fixed = fixed
        self._call = cast("Callable[..., R]", self._stream if self.streams else self._invoke)
        if not self.streams:
            inspect.markcoroutinefunction(self)

    def __repr__(self) -> str:
        return f"<tool {self.__name__!r}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function with the fixed keyword arguments, under the lock if there is one."""
        return self._call(args, kwargs)

    async def _invoke(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        if self._fixed:
            kwargs = await merge_fixed(self._fixed, kwargs, f"tool {self.__name__!r}")
        if self.lock is None:
            return await self._invoke_unlocked(args, kwargs)
        async with self.lock:
            return await self._invoke_unlocked(args, kwargs)

    async def _invoke_unlocked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        fn = cast("Callable[..., Awaitable[object]]", self.fn)
        self.metadata.start_time = datetime.now()  # noqa: DTZ005 (local time, like the turns' own)
        try:
            if not self.hooks:
                return await fn(*args, **kwargs)
            await run_hooks(self.hooks, ToolHook.BEFORE_INVOKE, *args, **kwargs)
            value = await fn(*args, **kwargs)
            await run_hooks(self.hooks, ToolHook.AFTER_INVOKE, value)
            return value
        finally:
            self.metadata.end_time = datetime.now()  # noqa: DTZ005

    async def _stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncGenerator[object]:
        fn = cast("Callable[..., AsyncGenerator[object]]", self.fn)
        if self._fixed:
            kwargs = await merge_fixed(self._fixed, kwargs, f"tool {self.__name__!r}")
        async with nullcontext() if self.lock is None else self.lock:
            self.metadata.start_time = datetime.now()  # noqa: DTZ005
            value: object = None
            try:
                if self.hooks:
                    await run_hooks(self.hooks, ToolHook.BEFORE_INVOKE, *args, **kwargs)
                async with aclosing(fn(*args, **kwargs)) as values:
                    async for value in values:
                        if self.hooks:
                            await run_hooks(self.hooks, ToolHook.ON_YIELD, value)
                        yield value
                if self.hooks:
                    await run_hooks(self.hooks, ToolHook.AFTER_INVOKE, value)
            finally:
                self.metadata.end_time = datetime.now()  # noqa: DTZ005


class _Decorator(Protocol):
    @overload
    def __call__[**P, R](self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> _ToolFunction[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[P, AsyncIterator[R]], /) -> _ToolFunction[P, AsyncIterator[R]]: ...


@overload
def tool[**P, R](func: Callable[P, Coroutine[Any, Any, R]], /) -> _ToolFunction[P, Coroutine[Any, Any, R]]: ...
@overload
def tool[**P, R](func: Callable[P, AsyncIterator[R]], /) -> _ToolFunction[P, AsyncIterator[R]]: ...
@overload
def tool(*, lock: bool = False, hooks: "Iterable[Hook] | None" = None, **fixed_kwargs: object) -> _Decorator: ...
def tool(
    func: Callable[..., Any] | None = None,
    *,
    lock: bool = False,
    hooks: "Iterable[Hook] | None" = None,
    **fixed_kwargs: object,
) -> Any:
    """Make an async function a tool, and register it under its name.

    Args:
        func: the coroutine function or async generator function, if the decorator is used without parentheses
        lock: run one invocation at a time, also between event loops and threads
        hooks: hooks for the tool's own events
        fixed_kwargs: keyword arguments of every invocation; the call's own override them, functions are called each time

    Raises:
        TypeError: if the function is not async or cannot take a fixed argument, or something in `hooks` is no hook
        ValueError: if the name is taken

    """
    own_hooks = check_hooks(hooks)

    def decorate(fn: Callable[..., Any]) -> "_ToolFunction[..., Any]":
        if not (inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)):
            msg = f"Tool must be async: {fn!r} is neither a coroutine function nor an async generator function"
            raise TypeError(msg)
        check_fixed(fn, fixed_kwargs, "Tool")
        made = _ToolFunction(fn, CrossLoopLock() if lock else None, own_hooks, fixed_kwargs)
        ToolRegistry.register(made)
        return made

    return decorate if func is None else decorate(func)
