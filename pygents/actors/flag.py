"""Flag: a ``threading.Event`` that costs next to nothing until somebody waits for it.

Every pykka actor has an event, which is a condition, a lock and a deque: half of an idle actor's memory. Almost nobody
waits for it.

Invariant: ``_set`` goes from False to True once and is a single attribute; the event that waiters share is made under
``_lock``, and whoever makes it looks at ``_set`` afterwards, so no waiter misses the change.
"""

import os
import threading
from typing import override

__all__ = ["Flag"]

_lock = threading.RLock()  # a finalizer may set a flag on a thread that is inside it


class Flag(threading.Event):
    """An event that is set once."""

    def __init__(self) -> None:
        self._set = False
        self._event: threading.Event | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'set' if self._set else 'unset'}>"

    @override
    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._set

    @override
    def set(self) -> None:
        """Set it, and wake who waits."""
        self._set = True
        with _lock:
            event = self._event
        if event is not None:
            event.set()

    def set_in_child(self) -> None:
        """Set it in a forked child, where nobody waits, and whoever was about to wake a waiter does not exist."""
        self._event = None
        self._set = True

    @override
    def clear(self) -> None:
        """Refuse: an actor that has stopped stays stopped.

        Raises:
            RuntimeError: always

        """
        msg = "an actor that has stopped cannot be made alive again: start a new one"
        raise RuntimeError(msg)

    @override
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds, and return whether it is."""
        with _lock:
            event = self._event = self._event or threading.Event()
        if self._set:
            event.set()
        return event.wait(timeout)


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 (a thread of the parent's may hold the old one for ever)
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
