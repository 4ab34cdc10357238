"""The fields of an agent: what may be in them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from pygents.intercept import check_hooks
from pygents.registry import ToolRegistry
from pygents.work import Work

if TYPE_CHECKING:
    from pygents.tool import Tool

__all__ = ["CHECKS", "check_accepted", "checked_description", "checked_tools"]


def checked_description(description: object) -> str:
    """Return a description.

    Raises:
        TypeError: if it is none

    """
    if not isinstance(description, str):
        msg = f"an agent's description must be a string, not {description!r}"
        raise TypeError(msg)
    return description


def checked_tools(tools: object) -> "list[Tool]":
    """Return a new list of the tools.

    Raises:
        TypeError: if it is not iterable, or something in it is no tool
        UnregisteredToolError: if one is not registered
        ValueError: if another one is registered under its name

    """
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Iterable):
        msg = f"tools must be a list of tools, not {tools!r}"
        raise TypeError(msg)
    return [_checked_tool(tool) for tool in cast("Iterable[object]", tools)]


def _checked_tool(tool: object) -> "Tool":
    name = getattr(getattr(tool, "metadata", None), "name", None)
    if not isinstance(name, str) or not callable(tool):
        msg = f"{tool!r} is not a tool: decorate an async function with @tool()"
        raise TypeError(msg)
    registered: object = ToolRegistry.get(name)
    if registered is not tool:
        msg = f"Tool {name!r} is registered but not the instance given to this agent"
        raise ValueError(msg)
    return cast("Tool", tool)


def check_accepted(name: str, tools: "list[Tool]", queued: list[Work]) -> None:
    """Check that an agent of this name with these tools could run what is queued.

    Raises:
        ValueError: if it could not

    """
    for turn in (work.message for work in queued):
        if turn.tool is not None and turn.tool not in tools:
            msg = f"Agent {name!r} does not accept tool {turn.tool.metadata.name!r}, which a queued turn names"
            raise ValueError(msg)


CHECKS: dict[str, Callable[[object], object]] = {
    "description": checked_description,
    "tools": checked_tools,
    "hooks": check_hooks,
}
"""What checks a value that is assigned to a field."""
