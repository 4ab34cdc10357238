"""What is running here: the turn and the agent whose tool or hook this code belongs to.

One context variable, shared with the runtime's, which names the running actor in its errors. It is set where code of
the user's is run, and nowhere else: in the context of a coroutine tool's own task, around hooks, and around each step
of a generator tool. So nothing leaks out of ``run()`` between two values.
"""

import weakref
from collections.abc import Awaitable
from contextvars import Token
from typing import TYPE_CHECKING, Any, cast

from pygents.actors.running import running, running_task

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.turn import Turn

__all__ = ["Frame", "current_agent", "current_turn", "frame_for", "is_code_of", "leave", "running", "within"]

type Frame = tuple["weakref.ref[Agent] | None", "Turn[Any] | None"]
"""What is running: a plain tuple, since one is made for every turn; the runtime sets refs, which are none.

The agent is held weakly: contexts live on in asyncio's timers, long after the turn.
"""


def current_turn() -> "Turn[Any] | None":
    """Return the turn whose tool or hook is running, else None."""
    return _frame()[1]


def current_agent() -> "Agent | None":
    """Return the agent whose tool or hook is running, else None."""
    agent = _frame()[0]
    return None if agent is None else agent()


def is_code_of(agent: "Agent", turn: object) -> bool:
    """Return whether a tool or hook of this turn of the agent's runs here, in the task that the agent waits for."""
    task = running_task()
    mine = task is not None and task.get_name().startswith("pygents-")
    return mine and turn is not None and current_turn() is turn and current_agent() is agent


def frame_for(turn: "Turn[Any] | None", agent: "Agent | None" = None) -> Frame:
    """Return a frame for a turn of `agent`, or of the agent that is running."""
    return (_frame()[0] if agent is None else weakref.ref(agent), turn)


async def within[T](frame: Frame, work: Awaitable[T]) -> T:
    """Await `work`, with a frame as what is running."""
    token = running.set(frame)
    try:
        return await work
    finally:
        leave(token)


def leave(token: Token[object]) -> None:
    """Undo ``running.set``, unless the code that did it is being thrown away in another context than its own."""
    try:  # noqa: SIM105 (suppress() costs four times as much, for every turn)
        running.reset(token)
    except ValueError:
        pass


def _frame() -> Frame:
    frame = running.get()
    return cast("Frame", frame) if type(frame) is tuple else (None, None)
