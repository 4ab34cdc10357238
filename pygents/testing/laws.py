"""What the runtime promises, as a simulation sees it from outside: one handler at a time, and an end for each message.

It counts for itself, by what handlers do and by what the system tells, and not by the runtime's own accounts. What an
abandoned handler does no longer counts: it ignores its cancellation, and the runtime has gone on without it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pygents.actors.reply import Reply
from pygents.actors.watch import Terminated
from pygents.testing.trace import stable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._envelope import Envelope

    from pygents.actors.child import Child
    from pygents.actors.dead_letters import DeadLetter
    from pygents.actors.system import ActorSystem

__all__ = ["Laws", "Run"]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A handler at work on a message."""

    path: str
    """The actor's path."""
    envelope: "Envelope[Any]"
    """The message, and who asked."""

    def __str__(self) -> str:
        return f"{self.path} with {stable(self.envelope.message)}"


class Laws:
    """What must hold in one simulated system.

    Args:
        broken: told what does not

    """

    def __init__(self, broken: "Callable[[str], None]") -> None:
        self._broken = broken
        self._busy: dict[Child[Any], Run] = {}
        self._open: dict[int, Run] = {}
        self._handled: dict[int, Run] = {}  # both by the ids of the envelopes, which the runs keep

    def begin(self, child: "Child[Any]", envelope: "Envelope[Any]") -> Run:
        """See that a handler begins."""
        run = Run(child.spec.path, envelope)
        if (other := self._busy.get(child)) is not None:
            self._broken(f"two messages are handled at once: {other}, and {run}")
        if id(envelope) in self._handled:
            self._broken(f"a message is handled again that has been: {run}")
        self._busy[child] = run
        if not isinstance(envelope.message, Terminated):  # one of these may go with its watcher
            self._open[id(envelope)] = run
        return run

    def is_on(self, child: "Child[Any]", run: Run) -> bool:
        """Return whether a handler is at work, and not abandoned."""
        return self._busy.get(child) is run

    def end(self, child: "Child[Any]", run: Run, *, handled: bool) -> None:
        """See that a handler ends: with its message handled, or with something that has come out of it."""
        if not self.is_on(child, run):
            return
        del self._busy[child]
        if handled and self._open.pop(id(run.envelope), None) is not None:
            self._handled[id(run.envelope)] = run
        elif not handled:
            self._excuse(child, run)

    def abandon(self, path: str) -> None:
        """See that an actor goes on without what it does, or that its handler goes on without its tool."""
        for child in [child for child in self._busy if child.spec.path == path]:
            if child.activation is None:  # else it is the tool
                self._excuse(child, self._busy.pop(child))

    def _excuse(self, child: "Child[Any]", run: Run) -> None:
        """Expect nothing more of a message that was told, and whose handler was told to end: that is its end."""
        told_to_end = child.control is not None and child.control.reason is not None
        if told_to_end and run.envelope.reply_to is None:
            self._open.pop(id(run.envelope), None)

    def bury(self, letter: "DeadLetter") -> None:
        """See that a message has died; one that has not been begun is not known."""
        for key, run in self._open.items():
            if run.path == letter.recipient and run.envelope.message is letter.message:
                del self._open[key]
                return

    def check_end(self, system: "ActorSystem") -> None:
        """Check, when a system has ended, that everything in it has."""
        for name, _ in system.root.nodes():
            self._broken(f"an actor or a supervisor outlives its system: {name}")
        if queued := system.statistics().queued:
            self._broken(f"messages wait for ever: {queued}")
        for run in self._open.values():
            asked = run.envelope.reply_to
            if not isinstance(asked, Reply):
                self._broken(f"a message was told, and is neither handled nor a dead letter: {run}")
            elif not asked.done:
                self._broken(f"an ask is never answered: {run}")
