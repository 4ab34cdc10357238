"""Asking the hooks that may decide on a turn.

Each hook sees on the turn (``turn.replaced``) what those before it have replaced.
"""

from typing import TYPE_CHECKING, Any

from pygents.called_with import note_again, show_replaced
from pygents.deciding import Decision, combined, denial, is_final
from pygents.decisions import Deny, Replace, Skip
from pygents.errors import TurnDeniedError
from pygents.hook_types import AgentHook, TurnHook
from pygents.intercept import hooks_for, intercept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pygents.agent import Agent
    from pygents.hook_types import HookType
    from pygents.hooks import Hook
    from pygents.turn import Turn

__all__ = ["decide_put", "decide_run"]


async def decide_run(turn: "Turn[Any]", so_far: Decision | None) -> Skip | Replace | None:
    """Ask the turn's hooks for BEFORE_RUN, unless it is denied or skipped already.

    Raises:
        TurnDeniedError: if it is denied
        BaseException: as `intercept`

    """
    _show(turn, so_far)
    return await _decide(turn, turn.hooks, TurnHook.BEFORE_RUN, (turn,), so_far)


async def decide_put(agent: "Agent", turn: "Turn[Any]") -> Skip | Replace | None:
    """Ask the agent's hooks for BEFORE_PUT, and leave the turn as it was.

    Raises:
        TurnDeniedError: if it is denied
        BaseException: as `intercept`

    """
    noted = turn.__dict__["_called_with"]
    try:
        return await _decide(turn, agent.hooks, AgentHook.BEFORE_PUT, (agent, turn), None)
    finally:
        note_again(turn, noted)


async def _decide(
    turn: "Turn[Any]",
    hooks: "Sequence[Hook]",
    hook_type: "HookType",
    args: tuple[Any, ...],
    so_far: Decision | None,
) -> Skip | Replace | None:
    for hook in hooks_for(hooks, hook_type):
        if is_final(so_far):
            break
        try:
            so_far = combined(so_far, await intercept((hook,), hook_type, *args))
        except TurnDeniedError as error:
            raise denial(error, turn)  # noqa: B904 (it is the error)
        _show(turn, so_far)
    if isinstance(so_far, Deny):
        raise denial(so_far, turn)
    return so_far


def _show(turn: "Turn[Any]", decision: Decision | None) -> None:
    if isinstance(decision, Replace):
        show_replaced(turn, decision)
