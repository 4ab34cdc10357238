"""Tools that may fail: while a simulation with faults runs, the functions of its agents' tools are wrapped.

A tool is shared by all agents that have it, in a simulation or not. So whoever wraps it gives it back, and the wrapper
looks who calls: only an agent in a system is befallen.
"""

# pyright: reportPrivateUsage=false

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pygents.context import current_agent
from pygents.testing.faults import Mishaps
from pygents.tool_functions import is_streaming

if TYPE_CHECKING:
    from pygents.tool import Tool

__all__ = ["FaultyTools"]


class FaultyTools:
    """The tools of a simulation's agents.

    Args:
        mishaps: decides what befalls them

    """

    def __init__(self, mishaps: Mishaps) -> None:
        self._mishaps = mishaps
        self._taken: list[tuple[Tool, Callable[..., Any]]] = []

    def take(self, tools: "Iterable[Tool]") -> None:
        """Have faults befall some tools, too."""
        for tool in tools:
            if not any(tool is taken for taken, _ in self._taken):
                fn = tool.fn
                self._taken.append((tool, fn))
                tool.fn = self._stream(fn) if is_streaming(tool) else self._call(fn)

    def give_back(self) -> None:
        """Leave all tools as they were."""
        for tool, fn in self._taken:
            tool.fn = fn
        self._taken.clear()

    def _call(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            path = _path_here()
            fails = path is not None and await self._mishaps.strike(path)
            value = await fn(*args, **kwargs)
            if path is not None and fails:
                raise self._mishaps.error(path)
            return value

        return call

    def _stream(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            path = _path_here()
            fails = path is not None and await self._mishaps.strike(path)
            async with aclosing(fn(*args, **kwargs)) as values:
                async for value in values:
                    yield value
            if path is not None and fails:
                raise self._mishaps.error(path)

        return stream


def _path_here() -> str | None:
    """Return the path of the agent that is running, if it lives in a system."""
    agent = current_agent()
    return None if agent is None else agent.ref._path  # noqa: SLF001 (our own ref)
