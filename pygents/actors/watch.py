"""Death watch: who is told, once, that an actor has ended for good. Akka's ``watch``, OTP's monitors.

Invariant: ``_lock`` guards the lists of all watches, for the whole process: they are touched when somebody begins to
watch and when an actor ends. Whoever ends an actor takes its list as a whole, so everybody on it is told exactly once,
and outside the lock; who comes later is told at once.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pykka import ActorRef

__all__ = ["Ended", "Terminated", "Watches"]

_lock = threading.RLock()  # a finalizer may end an actor on a thread that is inside it


class Ended(Enum):
    """How an actor has ended."""

    STOPPED = "stopped"
    """In order: it was stopped, or stopped itself, or was dead already when somebody began to watch."""
    FAILED = "failed"
    """Because of a failure that nobody restarts it after."""
    KILLED = "killed"
    """At once, because somebody killed it or it took longer than it may to stop."""
    LOOP_CLOSED = "loop_closed"
    """Its event loop was closed before it was stopped."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """The message that a watcher gets when an actor that it watches has ended for good."""

    ref: "ActorRef[Any]"
    """The actor that has ended."""
    reason: Ended
    """How it has ended."""


class Watches:
    """Whom to tell of the end of one actor: nobody, usually, and then it is three words of memory."""

    __slots__ = ("_callbacks", "_ended")

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[Ended], object]] | None = None
        self._ended: Ended | None = None

    @property
    def ended(self) -> Ended | None:
        """How the actor has ended, if it has."""
        return self._ended

    def add(self, key: object, callback: Callable[[Ended], object]) -> bool:
        """Have `callback` called at the end, or now if that is past; once for a key. Return whether it still lives."""
        with _lock:
            ended = self._ended
            if ended is None:
                self._callbacks = self._callbacks or {}
                self._callbacks.setdefault(key, callback)
        if ended is not None:
            callback(ended)
        return ended is None

    def discard(self, key: object) -> None:
        """Tell nobody under that key."""
        with _lock:
            if self._callbacks is not None:
                self._callbacks.pop(key, None)

    def end(self, how: Ended) -> None:
        """Tell everybody; doing it again changes nothing."""
        with _lock:
            if self._ended is not None:
                return
            self._ended = how
            callbacks, self._callbacks = self._callbacks, None
        for callback in (callbacks or {}).values():
            callback(how)

    def leave_behind(self) -> None:
        """Be ended in a forked child; whoever is to be told is the parent's."""
        self._ended, self._callbacks = self._ended or Ended.LOOP_CLOSED, None


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 (a thread of the parent's may hold the old one for ever)
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
