"""What a child is to a supervisor: how it is to be run, where it is in its life, and what it can be ordered to do."""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pygents.actors.mailbox_policy import MailboxPolicy
from pygents.actors.supervision import Restart, Supervision

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygents.actors.actor import AsyncActor
    from pygents.actors.cell import Cell
    from pygents.actors.child import Child
    from pygents.actors.dispatcher import Dispatcher
    from pygents.actors.ref import ActorRef
    from pygents.actors.supervisor import Supervisor

__all__ = ["ChildSpec", "Order", "Phase", "Spawnable"]


class Phase(Enum):
    """Where a child is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Order(IntEnum):
    """What a supervisor wants of a child; the higher one holds."""

    HOLD = 1
    """Finish the message in hand, and handle no other."""
    SUSPEND = 2
    """End the actor and keep its mailbox, until it is revived."""
    STOP = 3
    """End for good, after the message in hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How a child is to be run, as OTP's child specification."""

    name: str
    """Unique among its siblings."""
    path: str
    """Where it is in the tree."""
    make_again: "Callable[[Cell[Any]], AsyncActor]"
    """Makes a fresh actor behind a cell's ref and mailbox."""
    restart: Restart
    """When it is started again."""
    supervision: Supervision | None
    """Rules its failures, if not its supervisor's does."""
    start_timeout: float
    """Seconds that ``on_start`` may take."""
    shutdown: float
    """Seconds that it has to stop."""
    dispatcher: "type[Dispatcher]"
    """Where its messages are handled."""
    mailbox: MailboxPolicy | None
    """What bounds its mailbox, if not what bounds it already."""


@runtime_checkable
class Spawnable[A: AsyncActor](Protocol):
    """What can be spawned beside a class of actors: something that has one actor, under a name of its own."""

    name: str

    @property
    def ref(self) -> "ActorRef[A]":
        """The actor's ref."""
        ...

    def _child(self, spec: ChildSpec, parent: "Supervisor") -> "Child[Any]":
        """Return what runs its actor from now on; the mailbox's claim is the supervisor's.

        Raises:
            ActorDeadError: if the actor has stopped
            RuntimeError: if it lives in a system already, or somebody else runs it

        """
        ...
