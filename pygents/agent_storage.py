"""Agents as plain data: what is stored of one, and what is read of that before an agent is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pygents.acceptance import due
from pygents.actors.mailbox_policy import MailboxPolicy, Overflow
from pygents.agent_fields import check_accepted
from pygents.outcome import Due, StopReason
from pygents.registry import ToolRegistry
from pygents.serialization import Fields, hooks_from_dict
from pygents.work import Work, load_work, store_work

if TYPE_CHECKING:
    from pygents.hooks import Hook
    from pygents.tool import Tool

__all__ = ["StoredAgent", "load_agent", "store_policy", "store_turns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAgent:
    """What an agent is made of again."""

    name: str
    """Its name."""
    description: str
    """What it is for."""
    tools: "list[Tool]"
    """The tools that its turns may name."""
    hooks: "list[Hook]"
    """Its hooks."""
    current: Work | None
    """The turn in hand."""
    left: Due
    """What is due for that, if it had completed."""
    queue: list[Work]
    """The queued turns."""
    paused: bool
    """Whether it was paused."""
    mailbox: MailboxPolicy | None
    """What bounds its mailbox."""


def store_turns(current: Work | None, queued: list[Work]) -> dict[str, Any]:
    """Return the turn in hand and the queued ones as plain data: ``queue``, ``current_turn``, ``current_turn_due``.

    Raises:
        TypeError: if a turn has an async dynamic argument

    """
    data: dict[str, Any] = {
        "queue": [store_work(work) for work in queued],
        "current_turn": None if current is None else store_work(current),
    }
    left = None if current is None else due(current.message)
    if left is not None and left is not Due.AFTER_TURN and data["current_turn"]["stop_reason"] == StopReason.COMPLETED:
        data["current_turn_due"] = left.value
    return data


def store_policy(policy: MailboxPolicy) -> dict[str, Any]:
    """Return what bounds an agent's mailbox as plain data.

    Raises:
        TypeError: if it has a function for keys

    """
    if policy.key is not None:
        msg = f"{policy!r} cannot be stored, since its key is a function: give it to spawn(), not to the agent"
        raise TypeError(msg)
    return {"capacity": policy.capacity, "overflow": policy.overflow.value, "timeout": policy.timeout}


def load_agent(data: Mapping[str, Any]) -> StoredAgent:
    """Return what was stored of an agent, checked.

    Raises:
        ValueError: if a field is missing or has an impossible value; the message names it
        TypeError: if a field is of the wrong type; the message names it
        UnregisteredToolError: if a tool is not registered
        UnregisteredHookError: if a hook is not registered

    """
    fields = Fields(data, "Agent")
    name, description = fields.read("name", str), fields.read("description", str)
    tools = [ToolRegistry.get(tool_name) for tool_name in fields.names("tool_names")]
    current = fields.read("current_turn", (Mapping, type(None)), None)
    stored = StoredAgent(
        name=name,
        description=description,
        tools=tools,
        current=None if current is None else _work(fields, "current_turn", current),
        left=_due(fields),
        queue=[_work(fields, "queue", turn) for turn in fields.read("queue", (list, tuple), ())],
        hooks=hooks_from_dict(fields),
        paused=fields.read("paused", bool, False),  # noqa: FBT003
        mailbox=_policy(fields),
    )
    check_accepted(name, tools, [*stored.queue] if stored.current is None else [stored.current, *stored.queue])
    return stored


def _policy(fields: Fields) -> MailboxPolicy | None:
    stored = fields.read("mailbox", (Mapping, type(None)), None)
    if stored is None:
        return None
    try:
        own = Fields(stored, "MailboxPolicy")
        return MailboxPolicy(
            capacity=own.read("capacity", object),
            overflow=Overflow(own.read("overflow", object)),
            timeout=own.read("timeout", object),
        )
    except (TypeError, ValueError) as error:
        raise type(error)(fields.error("mailbox", f"cannot be restored: {error}")) from error


def _due(fields: Fields) -> Due:
    stored = fields.read("current_turn_due", (str, type(None)), None)
    try:
        return Due.AFTER_TURN if stored is None else Due(stored)
    except ValueError:
        wanted = ", ".join(repr(one.value) for one in Due)
        raise ValueError(fields.error("current_turn_due", f"must be one of {wanted} or None, not {stored!r}")) from None


def _work(fields: Fields, name: str, stored: Mapping[str, Any]) -> Work:
    try:
        return load_work(stored)
    except (TypeError, ValueError) as error:
        raise type(error)(fields.error(name, f"holds a turn that cannot be restored: {error}")) from error
