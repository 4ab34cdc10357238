"""What a turn notes of its run: what its tool was called with, what hooks have replaced, and what it had itself.

It is one tuple, ``_called_with`` in the turn's ``__dict__``, which others may read while the turn runs. What it was
called with says what its next run will be given only as long as the turn's own arguments are the very same.
"""

from typing import TYPE_CHECKING, Any

from pygents.arguments import are_same, evaluate_all
from pygents.deciding import applied

if TYPE_CHECKING:
    from pygents.decisions import Replace
    from pygents.turn import Turn

__all__ = ["asked_with", "called_with", "evaluate_and_note", "note_again", "replaced_in", "show_replaced"]

type _Noted = tuple[list[Any] | None, dict[str, Any] | None, Replace | None, list[Any], dict[str, Any]]
# The evaluated arguments (None before the tool is called), what of them was replaced, and the turn's own.


def called_with(turn: "Turn[Any]") -> tuple[list[Any], dict[str, Any]] | None:
    """Return the evaluated arguments of the run that is on, or of the last one if the next would be given the same."""
    return _valid(turn, turn.__dict__["_called_with"])


def asked_with(turn: "Turn[Any]") -> tuple[list[Any] | None, dict[str, Any] | None]:
    """Return those that `called_with` does, or None in the place of what hooks have replaced."""
    noted: _Noted | None = turn.__dict__["_called_with"]
    called = _valid(turn, noted)
    if called is None or noted is None:
        return None, None
    args, kwargs = called
    replaced = noted[2]
    if replaced is None:
        return args, kwargs
    return args if replaced.args is None else None, kwargs if replaced.kwargs is None else None


def replaced_in(turn: "Turn[Any]") -> "Replace | None":
    """Return what hooks have replaced in the run that is on or was last."""
    noted: _Noted | None = turn.__dict__["_called_with"]
    return None if noted is None else noted[2]


async def evaluate_and_note(turn: "Turn[Any]", replaced: "Replace | None") -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments to call the tool with."""
    given, named = [*turn.args], {**turn.kwargs}
    state = turn.__dict__  # the run's: the turn has another one if the run is given up meanwhile
    args, kwargs = await evaluate_all(*applied(replaced, given, named))
    state["_called_with"] = args, kwargs, replaced, given, named
    return args, kwargs


def show_replaced(turn: "Turn[Any]", replaced: "Replace") -> None:
    """Note what hooks have replaced, before the tool is called."""
    turn.__dict__["_called_with"] = None, None, replaced, [], {}


def note_again(turn: "Turn[Any]", noted: object) -> None:
    """Note what was noted before hooks showed what they have replaced, unless the tool has been called meanwhile."""
    shown: _Noted | None = turn.__dict__["_called_with"]
    if shown is not None and shown[0] is None:
        turn.__dict__["_called_with"] = noted


def _valid(turn: "Turn[Any]", noted: _Noted | None) -> tuple[list[Any], dict[str, Any]] | None:
    if noted is None:
        return None
    args, kwargs, _, given, named = noted
    if args is None or kwargs is None:
        return None
    return (args, kwargs) if turn.running or are_same(given, named, turn.args, turn.kwargs) else None
