"""Running an agent's own hooks around its turns."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pygents.context import frame_for, within
from pygents.deciding import Decision
from pygents.hooks import AgentHook
from pygents.intercept import intercept
from pygents.turn import Turn

if TYPE_CHECKING:
    from pygents.agent import Agent

__all__ = ["run_agent_hooks", "show"]


async def run_agent_hooks(
    agent: "Agent", turn: Turn[Any] | None, hook_type: AgentHook, *args: object
) -> Decision | None:
    """Run the hooks for an event, with the agent and the turn as what is running, and return what they decide."""
    return await within(frame_for(turn, agent), intercept(agent.hooks, hook_type, *args))


async def show(
    agent: "Agent", turn: Turn[Any], value: object, fail_turn: Callable[[BaseException], Awaitable[object]]
) -> None:
    """Run the hooks for a value before the consumer gets it; what they raise is the turn's failure."""
    try:
        await run_agent_hooks(agent, turn, AgentHook.ON_TURN_VALUE, agent, turn, value)
    except BaseException as error:  # noqa: BLE001 (raised again by the turn)
        await within(frame_for(turn, agent), fail_turn(error))
