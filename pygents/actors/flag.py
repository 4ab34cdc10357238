"""Flag: a ``threading.Event`` that costs next to nothing until somebody waits for it.

Every pykka actor has an event, which is a condition, a lock and a deque: half of an idle actor's memory. Almost nobody
waits for it.

Invariant: ``_set`` goes from False to True once and is a single attribute; the event that waiters share is made under
``_lock``, and whoever makes it looks at ``_set`` afterwards, so no waiter misses the change.
"""

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
