"""Events: the stream that carries what the runtime tells about itself, to any number of subscribers.

It knows neither what it carries nor who tells it. Akka's event stream, with bounded subscribers.

Invariants: ``_lock`` of a subscription guards its queue, the count of what it has lost, and who waits. Publishing never
blocks and never fails because of a subscriber. A stream refers to its subscriptions weakly: one that is dropped, by a
``break`` say, is gone. The set of them is replaced as a whole under ``_lock``, so that `publish` reads it without one.
"""

import asyncio
import threading
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from pygents.actors.checks import checked_count

__all__ = ["EventStream", "EventsLost", "Subscription"]

_CAPACITY = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost:
    """What a subscriber gets in the place of events that it was too slow for."""

    count: int
    """How many events were lost here, the oldest ones."""


class EventStream[E]:
    """Hands events to all who have subscribed; without subscribers it costs a look."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a subscription may be collected while this thread holds it
        self._subscriptions: tuple[weakref.ref[Subscription[E]], ...] = ()
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._subscriptions)} subscribers>"

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody would get an event: if not, none need be made."""
        return bool(self._subscriptions)

    def publish(self, event: E) -> None:
        """Hand an event to every subscriber; from any thread."""
        for reference in self._subscriptions:
            if (subscription := reference()) is not None:
                subscription.add(event)

    def subscribe(self, *, capacity: int = _CAPACITY) -> "Subscription[E]":
        """Return a subscription to all events from now on; to none if the stream is closed.

        Args:
            capacity: events that wait for the subscriber at the most; beyond, the oldest are lost and counted

        Raises:
            TypeError: if the capacity is no integer
            ValueError: if it is below 1

        """
        subscription: Subscription[E] = Subscription(checked_count("capacity", capacity, least=1))
        with self._lock:
            if self._closed:
                subscription.close()
            else:
                self._subscriptions = (*self._subscriptions, weakref.ref(subscription, self._forget))
        return subscription

    def close(self) -> None:
        """End all subscriptions, once each subscriber has got what waits for it, and those to come at once."""
        with self._lock:
            self._closed = True
            closing, self._subscriptions = self._subscriptions, ()
        for reference in closing:
            if (subscription := reference()) is not None:
                subscription.close()

    def _forget(self, gone: "weakref.ref[Subscription[E]]") -> None:
        with self._lock:
            self._subscriptions = tuple(reference for reference in self._subscriptions if reference is not gone)


class Subscription[E]:
    """The events since `EventStream.subscribe`, as an asynchronous iterator, for one task at a time on any loop."""

    def __init__(self, capacity: int) -> None:
        self._lock = threading.RLock()
        self._events: deque[E] = deque()
        self._capacity = capacity
        self._lost = 0
        self._closed = False
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} {state}, {len(self._events)} waiting, {self._lost} lost>"

    def add(self, event: E) -> None:
        """Add an event, in the place of the oldest if there is no room."""
        with self._lock:
            if self._closed:
                return
            if len(self._events) == self._capacity:
                self._events.popleft()
                self._lost += 1
            self._events.append(event)
        self._wake()

    def close(self) -> None:
        """Take no more events; those that wait are still given."""
        with self._lock:
            self._closed = True
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E | EventsLost:
        """Wait for the next event; what was lost before it comes first, as a count."""
        while True:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            with self._lock:
                if self._lost:
                    lost, self._lost = self._lost, 0
                    return EventsLost(count=lost)
                if self._events:
                    return self._events.popleft()
                if self._closed:
                    raise StopAsyncIteration
                self._waiter = loop, waiter
            await waiter

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiter = self._waiter, None
        if waiting is None:
            return
        loop, waiter = waiting
        with suppress(RuntimeError):  # the loop is closed: nobody waits there
            loop.call_soon_threadsafe(_resolve, waiter)


def _resolve(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
