"""Bulletin: what a system tells of its actors, as events; when nobody listens, none is made.

It keeps nothing. It may be used on any thread, as its `EventStream` may.
"""

import time
from typing import TYPE_CHECKING

from pygents.actors.events import EventStream, Subscription
from pygents.actors.lifecycle import (
    ActorFailed,
    ActorRestarted,
    ActorStarted,
    ActorStopped,
    DeadLetterRecorded,
    Event,
    LoopStalled,
    SupervisorFailed,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)

if TYPE_CHECKING:
    from pygents.actors.dead_letters import DeadLetter
    from pygents.actors.watch import Ended

__all__ = ["Bulletin"]


class Bulletin:
    """The events of one system."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream: EventStream[Event] = EventStream()

    @property
    def is_read(self) -> bool:
        """Whether anybody listens."""
        return self._stream.has_subscribers

    def subscribe(self, *, capacity: int) -> Subscription[Event]:
        """Return the events from now on; see `EventStream.subscribe`."""
        return self._stream.subscribe(capacity=capacity)

    def close(self) -> None:
        """End all subscriptions, once each subscriber has got what waits for it."""
        self._stream.close()

    def started(self, path: str) -> None:
        """Tell that an actor has started for the first time."""
        if self.is_read:
            self._stream.publish(ActorStarted(path=path, at=time.time()))

    def failed(self, path: str, failure: BaseException, message: object) -> None:
        """Tell that an actor has failed, and on what."""
        if self.is_read:
            self._stream.publish(ActorFailed(path=path, at=time.time(), failure=failure, message=message))

    def restarted(self, path: str, failure: BaseException | None, restarts: int) -> None:
        """Tell that a fresh actor has started."""
        if self.is_read:
            self._stream.publish(ActorRestarted(path=path, at=time.time(), failure=failure, restarts=restarts))

    def stopped(self, path: str, how: "Ended") -> None:
        """Tell that an actor has ended for good."""
        if self.is_read:
            self._stream.publish(ActorStopped(path=path, at=time.time(), how=how))

    def supervisor_failed(self, path: str, failure: BaseException) -> None:
        """Tell that a supervisor has failed."""
        if self.is_read:
            self._stream.publish(SupervisorFailed(path=path, at=time.time(), failure=failure))

    def dead_letter(self, letter: "DeadLetter") -> None:
        """Tell that a message has died."""
        if self.is_read:
            self._stream.publish(DeadLetterRecorded(path=letter.recipient, at=letter.at, letter=letter))

    def stalled(self, path: str, turn: object, seconds: float, stack: str) -> None:
        """Tell that the loop stands still, and where."""
        if self.is_read:
            self._stream.publish(LoopStalled(path=path, at=time.time(), turn=turn, seconds=seconds, stack=stack))

    def turn_started(self, path: str, turn: object, attempt: int) -> None:
        """Tell that an agent begins a turn."""
        self._stream.publish(TurnStarted(path=path, at=time.time(), turn=turn, attempt=attempt))

    def turn_completed(self, path: str, turn: object) -> None:
        """Tell that a turn has ended well."""
        self._stream.publish(TurnCompleted(path=path, at=time.time(), turn=turn))

    def turn_failed(self, path: str, turn: object, failure: BaseException) -> None:
        """Tell that a turn has not."""
        self._stream.publish(TurnFailed(path=path, at=time.time(), turn=turn, failure=failure))
