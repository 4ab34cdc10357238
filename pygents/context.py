"""What is running here: the turn and the agent whose tool or hook this code belongs to.

One context variable, shared with the runtime's, which names the running actor in its errors. Whoever sets it resets it
before control goes back to a consumer, so that nothing leaks out of ``run()`` between two values.
"""

from typing import TYPE_CHECKING, Any, cast

from pygents.actors.reply import running

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.turn import Turn

__all__ = ["Frame", "current_agent", "current_turn", "running"]

type Frame = "tuple[Agent | None, Turn[Any] | None]"
"""What is running: a plain tuple, since one is made for every turn; the runtime sets refs, which are none."""


def current_turn() -> "Turn[Any] | None":
    """Return the turn whose tool or hook is running, else None."""
    return _frame()[1]


def current_agent() -> "Agent | None":
    """Return the agent whose tool or hook is running, else None."""
    return _frame()[0]


def _frame() -> "tuple[Agent | None, Turn[Any] | None]":
    frame = running.get()
    return cast("tuple[Agent | None, Turn[Any] | None]", frame) if type(frame) is tuple else (None, None)
