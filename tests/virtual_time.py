"""An event loop whose clock jumps: where the loop would sleep until a timer, the timer is due at once.

Everything else is asyncio's own. Only for tests that wait for nothing outside their loop: a loop that waits for another
thread would jump ahead of it.
"""

import asyncio
import selectors
from collections.abc import Mapping
from typing import override

__all__ = ["VirtualTimeLoop"]

type _Events = list[tuple[selectors.SelectorKey, int]]


class _JumpingSelector(selectors.BaseSelector):
    """Polls without waiting, and counts the seconds it was asked to wait."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.now = 0.0

    @override
    def register(self, fileobj: int, events: int, data: object = None) -> selectors.SelectorKey:  # type: ignore[override]
        return self._inner.register(fileobj, events, data)

    @override
    def unregister(self, fileobj: int) -> selectors.SelectorKey:  # type: ignore[override]
        return self._inner.unregister(fileobj)

    @override
    def select(self, timeout: float | None = None) -> _Events:
        if timeout is None:  # nothing is due: only another thread or a signal can go on
            return self._inner.select(None)
        events = self._inner.select(0)
        if not events and timeout > 0:
            self.now += timeout
        return events

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def get_map(self) -> Mapping[int, selectors.SelectorKey]:  # type: ignore[override]
        return self._inner.get_map()  # type: ignore[return-value]


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop on virtual seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        return self._jumping.now
