"""SimulatedSystem: an actor system in which everything is seen, and may be befallen by faults.

It uses the one seam that the runtime has for it, `ActorSystem.adopt`, which is called with a child before it starts
and at each fresh actor of it. There the child is given the dispatcher of the simulation, and the actor a
``_handle_receive`` of its own around that of its class. So what is not simulated pays nothing.
"""

# pyright: reportPrivateUsage=false

from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from functools import partial
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, cast, override

from pygents.acceptance import is_turn
from pygents.actors.abandonment import cut
from pygents.actors.bulletin import Bulletin
from pygents.actors.child import Child
from pygents.actors.child_spec import Order
from pygents.actors.envelope import Sent
from pygents.actors.events import EventStream
from pygents.actors.lifecycle import Event
from pygents.actors.supervision import Restart, Supervision
from pygents.actors.system import ActorSystem
from pygents.agent_child import AgentChild
from pygents.deciding import is_denial
from pygents.testing.errors import InjectedFaultError
from pygents.testing.faulty_tools import FaultyTools
from pygents.testing.simulated_dispatcher import SimulatedDispatcher

if TYPE_CHECKING:
    from pygents.actors.actor import AsyncActor
    from pygents.actors.dead_letters import DeadLetter
    from pygents.actors.dispatcher import Dispatcher
    from pygents.testing.faults import Mishaps
    from pygents.testing.laws import Laws, Run
    from pygents.testing.trace import Tracer

__all__ = ["SimulatedSystem"]


class SimulatedSystem(ActorSystem):
    """The actor system of one simulation.

    Args:
        tracer: is told what happens
        laws: must hold
        mishaps: befall its actors, if any do
        supervision: what is done about failures of the children of the root

    """

    def __init__(
        self, tracer: "Tracer", laws: "Laws", mishaps: "Mishaps | None", supervision: Supervision | None
    ) -> None:
        super().__init__("simulation", supervision=supervision, stall_after=None)  # it has one thread
        self.news = _OverheardBulletin(tracer)
        self._tracer = tracer
        self._laws = laws
        self._mishaps = mishaps
        self._tools = None if mishaps is None else FaultyTools(mishaps)

    def give_tools_back(self) -> None:
        """Leave the tools of its agents as they were."""
        if self._tools is not None:
            self._tools.give_back()

    @override
    def adopt(self, child: Child[Any]) -> None:
        child.spec = replace(child.spec, dispatcher=cast("type[Dispatcher]", SimulatedDispatcher))
        actor: AsyncActor = child.actor
        own = vars(actor)
        own.pop("_handle_receive", None)  # an agent has the same actor again
        receive = actor._handle_receive  # noqa: SLF001 (pykka's, which a contract test pins)
        own["_handle_receive"] = partial(self._handle, child, receive)
        if self._tools is not None and isinstance(child, AgentChild):
            self._tools.take(child.agent.tools)

    @override
    def bury(self, letter: "DeadLetter") -> None:
        self._laws.bury(letter)
        super().bury(letter)

    @override
    def note_abandoned(self, path: str) -> None:
        self._laws.abandon(path)
        super().note_abandoned(path)

    async def _handle(self, child: Child[Any], receive: Callable[[Any], Any], message: object) -> object:
        envelope = child.inbox.in_hand
        assert envelope is not None  # noqa: S101 (the message's)
        self._tracer.note_message(child.spec.path, message, envelope.sender if isinstance(envelope, Sent) else None)
        run = self._laws.begin(child, envelope)
        handled = False
        try:
            result = await self._befallen(child, run, receive)
            handled = True
        except BaseException as error:
            handled = is_denial(error, message) and not child.cuts.has_cut
            raise
        else:
            return result
        finally:
            self._laws.end(child, run, handled=handled)

    async def _befallen(self, child: Child[Any], run: "Run", receive: Callable[[Any], Any]) -> object:
        mishaps, path = self._mishaps, child.spec.path
        message: object = run.envelope.message
        if mishaps is None:
            return await _call(receive, message)
        seconds = mishaps.seconds_to_cancellation(path)
        if seconds is not None and child.restart is not Restart.TEMPORARY:
            self.loop.call_later(seconds, self._restart, child, run, context=Context())
        if isinstance(child, AgentChild) and is_turn(message):  # it befalls the tool
            return await _call(receive, message)
        fails = await mishaps.strike(path)
        result = await _call(receive, message)
        if fails:
            raise mishaps.error(path)
        return result

    def _restart(self, child: Child[Any], run: "Run") -> None:
        """Cut a handler short, and start its actor again, as its supervisor does when a sibling fails."""
        transitions = child.parent.transitions
        with self.lock:
            if not self._laws.is_on(child, run) or child.killed or child.course.order is not None:
                return  # it has ended, or has been told to do something else
            child.give(Order.SUSPEND)
            group, generation = transitions.form_group([child]), transitions.generation
        self._tracer.note_fault(child.spec.path, "is cancelled, and starts again")
        cut(child)
        failure = InjectedFaultError(child.spec.path)
        self.submit(lambda: transitions.restart_group(child.parent, group, 0.0, failure, generation))


async def _call(receive: Callable[[Any], Any], message: object) -> object:
    result = receive(message)
    return await result if iscoroutine(result) else result


class _OverheardStream(EventStream[Event]):
    def __init__(self, tracer: "Tracer") -> None:
        super().__init__()
        self._tracer = tracer

    @property
    @override
    def has_subscribers(self) -> bool:
        return True

    @override
    def publish(self, event: Event) -> None:
        self._tracer.note_event(event)
        super().publish(event)


class _OverheardBulletin(Bulletin):
    """Tells the tracer first, at once."""

    __slots__ = ()

    def __init__(self, tracer: "Tracer") -> None:
        super().__init__()
        self._stream = _OverheardStream(tracer)
