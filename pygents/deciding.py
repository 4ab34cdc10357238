"""What becomes of decisions: which events take one, and how several make one.

What is decided later holds, with one exception: other arguments do not bring back a tool that is not to run.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pygents.decisions import Deny, Replace, Skip
from pygents.hook_types import AgentHook, HookType, ToolHook, TurnHook

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = ["Decision", "applied", "checked_decision", "combined", "is_final"]

type Decision = Deny | Skip | Replace
"""What a hook may return, besides None."""

_DECIDING = frozenset[HookType](
    {AgentHook.BEFORE_PUT, AgentHook.BEFORE_TURN, TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE}
)


def checked_decision(returned: object, hook: "Hook", hook_type: HookType) -> Decision | None:
    """Return what a hook has decided; for an event that takes no decision, None.

    Raises:
        TypeError: if the event takes a decision, and this is none

    """
    if hook_type not in _DECIDING:
        return None
    if returned is not None and not isinstance(returned, (Deny, Skip, Replace)):
        msg = f"{hook!r} returned {returned!r} for {hook_type}: return a Deny, Skip or Replace, or None to go on"
        raise TypeError(msg)
    return returned


def is_final(decision: Decision | None) -> bool:
    """Return whether the tool is not to run, so that no other hook need be asked."""
    return isinstance(decision, (Deny, Skip))


def combined(first: Decision | None, then: Decision | None) -> Decision | None:
    """Return what two decisions, one after the other, come to."""
    if then is None or (is_final(first) and isinstance(then, Replace)):
        return first
    if isinstance(first, Replace) and isinstance(then, Replace):
        return Replace(
            args=first.args if then.args is None else then.args,
            kwargs=first.kwargs if then.kwargs is None else then.kwargs,
        )
    return then


def applied(
    decision: Replace | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return new positional and keyword arguments: the given ones, unless they are replaced."""
    if decision is None:
        return [*args], {**kwargs}
    return (
        [*(args if decision.args is None else decision.args)],
        {**(kwargs if decision.kwargs is None else decision.kwargs)},
    )
