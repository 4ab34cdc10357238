"""AsyncActor: a pykka actor whose handlers may be coroutines and whose messages are handled on an event loop.

It knows nothing of tools, turns or agents. It uses pykka's three extension points and replaces pykka's thread loop.

Two objects, so that no name in a user's class is in the way of the runtime: the *actor* is the user's, with nothing of
ours but what pykka's actors have; its `Cell` is the runtime's, and runs it. The mailbox keeps the cell, which keeps it.
"""

# pyright: reportPrivateUsage=false

import os
import threading
from collections.abc import Awaitable, Callable
from inspect import CO_ASYNC_GENERATOR
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, override

from pykka import ActorDeadError, Future
from pykka._envelope import Envelope

from pygents.actors.cell import Cell
from pygents.actors.dispatcher import Dispatcher, LoopDispatcher, check_dispatcher
from pygents.actors.flag import Flag
from pygents.actors.mailbox import Mailbox
from pygents.actors.ref import ActorRef
from pygents.actors.registry import adapt_registry
from pygents.actors.reply import Reply
from pygents.actors.spawner import Spawner
from pygents.actors.supervision import Supervision

if TYPE_CHECKING:
    from types import TracebackType

    from pykka import ActorRef as PykkaRef

    from pygents.actors.supervisor import Supervisor

    class Actor:
        """pykka's ``Actor`` to type checkers, with ``on_*`` methods that may be ``async def`` below it.

        They compare a method with those of every class above, and pykka's own return None.
        """

        actor_urn: str
        actor_inbox: Mailbox[Envelope[Any]]
        actor_stopped: Flag
        _actor_ref: ActorRef[Any]

        @classmethod
        def start(cls, *args: Any, **kwargs: Any) -> PykkaRef[Any]: ...

        def on_start(self) -> Awaitable[object] | None:
            """Run before the first message is handled."""

        def on_stop(self) -> Awaitable[object] | None:
            """Run when the last message has been handled."""

        def on_failure(
            self,
            exception_type: type[BaseException],
            exception_value: BaseException,
            traceback: TracebackType | None,
        ) -> Awaitable[object] | None:
            """Run in the place of `on_stop` when the actor ends by a failure."""

        def on_receive(self, message: Any) -> Any:
            """Handle a message, and return the answer, or a coroutine of it."""

        def _handle_receive(self, message: Any) -> Any: ...

else:
    from pykka import Actor

__all__ = ["AsyncActor"]

adapt_registry()


_starting = threading.local()  # in `made`: the actors whose constructors have run in this thread's innermost start()


class AsyncActor(Actor, Spawner):
    """An actor on an event loop; see `pykka.Actor` for the life of an actor and its methods.

    ``on_start``, ``on_stop``, ``on_failure``, ``on_receive`` and methods that are called through a proxy may be plain
    or ``async def``; an answer that is a coroutine is awaited.
    """

    dispatcher: ClassVar[type[Dispatcher]] = LoopDispatcher
    """Where the messages of this class's actors are handled."""

    supervision: ClassVar[Supervision] = Supervision()
    """What is done about the failures of the children that its actors spawn."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        made: list[AsyncActor] | None = getattr(_starting, "made", None)
        if made is None and (cell := getattr(_starting, "again", None)) is not None and type(self) is type(cell.actor):
            _starting.again = None
            self.actor_urn, self.actor_inbox = cell.ref.actor_urn, cell.inbox
            self.actor_stopped, self._actor_ref = cell.ref.actor_stopped, cell.ref
            return
        # Not pykka's, a tenth of a start: it makes an event and a ref for us to replace. A test pins what it sets.
        self.actor_urn = _new_urn()
        self.actor_inbox = self._create_actor_inbox()
        self.actor_stopped = Flag()
        self._actor_ref = ActorRef(self)
        if made is not None:
            made.append(self)

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:
        """Start an actor on the running loop, or where its class's `dispatcher` says; pykka's ``Actor.start``.

        Raises:
            RuntimeError: if the running loop is closing down
            TypeError: if the class cannot be run as it is

        """
        return cast("ActorRef[Self]", cls._construct(super().start, args, kwargs))

    @classmethod
    def _construct[T](cls, construct: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        """Check the class and call what constructs an actor of it; if that raises, whatever it has made is dead.

        For `start`, and for a supervisor, which starts the actor itself.
        """
        check_dispatcher(cls.__name__, cls.dispatcher)
        code = getattr(cls.on_receive, "__code__", None)  # inspect's own function takes ten times as long
        if code is not None and code.co_flags & CO_ASYNC_GENERATOR:
            msg = f"{cls.__name__}.on_receive is an async generator function: an answer is returned, not yielded"
            raise TypeError(msg)
        made: list[AsyncActor] = []
        outer, _starting.made = getattr(_starting, "made", None), made
        try:
            return construct(*args, **kwargs)
        except BaseException:
            for actor in made:
                Cell(actor).abandon()
            raise
        finally:
            _starting.made = outer

    @classmethod
    def _construct_again(cls, cell: Cell[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Self:
        """Return a fresh actor behind a cell's ref and mailbox."""
        made, again = getattr(_starting, "made", None), getattr(_starting, "again", None)
        _starting.made, _starting.again = None, cell
        try:
            return cls(*args, **kwargs)
        finally:
            _starting.made, _starting.again = made, again

    def on_restart(self, failure: BaseException | None) -> object:
        """Run by a supervisor on the fresh actor, before its ``on_start``; may be ``async def``.

        Args:
            failure: what the one before it, or a sibling, failed with; None if it had stopped by itself

        """

    @override
    def _supervisor_below(self) -> "Supervisor":
        below: Callable[[], Supervisor] | None = getattr(self._actor_ref._find_cell(), "supervisor_below", None)
        if self.actor_inbox.closed:
            msg = f"{self._actor_ref} has stopped and takes no more children"
            raise ActorDeadError(msg)
        if below is None:
            msg = f"{self} has no supervisor, so it can have no children: spawn it in an ActorSystem"
            raise RuntimeError(msg)
        return below()

    @property
    def actor_ref(self) -> ActorRef[Self]:
        """The actor's ref."""
        try:
            return self._actor_ref
        except AttributeError:
            msg = f"{type(self).__name__}.__init__() must call super().__init__() first"
            raise RuntimeError(msg) from None

    def stop(self) -> None:
        """Stop when what is queued has been handled; ``ref.stop(block=False)``."""
        self._actor_ref._request_stop(own=True)

    @staticmethod
    def _create_actor_inbox() -> Mailbox[Envelope[Any]]:
        return Mailbox()

    @staticmethod
    def _create_future() -> Future[Any]:
        return Reply()

    def _start_actor_loop(self) -> None:
        Cell(self).start()


def _new_urn() -> str:
    """Return a random URN as ``uuid4().urn`` is one, which takes three times as long: a quarter of a start."""
    digits = os.urandom(15).hex()
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:]}"
