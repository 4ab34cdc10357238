"""Transitions: what a supervisor does with several children together, youngest first or oldest first.

Invariants:

* Everything here runs on the system's loop. The transitions of one supervisor take turns at ``_turn``.
* ``closed``, ``failing``, ``held``, the groups, ``generation`` and the nodes change under the system's lock.
* A node is in one group at the most. A group that is asked for while another one is being restarted takes over the
  nodes that it concerns: the other leaves them alone from then on, so that nothing is restarted twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pygents.actors.abandonment import abandon_handler, abandon_loop, cut
from pygents.actors.child import Child
from pygents.actors.child_spec import Order, Phase
from pygents.actors.comeback import revive
from pygents.actors.lane import control_of
from pygents.actors.reply import Reply
from pygents.actors.supervision import Restart

if TYPE_CHECKING:
    from pygents.actors.supervisor import Node, Supervisor

__all__ = ["Group", "Transitions", "hold", "make_way"]

type Group = dict[Node, None]
"""The nodes that are to be started again together, in their order."""

_GONE = Phase.SUSPENDED, Phase.STOPPED


class Transitions:
    """The transitions of one supervisor."""

    def __init__(self, supervisor: "Supervisor", nodes: "dict[str, Node]") -> None:
        self._supervisor = supervisor
        self._system = supervisor.system
        self._nodes = nodes
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self.closed = False
        """Whether it takes no more children, for good."""
        self.failing = False
        """Whether it has failed, and has not been started again."""
        self.held = False
        """Whether one above is going to restart or end it: what happens below meanwhile is overtaken."""
        self._groups: list[Group] = []
        self.generation = 0
        """How often all that was asked for has been overtaken: by a restart or the end of the supervisor itself."""

    def form_group(self, concerned: "list[Node]") -> "Group":
        """Return the group that is to be restarted: it takes over what others were to start; under the lock."""
        group = dict.fromkeys(concerned)
        for other in self._groups:
            for node in other.keys() & group.keys():
                del other[node]
        self._groups.append(group)
        return group

    def close(self) -> None:
        """Take no more children; a wait for a backoff ends. On any thread."""
        with self._system.lock:
            self.closed = True
        self._system.call(self._stopping.set)

    def hold(self) -> None:
        """Let all children finish the messages in hand and handle no other; under the lock, on any thread."""
        for node in self._nodes.values():
            hold(node)

    async def terminate_all(self, *, close: bool = False) -> None:
        """Stop every child for good, youngest first.

        A failure that has come up and waits to be dealt with is overtaken only if that ends the supervisor, or its
        owner begins anew: else it would get lost.
        """
        with self._system.lock:
            self.closed = self.closed or close
            if close or self._supervisor.is_owned or not self.failing:
                self._overtake()
            nodes = list(reversed(self._nodes.values()))
            self.hold()
        self._stopping.set()
        async with self._turn:
            for node in nodes:
                await self._terminate(node)
        if close:
            return
        self._stopping.clear()
        with self._system.lock:
            self.failing = self.failing and not self._supervisor.is_owned  # the owner's next actor begins anew
            if not self.failing:
                self._supervisor.begin_again()

    async def stop(self, node: "Node") -> bool:
        """Stop one child for good, and return whether it lived."""
        with self._system.lock:
            hold(node)
        async with self._turn:
            alive = self._nodes.get(node.name) is node
            if alive:
                await self._terminate(node)
        return alive

    async def all_gone(self) -> None:
        """Wait until no child is left."""
        for node in list(self._nodes.values()):
            if isinstance(node, Child):
                await node.course.reach(Phase.STOPPED)
            else:
                await node.transitions.all_gone()

    async def bury_in_time(self, child: Child[Any]) -> None:
        """Have a child that was killed abandoned if it ignores that."""
        if not await _in_time(child.course.reach(Phase.STOPPED), child.spec.shutdown):
            await _abandon(child)

    async def end_in_time(self, child: Child[Any], reason: str, over: Reply[bool]) -> None:
        """Have the handler of a message abandoned that was cancelled, if it ignores that."""
        in_hand = child.inbox.in_hand
        if await _in_time(over, child.spec.shutdown):
            return
        has_keeper = child.control is not None and child.control.has_keeper
        if has_keeper and await _in_time(over, child.spec.shutdown):  # it needs no other, unless its loop is blocked
            return
        if not await _in_time(abandon_handler(child, in_hand), child.spec.shutdown):
            abandon_loop(child, lambda: control_of(child).ask_to_end(reason, over, lambda _: True))

    async def restart_group(
        self, child: "Node", group: "Group", delay: float, failure: BaseException | None, generation: int
    ) -> None:
        """Stop all that a failed child's restart concerns, and start them again.

        The start takes no turn: it may take long, and whatever comes up meanwhile takes over what it concerns.
        """
        try:
            async with self._turn:
                if self._is_moot(generation):
                    return
                await self._suspend_group(child, group)
            if delay > 0 and await _in_time(self._stopping.wait(), delay):
                return
            await self._revive_group(group, failure, lambda node: self._is_overtaken(node, group, generation))
        finally:
            with self._system.lock:
                self._drop(group)

    async def _revive_group(
        self, group: "Group", failure: BaseException | None, is_overtaken: Callable[["Node"], bool]
    ) -> None:
        for node in list(group):
            await self._revive(node, failure, partial(is_overtaken, node))

    async def _suspend_group(self, child: "Node", group: "Group") -> None:
        if isinstance(child, Child):
            await child.course.reach(Phase.RESTARTING, *_GONE)
        for node in reversed(list(group)):
            if node is not child or not isinstance(node, Child):
                await self._suspend(node)

    async def fail(self, failure: BaseException, generation: int) -> bool:
        """Suspend all children because the supervisor has failed; return whether that is not overtaken."""
        async with self._turn:
            if self.closed or self.held or generation != self.generation:
                return False
            self._system.news.supervisor_failed(self._supervisor.path or self._system.name, failure)
            for node in reversed(list(self._nodes.values())):
                await self._suspend(node)
        return True

    def _is_overtaken(self, node: "Node", group: "Group", generation: int) -> bool:
        """Whether something else has come up that concerns a node, and will start it again, or not."""
        return node not in group or self._is_moot(generation)

    def _drop(self, group: "Group") -> None:
        self._groups = [other for other in self._groups if other is not group]

    def _overtake(self) -> None:
        """Have all that was asked for until now come to nothing; under the lock."""
        self.generation += 1
        self._groups.clear()

    def _is_moot(self, generation: int) -> bool:
        """Whether something that was asked for is overtaken: the supervisor fails, ends, or is or was restarted."""
        return self.is_overruled or generation != self.generation

    @property
    def is_overruled(self) -> bool:
        """Whether nothing below is restarted, because the supervisor fails or ends, or one above restarts it."""
        return self.failing or self.closed or self.held

    async def _terminate(self, node: "Node") -> None:
        if not isinstance(node, Child):
            await node.transitions.terminate_all(close=True)
            self._supervisor.forget(node)
            return
        if node.children is not None:
            await node.children.transitions.terminate_all()
        node.give(Order.STOP)
        if not await _in_time(node.course.reach(Phase.STOPPED), node.spec.shutdown):
            node.end_now(spare=False)
            await node.course.reach(Phase.STOPPED)

    async def _suspend(self, node: "Node") -> None:
        if node.restart is Restart.TEMPORARY:
            await self._terminate(node)
        elif isinstance(node, Child):
            await _suspend_child(node)
        else:
            await node.transitions.suspend_all()

    async def suspend_all(self) -> None:
        """Suspend all children because the supervisor is restarted: what was asked for before is overtaken."""
        async with self._turn:
            with self._system.lock:
                self._overtake()
            for node in reversed(list(self._nodes.values())):
                await self._suspend(node)

    async def _revive(self, node: "Node", failure: BaseException | None, overtaken: Callable[[], bool]) -> None:
        """Start a node again, unless that has been overtaken: by a failure that concerns it, say."""
        if isinstance(node, Child):
            with self._system.lock:  # or it would take back an order that is given between the look and the revival
                tried = None if overtaken() else revive(node, failure)
            if tried is not None:
                await tried
            return
        await node.transitions.revive_all(failure, overtaken)

    async def revive_all(self, failure: BaseException | None, overtaken: Callable[[], bool]) -> None:
        """Start all children again, because the supervisor is."""
        with self._system.lock:
            if overtaken():
                return
            self.failing = self.held = False
            self._supervisor.restarts += 1
            self._supervisor.begin_again()
            group, generation = self.form_group(list(self._nodes.values())), self.generation

        def is_overtaken(node: "Node") -> bool:
            return overtaken() or self._is_overtaken(node, group, generation)

        try:
            await self._revive_group(group, failure, is_overtaken)
        finally:
            with self._system.lock:
                self._drop(group)


def hold(node: "Node") -> None:
    """Let a node finish the message in hand and handle no other; under the lock, on any thread."""
    if isinstance(node, Child):
        node.give(Order.HOLD)
    else:
        node.transitions.held = True
        node.transitions.hold()


async def _suspend_child(child: Child[Any]) -> None:
    child.give(Order.SUSPEND)
    if child.children is not None:
        await child.children.transitions.terminate_all()
    if not await _in_time(child.course.reach(*_GONE), child.spec.shutdown):
        cut(child)
        if not await _in_time(child.course.reach(*_GONE), child.spec.shutdown):
            await _abandon(child)
            await child.course.reach(*_GONE)


async def make_way(owner: Child[Any]) -> None:
    """See that an actor comes to its failure, whose children have failed: it may wait for one of them, for ever."""
    over = Phase.RESTARTING, Phase.STOPPING, *_GONE
    if not await _in_time(owner.course.reach(*over), owner.spec.shutdown):
        cut(owner)
        if not await _in_time(owner.course.reach(*over), owner.spec.shutdown):
            await _abandon(owner)


async def _abandon(child: Child[Any]) -> None:
    """Have a child go on without what it does."""
    if not await _in_time(abandon_handler(child), child.spec.shutdown):
        abandon_loop(child)


async def _in_time(awaited: Awaitable[object], seconds: float) -> bool:
    """Wait so many seconds at the most, and return whether it has come."""
    try:
        async with asyncio.timeout(seconds):
            await awaited
    except TimeoutError:
        return False
    return True
