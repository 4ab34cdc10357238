"""What a decorated function is: its metadata, lock, hooks and fixed keyword arguments around its two ways to be called.

A tool is plain Python: it is called like the function it wraps, with or without a turn. The lock is taken here, so it
covers the function with its tool hooks, and nothing of the turn's.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from time import time
from typing import TYPE_CHECKING, Any, cast

from pygents.arguments import merge_fixed
from pygents.context import current_turn
from pygents.deciding import applied, denial
from pygents.decisions import Deny, Replace, Skip
from pygents.decorated import Decorated
from pygents.errors import TurnDeniedError
from pygents.generators import begin
from pygents.hooks import ToolHook
from pygents.intercept import check_hooks, hooks_for, run_hooks
from pygents.task_watch import Outcome

if TYPE_CHECKING:
    from pygents.hooks import Hook
    from pygents.tool import Tool, ToolMetadata

__all__ = ["CoroutineTool", "GeneratorTool", "is_streaming"]


class _ToolFunction[**P, R](Decorated):
    """A decorated function; with one of the two ways to call it, it conforms to `Tool`."""

    def __init__(
        self,
        fn: Callable[P, R],
        metadata: "ToolMetadata",
        lock: asyncio.Lock | None,
        hooks: "list[Hook]",
        fixed: dict[str, Any],
    ) -> None:
        super().__init__(fn)
        self.fn = fn
        self.metadata = metadata
        self.lock = lock
        self.hooks = hooks
        self._fixed = fixed

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, check_hooks(value) if name == "hooks" else value)

    def __repr__(self) -> str:
        return f"<tool {self.__name__!r}>"

    async def _merged(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return await merge_fixed(self._fixed, kwargs, f"tool {self.__name__!r}")

    async def _decided(
        self, args: Iterable[Any], kwargs: dict[str, Any]
    ) -> tuple[Iterable[Any], dict[str, Any], Skip | None]:
        """Run the hooks for BEFORE_INVOKE, each with the arguments as those before it have left them."""
        for hook in hooks_for(self.hooks, ToolHook.BEFORE_INVOKE):
            try:
                decision = await run_hooks((hook,), ToolHook.BEFORE_INVOKE, *args, **kwargs)
            except TurnDeniedError as error:
                raise denial(error, current_turn())  # noqa: B904 (it is the error)
            if isinstance(decision, Deny):
                raise denial(decision, current_turn())
            if isinstance(decision, Skip):
                return args, kwargs, decision
            if isinstance(decision, Replace):
                args, kwargs = applied(decision, [*args], kwargs)
        return args, kwargs, None


class CoroutineTool[**P, R](_ToolFunction[P, Coroutine[Any, Any, R]]):
    """A tool that returns one value."""

    def __init__(
        self,
        fn: Callable[P, Coroutine[Any, Any, R]],
        metadata: "ToolMetadata",
        lock: asyncio.Lock | None,
        hooks: "list[Hook]",
        fixed: dict[str, Any],
    ) -> None:
        super().__init__(fn, metadata, lock, hooks, fixed)
        inspect.markcoroutinefunction(self)

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await the function, with the fixed keyword arguments, under the lock if there is one."""
        value, failure = await self.attempt(args, kwargs)
        if failure is not None:
            raise failure
        return cast("R", value)

    async def attempt(self, args: Iterable[Any], kwargs: dict[str, Any], /) -> Outcome[R]:
        """Call the tool with arguments that are collected already; what it raises is handed over."""
        lock: asyncio.Lock | None = None
        try:
            if self._fixed:
                kwargs = await self._merged(kwargs)
            if self.lock is not None:
                await self.lock.acquire()
                lock = self.lock
            fn: Callable[..., Coroutine[Any, Any, R]] = self.fn
            times = self.metadata.__dict__
            times["start_time"] = time()
            try:
                if not self.hooks:
                    return await fn(*args, **kwargs), None
                args, kwargs, skip = await self._decided(args, kwargs)
                if skip is not None:
                    return skip.value, None
                value = await fn(*args, **kwargs)
                await run_hooks(self.hooks, ToolHook.AFTER_INVOKE, value)
                return value, None
            finally:
                times["end_time"] = time()
                if lock is not None:
                    lock.release()
        except BaseException as error:  # noqa: BLE001 (handed over)
            return None, error


class GeneratorTool[**P, R](_ToolFunction[P, AsyncGenerator[R]]):
    """A tool that yields values."""

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R]:
        """Stream the function's values, with the fixed keyword arguments, under the lock if there is one."""
        given: Iterable[Any] = args
        named: dict[str, Any] = kwargs
        if self._fixed:
            named = await self._merged(named)
        if (lock := self.lock) is not None:
            await lock.acquire()
        fn: Callable[..., AsyncGenerator[R]] = self.fn
        times = self.metadata.__dict__
        times["start_time"] = time()
        value: R | None = None
        try:
            if self.hooks:
                given, named, skip = await self._decided(given, named)
                if skip is not None:
                    yield skip.value
                    return
            async with aclosing(fn(*given, **named)) as values:
                step = begin(values)
                while True:
                    try:
                        value = await step
                    except StopAsyncIteration:
                        break
                    if self.hooks:
                        await run_hooks(self.hooks, ToolHook.ON_YIELD, value)
                    yield value
                    step = anext(values)
            if self.hooks:
                await run_hooks(self.hooks, ToolHook.AFTER_INVOKE, value)
        finally:
            times["end_time"] = time()
            if lock is not None:
                lock.release()


def is_streaming(tool: "Tool | None") -> bool:
    """Return whether a tool yields values rather than returning one."""
    kind = type(tool)
    if kind is CoroutineTool:
        return False
    return kind is GeneratorTool or inspect.isasyncgenfunction(getattr(tool, "fn", None))
