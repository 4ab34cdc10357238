"""What is running here: the turn and the agent whose tool or hook this code belongs to.

One context variable, shared with the runtime's, which names the running actor in its errors. Whoever sets it resets it
before control goes back to a consumer, so that nothing leaks out of ``run()`` between two values.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from pygents.actors.reply import running

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.turn import Turn

__all__ = ["Frame", "current_agent", "current_turn", "running"]


class Frame(NamedTuple):
    """What is running in a context."""

    agent: "Agent | None"
    turn: "Turn[Any] | None"

    def __str__(self) -> str:
        return f"{self.turn!r}" if self.agent is None else f"{self.agent!r}"


def current_turn() -> "Turn[Any] | None":
    """Return the turn whose tool or hook is running, else None."""
    frame = running.get()
    return frame.turn if isinstance(frame, Frame) else None


def current_agent() -> "Agent | None":
    """Return the agent whose tool or hook is running, else None."""
    frame = running.get()
    return frame.agent if isinstance(frame, Frame) else None
