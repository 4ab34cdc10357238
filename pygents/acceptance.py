"""What an agent accepts: which messages are turns that it can run, and which turns in hand are still to be run."""

from typing import TYPE_CHECKING, Any, TypeGuard

from pygents.actors.answers import show
from pygents.outcome import Due, StopReason
from pygents.tool_functions import is_streaming
from pygents.turn import Turn
from pygents.work import Accepted, Work

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from pygents.actors.mailbox import Mailbox
    from pygents.agent import Agent

__all__ = ["check_turn", "due", "has_failed", "is_turn", "is_work", "refusal", "set_due", "turn_in_hand", "work_in"]


def is_turn(message: object) -> TypeGuard[Turn[Any]]:
    """Return whether a message is a turn."""
    return isinstance(message, Turn)


def turn_in_hand(inbox: "Mailbox[Envelope[Any]]") -> Turn[Any] | None:
    """Return what a mailbox has in hand, if that is a turn."""
    in_hand = inbox.in_hand
    return in_hand.message if in_hand is not None and is_turn(in_hand.message) else None


def check_turn(agent: "Agent", turn: object) -> Turn[Any]:
    """Return `turn` if it is one that the agent can run.

    Raises:
        TypeError: if it is no turn
        ValueError: if it has no tool, or one that the agent lacks

    """
    if not isinstance(turn, Turn):
        msg = f"Agent {agent.name!r} does not understand {show(turn)}: send it a Turn"
        raise TypeError(msg)
    if turn.tool is None:
        msg = "Turn has no tool"
        raise ValueError(msg)
    if turn.tool not in agent.tools:
        msg = f"Agent {agent.name!r} does not accept tool {turn.tool.metadata.name!r}"
        raise ValueError(msg)
    return turn  # pyright: ignore[reportUnknownVariableType]


def refusal(agent: "Agent", turn: Turn[Any]) -> ValueError | None:
    """Return why a turn that was accepted when it was put cannot be run now, and forget its earlier run."""
    if not turn.running:  # what it says of an earlier run goes: this one did not begin
        turn.output = turn.start_time = turn.end_time = None
    try:
        check_turn(agent, turn)
    except ValueError as error:
        return error
    return None


def is_work(agent: "Agent", message: object) -> bool:
    """Return whether a message is a turn that the agent can run."""
    return isinstance(message, Turn) and message.tool in agent.tools


def has_failed(turn: Turn[Any]) -> bool:
    """Return whether a turn in hand is spent, though its end is still being handled."""
    cut_by_itself = turn.running and turn.stop_reason is StopReason.CANCELLED
    return cut_by_itself or turn.stop_reason in {StopReason.ERROR, StopReason.TIMEOUT}


def due(turn: Turn[Any]) -> Due:
    """Return what is left to be done for a turn in hand that has completed."""
    left: Due | None = turn.__dict__.get("_due")
    if left is None and turn.running and not is_streaming(turn.tool):  # a stream has been shown value by value
        return Due.VALUE
    return left or Due.AFTER_TURN


def set_due(turn: Turn[Any], left: Due) -> None:
    """Say what is left to be done for a turn that had completed."""
    was_shown = left is Due.VALUE and is_streaming(turn.tool)  # value by value
    turn.__dict__["_due"] = Due.AFTER_TURN if was_shown else left


def work_in(inbox: "Mailbox[Envelope[Any]]", agent: "Agent") -> tuple[Work | None, list[Work]]:
    """Return the turn in hand and the queued ones, as they are at one moment.

    What the agent was told that it cannot run is left out: it is not its work, and could not be restored. What it has
    accepted is in it, though it may fail by now when the agent comes to it.
    """
    in_hand, queued = inbox.contents()
    current = None if in_hand is None else in_hand.message
    work: list[Work] = [
        envelope for envelope in queued if isinstance(envelope, Accepted) or is_work(agent, envelope.message)
    ]
    return in_hand if is_turn(current) and not has_failed(current) else None, work
