"""The fields of an agent: what may be in them, and how what is stored of its work is read."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from pygents.intercept import check_hooks
from pygents.outcome import Due
from pygents.registry import ToolRegistry
from pygents.serialization import Fields
from pygents.work import Work, load_work

if TYPE_CHECKING:
    from pygents.tool import Tool

__all__ = ["CHECKS", "check_accepted", "checked_description", "checked_tools", "stored_due", "stored_work"]


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


def stored_due(fields: Fields) -> Due:
    """Return what was left to be done for the turn in hand.

    Raises:
        TypeError: if it is no string
        ValueError: if there is no such thing

    """
    stored = fields.read("current_turn_due", (str, type(None)), None)
    try:
        return Due.AFTER_TURN if stored is None else Due(stored)
    except ValueError:
        wanted = ", ".join(repr(one.value) for one in Due)
        raise ValueError(fields.error("current_turn_due", f"must be one of {wanted} or None, not {stored!r}")) from None


def stored_work(fields: Fields, name: str, stored: Mapping[str, Any]) -> Work:
    """Return a turn of the field `name`.

    Raises:
        TypeError: if it cannot be restored
        ValueError: likewise

    """
    try:
        return load_work(stored)
    except (TypeError, ValueError) as error:
        raise type(error)(fields.error(name, f"holds a turn that cannot be restored: {error}")) from error


CHECKS: dict[str, Callable[[object], object]] = {
    "description": checked_description,
    "tools": checked_tools,
    "hooks": check_hooks,
}
"""What checks a value that is assigned to a field."""
