"""Interrupting: ending a turn that runs, where it waits: in its tool, or in one of its hooks.

The tool's code is ended as by the turn's timeout, so that it has really ended before anybody says so; the task in which
a hook runs is cancelled, as by ``asyncio.timeout``. What has interrupted the turn is kept with it, for the one place
where its exception becomes an outcome.

Everything here runs on the loop on which the turn runs.
"""

from typing import TYPE_CHECKING, Any

from pygents.invocation import TimedSteps, close

if TYPE_CHECKING:
    from pygents.actors.control import Control
    from pygents.turn import Turn

__all__ = ["close_held", "interrupt"]


async def close_held(turn: "Turn[Any]") -> None:
    """End the generator of an interrupted turn whose value the calling task holds, which would wait for itself."""
    watch = turn.__dict__.get("_watch")
    if isinstance(watch, TimedSteps) and watch.values is not None:
        await close(watch.values, turn.tool)


def interrupt(turn: "Turn[Any]", control: "Control") -> bool:
    """End what the turn waits for, and return whether it runs and waits for anything."""
    state = turn.__dict__
    if "_run" not in state or "_failing" in state:
        return False
    watch, hooks = state.get("_watch"), state.get("_hooks_in")
    if watch is not None and watch.interrupt():
        control.has_keeper = True
    elif hooks is not None:
        control.cancel(hooks)
    elif watch is None or not watch.stop():
        return False
    state["_cut"] = control
    return True
