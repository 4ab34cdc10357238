"""Work: a turn in an agent's mailbox, with what was decided of it when it was put.

Such a decision is of one putting, not of the turn, which may be put again. So it is on the envelope, and goes with it
into snapshots and branches.
"""

# pyright: reportPrivateUsage=false

from collections.abc import Mapping
from typing import Any, override

from pykka._envelope import Envelope

from pygents.actors.envelope import Sent
from pygents.decisions import Replace, Skip
from pygents.serialization import Fields
from pygents.turn import Turn

__all__ = ["Accepted", "DecidedWork", "Work", "copy_work", "decision_on", "load_work", "make_work", "store_work"]

type Work = Envelope[Turn[Any]]


class Accepted(Sent[Turn[Any]]):
    """A turn that the agent has accepted: if it cannot run it later, that is the turn's failure."""

    __slots__ = ()


class DecidedWork(Accepted):
    """A turn of which something was decided when it was put."""

    __slots__ = ("decision",)

    def __init__(self, turn: Turn[Any], decision: Skip | Replace) -> None:
        super().__init__(turn)
        self.decision = decision

    @property
    @override
    def along(self) -> Skip | Replace:
        return self.decision


def make_work(turn: Turn[Any], decision: Skip | Replace | None) -> Accepted:
    """Return what goes into a mailbox for a turn that is put."""
    return Accepted(turn) if decision is None else DecidedWork(turn, decision)


def decision_on(work: Work) -> Skip | Replace | None:
    """Return what was decided of a turn when it was put."""
    return work.decision if isinstance(work, DecidedWork) else None


def copy_work(work: Work) -> Work:
    """Return the like, with a copy of the turn."""
    return make_work(work.message.copy(), decision_on(work))


def store_work(work: Work) -> dict[str, Any]:
    """Return it as plain data: the turn's, and ``decision`` if there is one.

    A decision is stored as those fields of a turn that it is in the place of.

    Raises:
        TypeError: as ``Turn.to_dict``

    """
    stored, decision = work.message.to_dict(), decision_on(work)
    if decision is None:
        return stored
    twin = work.message.copy()
    given: dict[str, object] = {"args": [], "kwargs": {}}
    if isinstance(decision, Skip):
        names = ["output"]
        given["output"] = decision.value
    else:
        names = [name for name in given if getattr(decision, name) is not None]
        given.update((name, getattr(decision, name)) for name in names)
    for name, value in given.items():
        setattr(twin, name, value)
    fields = twin.to_dict()
    return stored | {"decision": {name: fields[name] for name in names}}


def load_work(data: Mapping[str, Any]) -> Work:
    """Return what `store_work` stored.

    Raises:
        TypeError: as ``Turn.from_dict``, and if the decision is none
        ValueError: as ``Turn.from_dict``, and if the decision is none

    """
    turn, fields = Turn[Any].from_dict(data), Fields(data, "Turn")
    stored = fields.read("decision", (Mapping, type(None)), None)
    try:
        return make_work(turn, None if stored is None else _decision(stored, data["tool_name"]))
    except (TypeError, ValueError) as error:
        raise type(error)(fields.error("decision", f"cannot be restored: {error}")) from error


def _decision(stored: Mapping[str, Any], tool: str) -> Skip | Replace:
    twin = Turn[Any].from_dict({**stored, "tool_name": tool})
    if "output" in stored:
        return Skip(twin.output)
    return Replace(
        args=twin.args if "args" in stored else None,
        kwargs=twin.kwargs if "kwargs" in stored else None,
    )
