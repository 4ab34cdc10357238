"""Running an agent's own hooks around its turns."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pygents.actors.supervision import Directive
from pygents.context import frame_for, within
from pygents.deciding import Decision, is_denial
from pygents.errors import TurnCancelledError
from pygents.hooks import AgentHook
from pygents.intercept import LeakedCancellationError, intercept, run_failure_hooks
from pygents.outcome import StopReason
from pygents.turn import Turn

if TYPE_CHECKING:
    from pygents.agent import Agent

__all__ = ["FollowUp", "outside_turns", "run_agent_hooks", "run_hooks_for_failure", "show"]

type FollowUp = Callable[["Agent", Turn[Any]], Awaitable[None]]
"""What is done after a turn's last value: the hooks for AFTER_TURN are run, and a turn that it returned is put."""


async def run_agent_hooks(
    agent: "Agent", turn: Turn[Any] | None, hook_type: AgentHook, *args: object
) -> Decision | None:
    """Run the hooks for an event, with the agent and the turn as what is running, and return what they decide."""
    return await within(frame_for(turn, agent), intercept(agent.hooks, hook_type, *args))


async def outside_turns[T](hooks: Awaitable[T]) -> T:
    """Await hooks that are part of no turn of the agent's, but may run in a tool of another's.

    Raises:
        TurnCancelledError: if one let a ``CancelledError`` out by itself
        BaseException: what else one raised

    """
    try:
        return await hooks
    except LeakedCancellationError as leak:
        raise TurnCancelledError(leak.reason) from leak.__cause__


async def run_hooks_for_failure(agent: "Agent", turn: Turn[Any], failure: BaseException) -> Directive | None:
    """Run the hooks for how a turn has failed, and return what they say is to be done; a denial is no failure."""
    if not agent.hooks or is_denial(failure, turn):
        return None
    if turn.stop_reason is StopReason.TIMEOUT:
        hooks = run_failure_hooks(agent.hooks, AgentHook.ON_TURN_TIMEOUT, failure, agent, turn)
    else:
        hooks = run_failure_hooks(agent.hooks, AgentHook.ON_TURN_ERROR, failure, agent, turn, failure)
    return await within(frame_for(turn, agent), hooks)


async def show(
    agent: "Agent", turn: Turn[Any], value: object, fail_turn: Callable[[BaseException], Awaitable[object]]
) -> None:
    """Run the hooks for a value before the consumer gets it; what they raise is the turn's failure."""
    try:
        await run_agent_hooks(agent, turn, AgentHook.ON_TURN_VALUE, agent, turn, value)
    except BaseException as error:  # noqa: BLE001 (raised again by the turn)
        await within(frame_for(turn, agent), fail_turn(error))
