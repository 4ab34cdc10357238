"""Spawner: whatever can have children, a system, a supervisor, an actor or an agent, with one way to say of a child.

It knows neither children nor supervisors: each of the four says which supervisor is to start them.
"""

from typing import TYPE_CHECKING, Any, TypedDict, overload

from pygents.actors.mailbox_policy import MailboxPolicy
from pygents.actors.supervision import Restart, Supervision

if TYPE_CHECKING:
    from pygents.actors.actor import AsyncActor
    from pygents.actors.child_spec import Spawnable
    from pygents.actors.dispatcher import Dispatcher
    from pygents.actors.ref import ActorRef
    from pygents.actors.supervisor import Supervisor

__all__ = ["Options", "Spawner"]


class Options(TypedDict):
    """How a child is to be run, as a user says it."""

    restart: Restart
    supervision: Supervision | None
    start_timeout: float
    shutdown: float
    dispatcher: "type[Dispatcher] | None"
    mailbox: MailboxPolicy | None


class Spawner:
    """What can have children."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _supervisor_below(self) -> Supervisor:
            """Return the supervisor of its children."""
            ...

    @overload
    def spawn[A: AsyncActor](
        self,
        kind: type[A],
        *args: Any,
        name: str | None = None,
        restart: Restart = Restart.TRANSIENT,
        supervision: Supervision | None = None,
        start_timeout: float = 30.0,
        shutdown: float = 5.0,
        dispatcher: "type[Dispatcher] | None" = None,
        mailbox: MailboxPolicy | None = None,
        **kwargs: Any,
    ) -> "ActorRef[A]": ...
    @overload
    def spawn[A: AsyncActor](
        self,
        kind: "Spawnable[A]",
        *,
        restart: Restart = Restart.TRANSIENT,
        supervision: Supervision | None = None,
        start_timeout: float = 30.0,
        shutdown: float = 5.0,
        dispatcher: "type[Dispatcher] | None" = None,
        mailbox: MailboxPolicy | None = None,
    ) -> "ActorRef[A]": ...
    def spawn(  # noqa: PLR0913 (each is a part of a child specification)
        self,
        kind: "type[AsyncActor] | Spawnable[Any]",
        *args: Any,
        name: str | None = None,
        restart: Restart = Restart.TRANSIENT,
        supervision: Supervision | None = None,
        start_timeout: float = 30.0,
        shutdown: float = 5.0,
        dispatcher: "type[Dispatcher] | None" = None,
        mailbox: MailboxPolicy | None = None,
        **kwargs: Any,
    ) -> "ActorRef[Any]":
        """Start a child, and return its ref at once; its ``on_start`` runs on its own loop.

        It is stopped before its parent, also when that is restarted.

        Args:
            kind: the actor's class, or an agent
            args: for its constructor, also when it is restarted
            name: unique among its siblings; if none is given, the class's name and a number
            restart: when it is started again
            supervision: rules this child's own failures instead of the supervisor's, but for the strategy
            start_timeout: seconds that ``on_start`` may take
            shutdown: seconds it has to finish the message in hand and ``on_stop`` when it is told to stop
            dispatcher: where its messages are handled, if not where its class says
            mailbox: what bounds its mailbox, if not the agent's own policy does; None for nothing else
            kwargs: for its constructor

        Raises:
            TypeError: if an argument is of the wrong type
            ValueError: if the name is empty, has a slash, or is taken, a time is not above zero, or the dispatcher
                is one on which somebody has to drain the actor
            ActorDeadError: if the parent has stopped
            RuntimeError: if the parent is an actor or an agent that lives in no system
            Exception: what the constructor raised

        """
        options = Options(
            restart=restart,
            supervision=supervision,
            start_timeout=start_timeout,
            shutdown=shutdown,
            dispatcher=dispatcher,
            mailbox=mailbox,
        )
        return self._supervisor_below().start_child(kind, name, args, kwargs, options)
