"""What becomes of what hooks return: which events take a decision or a directive, and how several decisions make one.

What is decided later holds, with one exception: other arguments do not bring back a tool that is not to run.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pygents.actors.supervision import Directive
from pygents.decisions import Deny, Replace, Skip
from pygents.errors import TurnDeniedError
from pygents.hook_types import AgentHook, HookType, ToolHook, TurnHook

if TYPE_CHECKING:
    from pygents.hooks import Hook

__all__ = [
    "Decision",
    "Verdict",
    "applied",
    "checked_decision",
    "checked_directive",
    "combined",
    "denial",
    "is_denial",
    "is_final",
]

type Decision = Deny | Skip | Replace
"""What a hook may return before something is done, besides None."""

type Verdict = Decision | Directive
"""What any hook may return, besides None."""

_DECIDING = frozenset[HookType](
    {AgentHook.BEFORE_PUT, AgentHook.BEFORE_TURN, TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE}
)
_DIRECTING = frozenset[HookType]({AgentHook.ON_TURN_ERROR, AgentHook.ON_TURN_TIMEOUT})


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


def checked_directive(returned: object, hook: "Hook", hook_type: HookType) -> Directive | None:
    """Return what a hook says is to be done about a failure; for an event that takes no directive, None.

    Raises:
        TypeError: if the event takes a directive, and this is none

    """
    if returned is None or hook_type not in _DIRECTING:
        return None
    if not isinstance(returned, Directive):
        msg = f"{hook!r} returned {returned!r} for {hook_type}: return a Directive, or None to leave it to the others"
        raise TypeError(msg)
    return returned


def denial(deny: Deny | TurnDeniedError, turn: object) -> TurnDeniedError:
    """Return what is raised for a turn that is denied, by a decision or by an exception that a hook has raised.

    It is a refusal of that turn alone: where it comes out of another turn's tool, it is a failure like any other.
    """
    error = TurnDeniedError(deny.reason) if isinstance(deny, Deny) else deny
    error.__dict__["_turn"] = id(turn)  # not the turn: an error may be pickled
    return error


def is_denial(error: BaseException, turn: object) -> bool:
    """Return whether an error says that this very turn was denied."""
    return isinstance(error, TurnDeniedError) and error.__dict__.get("_turn") == id(turn)


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
