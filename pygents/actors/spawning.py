"""Spawning: from what a user says of a child to its specification, and to the child."""

# pyright: reportPrivateUsage=false

from typing import TYPE_CHECKING, Any

from pygents.actors.actor import AsyncActor
from pygents.actors.checks import checked, checked_name, checked_seconds
from pygents.actors.child import Child
from pygents.actors.child_spec import ChildSpec, Spawnable
from pygents.actors.dispatcher import LoopDispatcher, check_dispatcher
from pygents.actors.dropping import bind_child
from pygents.actors.mailbox_policy import MailboxPolicy
from pygents.actors.supervision import Restart, Supervision

if TYPE_CHECKING:
    from pygents.actors.cell import Cell
    from pygents.actors.spawner import Options
    from pygents.actors.supervisor import Supervisor

__all__ = ["Birth"]


class Birth:
    """What a child is made of, and made again of: a class of actors with arguments, or something that has its actor.

    Raises:
        TypeError: if it is neither, the latter comes with a name or arguments, or the class cannot take any

    """

    def __init__(
        self, kind: "type[AsyncActor] | Spawnable[Any]", name: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._kind = kind
        self._args = args
        self._kwargs = kwargs
        if isinstance(kind, type):
            if not _is_actor_class(kind):
                raise TypeError(_text(kind))
            if (args or kwargs) and _takes_no_arguments(kind):
                given = ", ".join([*(f"argument {number}" for number, _ in enumerate(args, 1)), *kwargs])
                msg = f"{kind.__name__} has no __init__ of its own that could take {given}; spawn() has no such option"
                raise TypeError(msg)
            self.name = name
            """What the child is to be called; None if it is to be given a name."""
            self.default_name = kind.__name__
            """What its name begins with then."""
            return
        if not _is_spawnable(kind):
            raise TypeError(_text(kind))
        if name is not None or args or kwargs:
            msg = f"{kind!r} is spawned as it is: under its own name, and without arguments"
            raise TypeError(msg)
        self.name = self.default_name = kind.name

    def spec(self, name: str, path: str, options: "Options") -> ChildSpec:
        """Return how the child is to be run.

        Raises:
            TypeError: if something is of the wrong type, the class attribute ``supervision`` too
            ValueError: if the name is empty or has a slash, a time is not above zero, or nobody would run the child

        """
        kind, own = self._kind, options["supervision"]
        dispatcher, mailbox = options["dispatcher"], options["mailbox"]
        usual = kind.dispatcher if isinstance(kind, type) else LoopDispatcher
        given = usual if dispatcher is None else dispatcher
        check_dispatcher(name, given)
        _check_policy(kind if isinstance(kind, type) else type(kind))
        if not given.wakes_for_messages:
            msg = f"nobody would run {name!r} on a {given.__name__}: in a system it needs one that runs it by itself"
            raise ValueError(msg)
        return ChildSpec(
            name=checked_name(name, "a child's name"),
            path=path,
            make_again=self._again,
            restart=checked("restart", options["restart"], Restart),
            supervision=None if own is None else checked("supervision", own, Supervision),
            start_timeout=checked_seconds("start_timeout", options["start_timeout"]),
            shutdown=checked_seconds("shutdown", options["shutdown"]),
            dispatcher=given,
            mailbox=None if mailbox is None else checked("mailbox", mailbox, MailboxPolicy),
        )

    def make(self, spec: ChildSpec, parent: "Supervisor") -> Child[Any]:
        """Return the child, which is not started yet.

        Raises:
            Exception: what the constructor raised, or why the actor cannot be had

        """
        kind = self._kind
        if isinstance(kind, type):
            child = Child(kind._construct(kind, self._args, self._kwargs), spec, parent)
        else:
            child = kind._child(spec, parent)
        bind_child(child, spec.mailbox)
        return child

    def _again(self, cell: "Cell[Any]") -> AsyncActor:
        """Make a fresh actor; something that has one actor keeps it, and resets itself."""
        kind = self._kind
        return kind._construct_again(cell, self._args, self._kwargs) if isinstance(kind, type) else cell.actor


def _check_policy(kind: type) -> None:
    """Refuse a policy for the children of its actors that is none, before one of them needs it."""
    policy: object = getattr(kind, "supervision", None)  # something that has an actor may say nothing
    if policy is not None or _is_actor_class(kind):
        checked(f"{kind.__name__}.supervision", policy, Supervision)


def _text(kind: object) -> str:
    return f"{kind!r} cannot be spawned: give an agent, or a class of AsyncActors and its arguments after it"


def _is_actor_class(kind: type) -> bool:
    return issubclass(kind, AsyncActor)


def _takes_no_arguments(kind: type[AsyncActor]) -> bool:
    """Tell a class whose constructor is pykka's, which takes anything and drops it: a mistyped option, say."""
    return kind.__init__ is AsyncActor.__init__ and kind.__new__ is object.__new__


def _is_spawnable(kind: object) -> bool:
    return isinstance(kind, Spawnable)
