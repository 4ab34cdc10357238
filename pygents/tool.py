"""Tools: the ``@tool`` wrapper with its metadata, lock, hooks and fixed keyword arguments.

A tool is plain Python: it is called like the function it wraps, with or without a turn. The lock is taken here, so it
covers the function with its tool hooks, and nothing of the turn's.
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing
from time import time
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

from pygents.arguments import check_fixed, merge_fixed
from pygents.generators import begin
from pygents.hooks import ToolHook
from pygents.intercept import check_hooks, run_hooks
from pygents.locks import CrossLoopLock
from pygents.metadata import RunMetadata
from pygents.names import check_name
from pygents.registry import ToolRegistry

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["Tool", "ToolMetadata", "tool"]


class ToolMetadata(RunMetadata):
    """Name, description and run timing of a tool."""


class Tool(Protocol):
    """An async callable that turns can name."""

    __name__: str
    metadata: ToolMetadata
    fn: Callable[..., Any]
    lock: asyncio.Lock | None
    hooks: "list[Hook]"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool: a coroutine, or an async generator."""
        ...


class _ToolFunction[**P, R]:
    """A decorated function; with one of the two ways to call it, it conforms to `Tool`."""

    __name__: str

    def __init__(
        self, fn: Callable[P, R], lock: asyncio.Lock | None, hooks: "list[Hook]", fixed: dict[str, Any]
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), fn)
        self.fn = fn
        self.metadata = ToolMetadata(fn.__name__, fn.__doc__)
        self.lock = lock
        self.hooks = hooks
        self._fixed = fixed

    def __repr__(self) -> str:
        return f"<tool {self.__name__!r}>"

    async def _merged(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return await merge_fixed(self._fixed, kwargs, f"tool {self.__name__!r}")


class _CoroutineTool[**P, R](_ToolFunction[P, Coroutine[Any, Any, R]]):
    """A tool that returns one value."""

    streams = False

    def __init__(
        self,
        fn: Callable[P, Coroutine[Any, Any, R]],
        lock: asyncio.Lock | None,
        hooks: "list[Hook]",
        fixed: dict[str, Any],
    ) -> None:
        super().__init__(fn, lock, hooks, fixed)
        inspect.markcoroutinefunction(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await the function, with the fixed keyword arguments, under the lock if there is one."""
        given: dict[str, Any] = kwargs
        if self._fixed:
            given = await self._merged(given)
        if (lock := self.lock) is not None:
            await lock.acquire()
        fn: Callable[..., Coroutine[Any, Any, R]] = self.fn
        times = self.metadata.__dict__
        times["start_time"] = time()
        try:
            if not self.hooks:
                return await fn(*args, **given)
            await run_hooks(self.hooks, ToolHook.BEFORE_INVOKE, *args, **given)
            value = await fn(*args, **given)
            await run_hooks(self.hooks, ToolHook.AFTER_INVOKE, value)
            return value
        finally:
            times["end_time"] = time()
            if lock is not None:
                lock.release()


class _GeneratorTool[**P, R](_ToolFunction[P, AsyncGenerator[R]]):
    """A tool that yields values."""

    streams = True

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R]:
        """Stream the function's values, with the fixed keyword arguments, under the lock if there is one."""
        given: dict[str, Any] = kwargs
        if self._fixed:
            given = await self._merged(given)
        if (lock := self.lock) is not None:
            await lock.acquire()
        fn: Callable[..., AsyncGenerator[R]] = self.fn
        times = self.metadata.__dict__
        times["start_time"] = time()
        value: R | None = None
        try:
            if self.hooks:
                await run_hooks(self.hooks, ToolHook.BEFORE_INVOKE, *args, **given)
            async with aclosing(fn(*args, **given)) as values:
                step = begin(values)
                while True:
                    try:
                        value = await step
                    except StopAsyncIteration:
                        break
                    if self.hooks:
                        await run_hooks(self.hooks, ToolHook.ON_YIELD, value)
                    yield value
                    step = values.__anext__()
            if self.hooks:
                await run_hooks(self.hooks, ToolHook.AFTER_INVOKE, value)
        finally:
            times["end_time"] = time()
            if lock is not None:
                lock.release()


class _Decorator(Protocol):
    @overload
    def __call__[**P, R](self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> _CoroutineTool[P, R]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[P, AsyncGenerator[R]], /) -> _GeneratorTool[P, R]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[P, AsyncIterator[R]], /) -> _GeneratorTool[P, R]: ...


@overload
def tool[**P, R](func: Callable[P, Coroutine[Any, Any, R]], /) -> _CoroutineTool[P, R]: ...
@overload
def tool[**P, R](func: Callable[P, AsyncGenerator[R]], /) -> _GeneratorTool[P, R]: ...
@overload
def tool[**P, R](func: Callable[P, AsyncIterator[R]], /) -> _GeneratorTool[P, R]: ...
@overload
def tool(*, lock: bool = False, hooks: "Iterable[Hook] | None" = None, **fixed_kwargs: Any) -> _Decorator: ...
def tool(
    func: Callable[..., Any] | None = None,
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

    def decorate(fn: Callable[..., Any]) -> Tool:
        if not (inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)):
            msg = f"Tool must be async: {fn!r} is neither a coroutine function nor an async generator function"
            raise TypeError(msg)
        check_name(getattr(fn, "__name__", None), "a tool's name")
        check_fixed(fn, fixed_kwargs, "Tool")
        kind = _GeneratorTool[..., Any] if inspect.isasyncgenfunction(fn) else _CoroutineTool[..., Any]
        made = kind(fn, CrossLoopLock() if lock else None, list(own_hooks), fixed_kwargs)
        ToolRegistry.register(made)
        return made

    return decorate if func is None else decorate(func)
