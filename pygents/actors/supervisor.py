"""Supervisor: keeps children, and does about their failures what its `Supervision` says. After OTP's supervisor.

A failure of a child that concerns it alone is dealt with by the child itself, on its own loop: the supervisor only
counts the restart. What concerns more than one (a restart of a group, the failure of the supervisor, the end) is done
by its `Transitions`, on the system's loop.

Invariants:

* The table of nodes and the window are touched under the system's lock.
* From the moment of a failure until its group is up again, every child that it concerns has an order: it handles the
  message in hand and no other. The order is given under the lock, on the thread of the failure.
"""

from collections.abc import Iterator, Sequence
from random import random
from typing import TYPE_CHECKING, Any, cast

from pykka import ActorDeadError, ActorRegistry

from pygents.actors.actor import AsyncActor
from pygents.actors.checks import checked, checked_name
from pygents.actors.child import Child
from pygents.actors.child_spec import Order, Spawnable
from pygents.actors.dispatcher import Dispatcher
from pygents.actors.mailbox_policy import MailboxPolicy
from pygents.actors.ref import ActorRef
from pygents.actors.reply import Reply
from pygents.actors.spawning import Birth, Options
from pygents.actors.statistics import Statistics
from pygents.actors.supervision import BackoffClock, Directive, Restart, RestartWindow, Strategy, Supervision
from pygents.actors.transitions import Transitions, hold, make_way
from pygents.errors import TooManyRestartsError

if TYPE_CHECKING:
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
        self.transitions = Transitions(self, self._nodes)
        self._past = Statistics()
        self.restarts = 0

    def __repr__(self) -> str:
        children = "1 child" if len(self._nodes) == 1 else f"{len(self._nodes)} children"
        return f"<{type(self).__name__} {self.path or self.system.name!r} with {children}>"

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
        mailbox: MailboxPolicy | None = None,
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
            mailbox: what bounds its mailbox, if not the agent's own policy does; None for nothing else
            kwargs: for its constructor

        Raises:
            TypeError: if an argument is of the wrong type
            ValueError: if the name is empty, has a slash, or is taken, or a time is not above zero
            ActorDeadError: if the supervisor has stopped
            Exception: what the constructor raised

        """
        birth = Birth(kind, name, args, kwargs)
        label = self.system.new_name(birth.default_name) if birth.name is None else birth.name
        options = Options(
            restart=restart,
            supervision=supervision,
            start_timeout=start_timeout,
            shutdown=shutdown,
            mailbox=mailbox,
        )
        spec = birth.spec(label, self.path_of(label), dispatcher, options)
        self._check_free(label)
        return cast("ActorRef[A]", self._launch(birth.make(spec, self)))

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
            checked_name(name, "a supervisor's name"),
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
        return self.system.submit(lambda: self.transitions.stop(node))

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
            if self.transitions.is_overruled or (isinstance(child, Child) and child.course.order is not None):
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
                    hold(node)
            group, generation = self.transitions.form_group(concerned), self.transitions.generation
            self.system.submit(lambda: self.transitions.restart_group(child, group, delay, failure, generation))
            return None

    def fail(self, failure: BaseException) -> None:
        """Fail: stop the children, and leave the rest to the supervisor above; once, until it is started again."""
        with self.system.lock:
            if self.transitions.is_overruled:
                return
            self.transitions.failing = True
            self.transitions.hold()
            generation = self.transitions.generation
            self.system.submit(lambda: self._fail(failure, generation))

    def forget(self, node: Node) -> None:
        """Count what a node that has ended has done, and give its name up."""
        with self.system.lock:
            if self._nodes.get(node.name) is node:
                del self._nodes[node.name]
                self._past += _counts(node)

    def begin_again(self) -> None:
        """Count restarts afresh, because it is itself restarted; under the lock."""
        self.restarts += 1
        self._window = RestartWindow(self.supervision.max_restarts, self.supervision.within)

    def below(self, child: Child[Any]) -> "Supervisor":
        """Return the supervisor of a child's own children."""
        return Supervisor(self.system, child.spec.name, child.children_policy, parent=self, owner=child)

    def see_to_the_end_of(self, child: Child[Any]) -> None:
        """Have a child that was killed abandoned if it ignores that."""
        self.system.submit(lambda: self.transitions.bury_in_time(child))

    def see_to_the_end_in_hand(self, child: Child[Any], reason: str, over: Reply[bool]) -> None:
        """Have the handler of a message abandoned that was cancelled, if it ignores that."""
        self.system.submit(lambda: self.transitions.end_in_time(child, reason, over))

    def kill_all(self) -> None:
        """Kill every child, youngest first."""
        self.transitions.close()
        for _, node in reversed(self.nodes()):
            node.kill_all() if isinstance(node, Supervisor) else node.end_now(spare=False)

    def stop_all(self) -> Reply[None]:
        """Stop every child, youngest first; a child's actor can have new ones afterwards."""
        return self.system.submit(self.transitions.terminate_all)

    def all_gone(self) -> Reply[None]:
        """Return what is set when no child is left."""
        return self.system.submit(self.transitions.all_gone)

    async def _fail(self, failure: BaseException, generation: int) -> None:
        if not await self.transitions.fail(failure, generation):
            return
        if self._owner is not None:
            self._owner.fail_with(failure)
            await make_way(self._owner)
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
            self.system.submit(lambda: self.transitions.stop(node))
        else:
            self.ask_restart(node, failure)

    # The rest.

    def _launch(self, child: Child[Any]) -> ActorRef[Any]:
        with self.system.lock:
            try:
                self._check_free(child.spec.name)
                child.attach()  # before anybody can see it, who may end it at once
            except BaseException:
                child.abandon()
                raise
            ActorRegistry.register(child.ref)
            self._nodes[child.spec.name] = child
            if self.transitions.failing:
                child.course.order = Order.HOLD
        child.start()
        return child.ref

    def _concerned(self, child: Node) -> list[Node]:
        nodes = list(self._nodes.values())
        if self.supervision.strategy is Strategy.ONE_FOR_ONE:
            return [child]
        return nodes if self.supervision.strategy is Strategy.ONE_FOR_ALL else nodes[nodes.index(child) :]

    def _check_free(self, name: str) -> None:
        ended = self.system.closed if self._owner is None else self._owner.inbox.closed  # actors may, while it drains
        if self.transitions.closed or ended:
            msg = f"{self!r} has stopped and takes no more children"
            raise ActorDeadError(msg)
        if name in self._nodes:
            msg = f"{name!r} is taken: {self!r} has a child of that name"
            raise ValueError(msg)


def _counts(node: Node) -> Statistics:
    if isinstance(node, Supervisor):
        return node.statistics()
    own = node.ledger.balance()
    return own if node.children is None else own + node.children.statistics()
