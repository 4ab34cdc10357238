"""Running an agent's own hooks around its turns."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pygents.context import frame_for, within
from pygents.errors import TurnCancelledError
from pygents.hooks import AgentHook
from pygents.intercept import LeakedCancellationError, intercept, run_failure_hooks
from pygents.outcome import StopReason
from pygents.turn import Turn

if TYPE_CHECKING:
    from pygents.agent import Agent

__all__ = ["outside_turns", "run_agent_hooks", "run_turn_failure_hooks", "show"]


async def run_agent_hooks(agent: "Agent", turn: Turn[Any] | None, hook_type: AgentHook, *args: object) -> None:
    """Run the hooks for an event, with the agent and the turn as what is running."""
    await within(frame_for(turn, agent), intercept(agent.hooks, hook_type, *args))


async def outside_turns(hooks: Awaitable[None]) -> None:
    """Await hooks that are part of no turn of the agent's, but may run in a tool of another's.

    Raises:
        TurnCancelledError: if one let a ``CancelledError`` out by itself
        BaseException: what else one raised

    """
    try:
        await hooks
    except LeakedCancellationError as leak:
        raise TurnCancelledError(leak.reason) from leak.__cause__


async def run_turn_failure_hooks(agent: "Agent", turn: Turn[Any], failure: BaseException) -> None:
    """Run the hooks for a turn that has failed; the failure stays its outcome."""
    if turn.stop_reason is StopReason.TIMEOUT:
        hooks = run_failure_hooks(agent.hooks, AgentHook.ON_TURN_TIMEOUT, failure, agent, turn)
    else:
        hooks = run_failure_hooks(agent.hooks, AgentHook.ON_TURN_ERROR, failure, agent, turn, failure)
    await within(frame_for(turn, agent), hooks)


async def show(
    agent: "Agent", turn: Turn[Any], value: object, fail_turn: Callable[[BaseException], Awaitable[object]]
) -> None:
    """Run the hooks for a value before the consumer gets it; what they raise is the turn's failure."""
    try:
        await run_agent_hooks(agent, turn, AgentHook.ON_TURN_VALUE, agent, turn, value)
    except BaseException as error:  # noqa: BLE001 (raised again by the turn)
        await within(frame_for(turn, agent), fail_turn(error))
