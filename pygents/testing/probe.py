"""Probe: stands in for an actor in a test. Akka's ``TestProbe``."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, override

from pykka import Future
from pykka._envelope import Envelope
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]

from pygents.actors.actor import AsyncActor
from pygents.actors.answers import answer, fail_reply, show
from pygents.actors.cell import Cell
from pygents.actors.watch import Terminated
from pygents.testing.virtual_time import VirtualTimeLoop, check_seconds

if TYPE_CHECKING:
    from pygents.actors.ref import ActorRef
    from pygents.actors.watch import Ended

__all__ = ["Probe"]

_ANYTHING = object()


class Probe:
    """Stands in for an actor: it keeps what is sent to `ref` until the test expects it; Akka's ``TestProbe``.

    It is made and used on the running loop of its test; `ref` may be told and asked from any thread.
    """

    def __init__(self) -> None:
        asyncio.get_running_loop()
        self._received: deque[Envelope[Any]] = deque()
        self._asked: list[Envelope[Any]] = []
        self._arrived = asyncio.Event()
        self._asker: Future[Any] | None = None
        self.ref: ActorRef[Any] = _ProbeActor.start(self._receive, self._asked)
        """The ref to hand to what is tested."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._received)} messages>"

    async def expect_message(self, expected: object = _ANYTHING, *, timeout: float = 3.0) -> Any:
        """Return the next message, waiting for it if need be. It is taken, also if it is not the expected one.

        Args:
            expected: what it must be equal to; any message will do if left out
            timeout: seconds to wait at the most; while virtual time stands still, until nothing is ready

        Raises:
            AssertionError: if there is none, or it is not equal to `expected`

        """
        waited = await self._wait(timeout, advance_by=0)
        wanted = "a message" if expected is _ANYTHING else show(expected)
        if not self._received:
            raise AssertionError(f"expected {wanted}, but nothing came {waited}")
        envelope = self._received.popleft()
        self._asker = envelope.reply_to
        if expected is not _ANYTHING and envelope.message != expected:
            raise AssertionError(f"expected {wanted}, but {show(envelope.message)} came; {self._queued()}")
        return envelope.message

    async def expect_terminated(self, ref: "ActorRef[Any]", *, timeout: float = 3.0) -> "Ended":
        """Return how an actor has ended that ``await probe.ref.watch(ref)`` has made the probe watch.

        Raises:
            AssertionError: if the next message, within so many seconds, does not say that it has ended

        """
        message = await self.expect_message(timeout=timeout)
        if not isinstance(message, Terminated) or message.ref is not ref:
            raise AssertionError(f"expected the end of {ref}, but {show(message)} came; {self._queued()}")
        return message.reason

    async def expect_no_message(self, *, within: float = 0.1) -> None:
        """Let time pass, and check that nothing comes. Virtual time that stands still is advanced.

        Raises:
            AssertionError: if there is a message, or one comes within so many seconds; it stays queued

        """
        await self._wait(within, advance_by=within)
        if self._received:
            raise AssertionError(f"expected no message within {within} seconds; {self._queued()}")

    def reply(self, value: object) -> None:
        """Answer the message that was taken last.

        Raises:
            RuntimeError: if it was told, not asked, or has been answered, or none was taken

        """
        answer(self._take_asker(), value)

    def fail(self, error: BaseException) -> None:
        """Answer as `reply` does, but with an error, as if a handler had raised it."""
        fail_reply(self._take_asker(), error, self)

    def _receive(self, envelope: Envelope[Any]) -> None:
        self._received.append(envelope)
        self._arrived.set()
        if envelope.reply_to is not None:
            self._asked.append(envelope)

    async def _wait(self, seconds: float, *, advance_by: float) -> str:
        """Wait for a message, and say how long; where waiting would not let time pass, advance it."""
        check_seconds(seconds)
        loop = asyncio.get_running_loop()
        if not self._received and isinstance(loop, VirtualTimeLoop) and (loop.stands_still or not seconds):
            await loop.advance(advance_by)
            return f"at {loop.time()} virtual seconds, where time stands still: advance() it to wait longer"
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._received:
                    self._arrived.clear()
                    await self._arrived.wait()
        return f"within {seconds} seconds"

    def _queued(self) -> str:
        return f"queued: {', '.join(show(envelope.message) for envelope in self._received) or 'nothing'}"

    def _take_asker(self) -> Future[Any]:
        asker, self._asker = self._asker, None
        if asker is None:
            raise RuntimeError("nobody waits for an answer to the message that was taken last: expect_message() an ask")
        return asker


class _ProbeActor(AsyncActor):
    def __init__(self, receive: Callable[[Envelope[Any]], None], asked: list[Envelope[Any]]) -> None:
        super().__init__()
        self.receive = receive
        self.asked = asked

    def _start_actor_loop(self) -> None:
        _ProbeCell(self).start()


class _ProbeCell(Cell[_ProbeActor]):
    """Leaves the answers to the probe, and at the end answers whoever still waits for one."""

    __slots__ = ()

    @override
    async def handle(self, envelope: Envelope[Any]) -> None:
        if isinstance(envelope.message, _ActorStop):
            await super().handle(envelope)
        else:
            self.actor.receive(envelope)

    @override
    def answer_unhandled(self, envelopes: Sequence[Envelope[Any]]) -> None:
        super().answer_unhandled([*self.actor.asked, *envelopes])
