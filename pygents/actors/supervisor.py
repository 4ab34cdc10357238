"""Supervisor: keeps children, and does about their failures what its `Supervision` says. After OTP's supervisor.

A failure of a child that concerns it alone is dealt with by the child itself, on its own loop: the supervisor only
counts the restart. What concerns more than one (a restart of a group, the failure of the supervisor, the end) is done
by coroutines on the system's loop, one at a time: they take turns at ``_turn``.

Invariants:

* The table of nodes and the window are touched under the system's lock.
* From the moment of a failure until its group is up again, every child that it concerns has an order: it handles the
  message in hand and no other. The order is given under the lock, on the thread of the failure.
* A group that is asked for while another one is being restarted concerns every child that the other has not come to
  yet: so the other stops there, and nothing is restarted twice.
"""

# pyright: reportPrivateUsage=false

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from random import random
from typing import TYPE_CHECKING, Any, cast

from pykka import ActorDeadError, ActorRegistry

from pygents.actors.abandonment import abandon_handler, abandon_loop
from pygents.actors.actor import AsyncActor
from pygents.actors.checks import checked, checked_name, checked_seconds
from pygents.actors.child import Child
from pygents.actors.child_spec import ChildSpec, Order, Phase, Spawnable
from pygents.actors.dispatcher import Dispatcher, LoopDispatcher, check_dispatcher
from pygents.actors.ref import ActorRef
from pygents.actors.reply import Reply
from pygents.actors.statistics import Statistics
from pygents.actors.supervision import BackoffClock, Directive, Restart, RestartWindow, Strategy, Supervision
from pygents.errors import TooManyRestartsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygents.actors.cell import Cell
    from pygents.actors.system import ActorSystem

__all__ = ["Supervisor"]

type Node = "Child[Any] | Supervisor"


class Supervisor:
    """Keeps children running. Made by `ActorSystem.supervisor` or by another supervisor's."""

    def __init__(
        self,
        system: "ActorSystem",
        name: str,
        supervision: Supervision,
        *,
        parent: "Supervisor | None" = None,
        owner: Child[Any] | None = None,
        restart: Restart = Restart.TRANSIENT,
    ) -> None:
        self.system = system
        self.name = name
        self.supervision = supervision
        self.restart = restart
        self._parent = parent
        self._owner = owner
        self._nodes: dict[str, Node] = {}
        self._window = RestartWindow(supervision.max_restarts, supervision.within)
        self._backoff = BackoffClock(supervision.backoff)
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._failing = False
        self._closed = False
        self._pending = 0
        self._generation = 0  # how often it was itself restarted: what was asked for before has been dealt with
        self._past = Statistics()
        self.restarts = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path or self.system.name!r} with {len(self._nodes)} children>"

    @property
    def path(self) -> str:
        """Where it is in the tree; empty for the root."""
        if self._owner is not None:
            return self._owner.spec.path
        if self._parent is None:
            return ""
        return self._parent.path_of(self.name)

    def path_of(self, name: str) -> str:
        """Return the path of a child."""
        return f"{self.path}/{name}" if self.path else name

    # What users do with it, on any thread.

    def spawn[A: AsyncActor](  # noqa: PLR0913 (each is a part of a child specification)
        self,
        kind: type[A] | Spawnable,
        *args: Any,
        name: str | None = None,
        restart: Restart = Restart.TRANSIENT,
        supervision: Supervision | None = None,
        start_timeout: float = 30.0,
        shutdown: float = 5.0,
        dispatcher: type[Dispatcher] | None = None,
        **kwargs: Any,
    ) -> ActorRef[A]:
        """Start a child, and return its ref at once; its ``on_start`` runs on its own loop.

        Args:
            kind: the actor's class, or an agent
            args: for its constructor, also when it is restarted
            name: unique among its siblings; if none is given, the class's name and a number
            restart: when it is started again
            supervision: rules this child's own failures instead of the supervisor's, but for the strategy
            start_timeout: seconds that ``on_start`` may take
            shutdown: seconds it has to finish the message in hand and ``on_stop`` when it is told to stop
            dispatcher: where its messages are handled, if not where its class says
            kwargs: for its constructor

        Raises:
            TypeError: if an argument is of the wrong type
            ValueError: if the name is empty, has a slash, or is taken, or a time is not above zero
            ActorDeadError: if the supervisor has stopped
            Exception: what the constructor raised

        """
        given: Any = LoopDispatcher if dispatcher is None else dispatcher
        if isinstance(kind, type) and _is_actor_class(kind):
            given = kind.dispatcher if dispatcher is None else dispatcher
            label = self._checked_name(name, kind)
        elif isinstance(kind, Spawnable) and not isinstance(kind, type):
            if name is not None or args or kwargs:
                msg = f"{kind!r} is spawned as it is: under its own name, and without arguments"
                raise TypeError(msg)
            label = checked_name(kind.name, "a child's name")
        else:
            msg = f"{kind!r} cannot be spawned: give an agent, or a class of AsyncActors and its arguments after it"
            raise TypeError(msg)
        check_dispatcher(label, given)
        spec = ChildSpec(
            name=label,
            path=self.path_of(label),
            make_again=_again(kind, args, kwargs),
            restart=checked("restart", restart, Restart),
            supervision=None if supervision is None else checked("supervision", supervision, Supervision),
            start_timeout=checked_seconds("start_timeout", start_timeout),
            shutdown=checked_seconds("shutdown", shutdown),
            dispatcher=given,
        )
        self._check_free(spec.name)
        if isinstance(kind, type):
            child: Child[Any] = Child(kind._construct(kind, args, kwargs), spec, self)
        else:
            child = kind._child(spec, self)
        return cast("ActorRef[A]", self._launch(child))

    def supervisor(
        self, name: str, supervision: Supervision | None = None, *, restart: Restart = Restart.TRANSIENT
    ) -> "Supervisor":
        """Return a new supervisor below this one.

        Args:
            name: unique among its siblings
            supervision: what it does about its children's failures
            restart: when this one starts it again, after it has failed

        Raises:
            TypeError: if an argument is of the wrong type
            ValueError: if the name is empty, has a slash, or is taken
            ActorDeadError: if this one has stopped

        """
        policy = Supervision() if supervision is None else checked("supervision", supervision, Supervision)
        below = Supervisor(
            self.system,
            self._checked_name(name, Supervisor),
            policy,
            parent=self,
            restart=checked("restart", restart, Restart),
        )
        with self.system.lock:
            self._check_free(name)
            self._nodes[name] = below
        return below

    def stop(self, name: str) -> Reply[bool]:
        """Stop a child for good, after the message in hand; await or ``get()`` what is returned.

        Returns:
            A reply of whether there was such a child.

        """
        node = self._nodes.get(name)
        if node is None:
            reply: Reply[bool] = Reply()
            reply.set(False)
            return reply
        return self.system.submit(lambda: self._stop_node(node))

    def statistics(self) -> Statistics:
        """Return the counts of all its children, those that have ended too."""
        with self.system.lock:
            nodes, total = list(self._nodes.values()), self._past
            for node in nodes:
                total += _counts(node)
        return total

    def find(self, path: Sequence[str]) -> Node | None:
        """Return what is at a path below."""
        node: Node | None = self._nodes.get(path[0])
        if node is None or len(path) == 1:
            return node
        below = node if isinstance(node, Supervisor) else node.children
        return None if below is None else below.find(path[1:])

    def all_children(self) -> Iterator[Child[Any]]:
        """Return every actor below, parents first."""
        with self.system.lock:
            nodes = list(self._nodes.values())
        for node in nodes:
            if isinstance(node, Child):
                yield node
            below = node if isinstance(node, Supervisor) else node.children
            if below is not None:
                yield from below.all_children()

    def nodes(self) -> list[tuple[str, Node]]:
        """Return its children by name, the oldest first."""
        with self.system.lock:
            return list(self._nodes.items())

    # What its children ask of it, on their own threads.

    def ask_restart(self, child: Node, failure: BaseException | None) -> float | None:
        """Count a restart, and return the seconds until the child may start again by itself.

        None if it has to wait until it is revived, or for ever: the supervisor has failed, or the restart concerns
        others, or another restart concerns the child.
        """
        with self.system.lock:
            if self._closed or self._failing or (isinstance(child, Child) and child.course.order is not None):
                return None
            now = self.system.now()
            own = child.comeback.admits(now) if isinstance(child, Child) else None
            if not (self._window.admits(now) if own is None else own):
                policy = child.policy if isinstance(child, Child) and own is not None else self.supervision
                error = TooManyRestartsError(self.path or self.system.name, policy.max_restarts, policy.within)
                error.__cause__ = failure
                self.fail(error)
                return None
            if isinstance(child, Child):
                delay = child.comeback.next_delay(child.policy, now)
            else:
                delay = self._backoff.next_delay(now, random())  # noqa: S311 (jitter is no secret)
            if self.supervision.strategy is Strategy.ONE_FOR_ONE and isinstance(child, Child):
                return delay
            concerned = self._concerned(child)
            for node in concerned:
                if node is not child:
                    self._hold(node)
            self._pending += 1
            generation = self._generation
            self.system.submit(lambda: self._restart_group(child, concerned, delay, failure, generation))
            return None

    def fail(self, failure: BaseException) -> None:
        """Fail: stop the children, and leave the rest to the supervisor above; once, until it is started again."""
        with self.system.lock:
            if self._failing or self._closed:
                return
            self._failing = True
            for node in self._nodes.values():
                self._hold(node)
            generation = self._generation
            self.system.submit(lambda: self._fail(failure, generation))

    def forget(self, child: Child[Any]) -> None:
        """Count what an ended child has done, and give its name up."""
        with self.system.lock:
            if self._nodes.get(child.spec.name) is child:
                del self._nodes[child.spec.name]
                self._past += _counts(child)

    def below(self, child: Child[Any]) -> "Supervisor":
        """Return the supervisor of a child's own children."""
        return Supervisor(self.system, child.spec.name, child.children_policy, parent=self, owner=child)

    def see_to_the_end_of(self, child: Child[Any]) -> None:
        """Have a child that was killed abandoned if it ignores that."""
        self.system.submit(lambda: self._bury_in_time(child))

    def kill_all(self) -> None:
        """Kill every child, youngest first."""
        with self.system.lock:
            self._closed = True
            nodes = list(reversed(self._nodes.values()))
        self.system.call(self._stopping.set)
        for node in nodes:
            node.kill_all() if isinstance(node, Supervisor) else node.kill()

    def stop_all(self) -> Reply[None]:
        """Stop every child, youngest first; a child's actor can have new ones afterwards."""
        return self.system.submit(self.terminate_all)

    def all_gone(self) -> Reply[None]:
        """Return what is set when no child is left."""
        return self.system.submit(self._all_gone)

    # Coroutines, on the system's loop.

    async def terminate_all(self, *, close: bool = False) -> None:
        """Stop every child for good, youngest first."""
        with self.system.lock:
            self._closed = self._closed or close
            nodes = list(reversed(self._nodes.values()))
            for node in nodes:
                self._hold(node)
        self._stopping.set()
        async with self._turn:
            for node in nodes:
                await self._terminate(node)
        if not close:
            self._stopping.clear()
            self._failing = False

    async def _stop_node(self, node: Node) -> bool:
        self._hold(node)
        async with self._turn:
            alive = self._nodes.get(node.name if isinstance(node, Supervisor) else node.spec.name) is node
            if alive:
                await self._terminate(node)
        return alive

    async def _terminate(self, node: Node) -> None:
        if isinstance(node, Supervisor):
            await node.terminate_all(close=True)
            with self.system.lock:
                self._past += node.statistics()
                if self._nodes.get(node.name) is node:
                    del self._nodes[node.name]
            return
        node.give(Order.STOP)
        if node.children is not None:
            await node.children.terminate_all()
        if not await _in_time(node.course.reach(Phase.STOPPED), node.spec.shutdown):
            node.kill()
            await node.course.reach(Phase.STOPPED)

    async def _bury_in_time(self, child: Child[Any]) -> None:
        if not await _in_time(child.course.reach(Phase.STOPPED), child.spec.shutdown):
            await self._abandon(child)

    async def _abandon(self, child: Child[Any]) -> None:
        """Have a child go on without what it does."""
        if not await _in_time(abandon_handler(child), child.spec.shutdown):
            abandon_loop(child)

    async def _all_gone(self) -> None:
        for _, node in self.nodes():
            if isinstance(node, Supervisor):
                await node._all_gone()
            else:
                await node.course.reach(Phase.STOPPED)

    async def _restart_group(
        self, child: Node, concerned: list[Node], delay: float, failure: BaseException | None, generation: int
    ) -> None:
        async with self._turn:
            self._pending -= 1
            if self._is_moot(generation):
                return
            if isinstance(child, Child):
                await child.course.reach(Phase.RESTARTING, Phase.SUSPENDED, Phase.STOPPED)
            for node in reversed(concerned):
                if node is not child or isinstance(node, Supervisor):
                    await self._suspend(node)
            if delay > 0 and await _in_time(self._stopping.wait(), delay):
                return
            for node in concerned:
                await self._revive(node, failure, lambda: self._pending > 0 or self._is_moot(generation))

    def _is_moot(self, generation: int) -> bool:
        """Whether something that was asked for is overtaken: the supervisor fails, ends, or was restarted."""
        return self._failing or self._closed or generation != self._generation

    async def _suspend(self, node: Node) -> None:
        if isinstance(node, Supervisor):
            if node.restart is Restart.TEMPORARY:
                await self._terminate(node)
                return
            async with node._turn:
                node._generation += 1
                for below in reversed(list(node._nodes.values())):
                    await node._suspend(below)
            return
        if node.spec.restart is Restart.TEMPORARY:
            await self._terminate(node)
            return
        node.give(Order.SUSPEND)
        if node.children is not None:
            await node.children.terminate_all()
        gone = Phase.SUSPENDED, Phase.STOPPED
        if not await _in_time(node.course.reach(*gone), node.spec.shutdown):
            node.cut()
            if not await _in_time(node.course.reach(*gone), node.spec.shutdown):
                await self._abandon(node)
                await node.course.reach(*gone)

    async def _revive(self, node: Node, failure: BaseException | None, overtaken: "Callable[[], bool]") -> None:
        """Start a node again, unless that has been overtaken: by a failure that concerns it, say."""
        if isinstance(node, Child):
            with self.system.lock:  # or it would take back an order that is given between the look and the revival
                tried = None if overtaken() else node.revive(failure)
            if tried is not None:
                await tried
            return
        with self.system.lock:
            node._failing = False
            node._window = RestartWindow(node.supervision.max_restarts, node.supervision.within)
            node.restarts += 1
        for _, below in node.nodes():
            await node._revive(below, failure, lambda: overtaken() or node._failing or node._pending > 0)

    async def _fail(self, failure: BaseException, generation: int) -> None:
        async with self._turn:
            if self._closed or generation != self._generation:
                return
            self.system.news.supervisor_failed(self.path or self.system.name, failure)
            for node in reversed(list(self._nodes.values())):
                await self._suspend(node)
        if self._owner is not None:
            self._owner.fail_with(failure)
        elif self._parent is None:
            self.system.fail(failure)
        else:
            self._parent.supervisor_failed(self, failure)

    def supervisor_failed(self, node: "Supervisor", failure: BaseException) -> None:
        """Do about a supervisor's failure what is done about a child's: there is no message to go on with."""
        directive = self.supervision.directive_for(failure)
        if directive is Directive.ESCALATE:
            self.fail(failure)
        elif directive is Directive.STOP or node.restart is Restart.TEMPORARY:
            self.system.submit(lambda: self._stop_node(node))
        else:
            self.ask_restart(node, failure)

    # The rest.

    def _launch(self, child: Child[Any]) -> ActorRef[Any]:
        with self.system.lock:
            try:
                self._check_free(child.spec.name)
            except BaseException:
                child.abandon()
                raise
            self._nodes[child.spec.name] = child
            if self._failing:
                child.course.order = Order.HOLD
        ActorRegistry.register(child.ref)
        child.start()
        return child.ref

    def _hold(self, node: Node) -> None:
        """Let a node finish the message in hand and handle no other."""
        if isinstance(node, Supervisor):
            for below in node._nodes.values():
                node._hold(below)
        else:
            node.give(Order.HOLD)

    def _concerned(self, child: Node) -> list[Node]:
        nodes = list(self._nodes.values())
        if self.supervision.strategy is Strategy.ONE_FOR_ONE:
            return [child]
        return nodes if self.supervision.strategy is Strategy.ONE_FOR_ALL else nodes[nodes.index(child) :]

    def _checked_name(self, name: object, kind: type) -> str:
        if name is None:
            return self.system.new_name(kind.__name__)
        return checked_name(name, "a child's name")

    def _check_free(self, name: str) -> None:
        ended = self.system.closed if self._owner is None else self._owner.inbox.closed  # actors may, while it drains
        if self._closed or ended:
            msg = f"{self!r} has stopped and takes no more children"
            raise ActorDeadError(msg)
        if name in self._nodes:
            msg = f"{name!r} is taken: {self!r} has a child of that name"
            raise ValueError(msg)


def _again(kind: "type[AsyncActor] | Spawnable", args: Any, kwargs: Any) -> "Callable[[Cell[Any]], AsyncActor]":
    """Return what makes a fresh actor; something that has one actor keeps it, and resets itself."""
    if isinstance(kind, type):
        return lambda cell: kind._construct_again(cell, args, kwargs)
    return lambda cell: cell.actor


def _counts(node: Node) -> Statistics:
    if isinstance(node, Supervisor):
        return node.statistics()
    own = node.ledger.balance()
    return own if node.children is None else own + node.children.statistics()


async def _in_time(awaited: Awaitable[object], seconds: float) -> bool:
    """Wait so many seconds at the most, and return whether it has come."""
    try:
        async with asyncio.timeout(seconds):
            await awaited
    except TimeoutError:
        return False
    return True


def _is_actor_class(kind: type) -> bool:
    return issubclass(kind, AsyncActor)
