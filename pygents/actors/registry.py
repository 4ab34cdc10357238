"""What pygents changes in pykka's process-wide ``ActorRegistry``: three things, for the actors of every kind.

pykka keeps the refs in a list, so that stopping n actors takes n * n steps. ``RefSet`` takes the list's place: it keeps
the order of registration and answers the same calls, and removing costs the same wherever the ref stands.

A blocking ``stop_all()`` on the thread of an event loop would wait for actors that only this thread can stop, after it
has stopped some of the others. It is refused before it stops anything.

An actor whose event loop was closed by hand is dead, but nobody may have noticed: pykka's ``broadcast`` would raise
there, halfway. Whoever looks into the registry notices first.

Everything here is pinned by a contract test against the supported versions of pykka. ``RefSet`` is used under pykka's
own lock; reading takes a copy first, so that a ref that goes while somebody looks (a collected agent) disturbs nobody.
"""

# pyright: reportPrivateUsage=false

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex, cast, overload

from pykka import ActorDeadError, ActorRef, Future

from pygents.actors.checks import check_timeout
from pygents.actors.loops import end_closed_loops
from pygents.actors.ref import ActorRef as OurRef
from pygents.actors.reply import Reply
from pygents.actors.running import running

if TYPE_CHECKING:
    from pykka import Actor
    from pykka import ActorRegistry as PykkaRegistry

    from pygents.actors.actor import AsyncActor
    from pygents.actors.flag import Flag

    class ActorRegistry(PykkaRegistry):
        """pykka's to type checkers, with classes of ours where it takes classes of pykka's."""

        @classmethod
        def broadcast(cls, message: Any, target_class: type[Actor | AsyncActor] | str | None = None) -> None:
            """Tell all actors of a class, or of all classes."""

        @overload
        @classmethod
        def get_by_class[A: AsyncActor](cls, actor_class: type[A]) -> list[OurRef[A]]: ...
        @overload
        @classmethod
        def get_by_class[P: Actor](cls, actor_class: type[P]) -> list[ActorRef[P]]: ...
        @classmethod
        def get_by_class(cls, actor_class: Any) -> list[Any]:
            """Return the refs of all running actors of a class, and of those below it."""
            ...

else:
    from pykka import ActorRegistry

__all__ = ["ActorRegistry", "RefSet", "adapt_registry", "leave_behind"]

type AnyRef = ActorRef[Any]


class RefSet:
    """Refs in the order of their registration, with the part of a list's interface that pykka uses."""

    __slots__ = ("_refs",)

    def __init__(self, refs: Iterable[AnyRef] = ()) -> None:
        self._refs: dict[AnyRef, None] = dict.fromkeys(refs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._refs)}>"

    def __len__(self) -> int:
        return len(self._refs)

    def __contains__(self, ref: object) -> bool:
        return ref in self._refs

    def __iter__(self) -> Iterator[AnyRef]:
        return iter(list(self._refs))

    @overload
    def __getitem__(self, index: SupportsIndex) -> AnyRef: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnyRef]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> AnyRef | list[AnyRef]:
        return list(self._refs)[index]

    def append(self, ref: AnyRef) -> None:
        """Add a ref behind the others."""
        self._refs[ref] = None

    def remove(self, ref: AnyRef) -> None:
        """Remove a ref, in constant time.

        Raises:
            ValueError: if it is not there, as a list says it

        """
        if ref not in self._refs:
            msg = f"{ref!r} is not registered"
            raise ValueError(msg)
        del self._refs[ref]


_pykka_stop_all = ActorRegistry.stop_all


def _stop_all(*, block: bool = True, timeout: float | None = None) -> list[bool] | list[Future[bool]]:
    """Stop all running actors, youngest first, as pykka's ``ActorRegistry.stop_all`` does.

    Raises:
        TypeError: if the timeout is no number; nothing is stopped then
        ValueError: if it is below zero; likewise
        WouldDeadlockError: if it would block the event loop that some of the actors need to stop; nothing is stopped
            then

    """
    check_timeout(timeout)
    for ref in ActorRegistry.get_all() if block else ():
        if isinstance(ref, OurRef):
            ref._refuse_to_block()
    token = running.set(None)  # whoever orders it, it is no actor's own stop
    try:
        return _pykka_stop_all(block=block, timeout=timeout)
    finally:
        running.reset(token)


def _after_a_look_at_loops[**P, R](look: Callable[P, R]) -> Callable[P, R]:
    """Return a method of the registry's that first ends the actors whose loops were closed by hand."""

    @functools.wraps(look)
    def method(*args: P.args, **kwargs: P.kwargs) -> R:
        end_closed_loops()
        return look(*args, **kwargs)

    return method


def adapt_registry() -> None:
    """Put the changes in place; doing it again changes nothing."""
    with ActorRegistry._actor_refs_lock:
        if type(ActorRegistry._actor_refs) is list:
            setattr(ActorRegistry, "_actor_refs", RefSet(ActorRegistry._actor_refs))  # noqa: B010
            setattr(ActorRegistry, "stop_all", staticmethod(_stop_all))  # noqa: B010 (not assignable to type checkers)
            for name in ["broadcast", "get_all", "get_by_class", "get_by_class_name", "get_by_urn"]:
                setattr(ActorRegistry, name, staticmethod(_after_a_look_at_loops(getattr(ActorRegistry, name))))


def _forget_parents_actors() -> None:
    """Begin a forked child with an empty registry: the threads and loops of its parent's actors are not in it."""
    refs = ActorRegistry._actor_refs
    setattr(ActorRegistry, "_actor_refs", RefSet())  # noqa: B010
    setattr(ActorRegistry, "_actor_refs_lock", threading.RLock())  # noqa: B010 (a thread of the parent's may hold it)
    for ref in refs:
        if isinstance(ref, OurRef):
            leave_behind(ref)  # pyright: ignore[reportUnknownArgumentType] (of whatever actor)


def leave_behind(ref: OurRef[Any]) -> None:
    """Have an actor be dead in a forked child: the loop and thread that would handle its messages are its parent's.

    An actor on the caller's dispatcher that nobody drains is memory only, in the child as well.
    """
    inbox, dispatcher = ref.actor_inbox, ref._dispatcher
    if dispatcher is not None and not dispatcher.wakes_for_messages and dispatcher.loop is None:
        inbox.renew()
        return
    for envelope in inbox.leave_behind():
        if isinstance(envelope.reply_to, Reply):
            error = ActorDeadError(f"{ref} is an actor of the process that this one was forked from")
            envelope.reply_to.fail_in_child(error)
    if (cell := ref._find_cell()) is not None:
        ref._past, ref._cell = cell.statistics(), None
    if ref._watches is not None:
        ref._watches.leave_behind()
    cast("Flag", ref.actor_stopped).set_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents_actors)
