"""AsyncActor: a pykka actor whose handlers may be coroutines and whose messages are handled on an event loop.

It knows nothing of tools, turns or agents. It uses pykka's three extension points and replaces pykka's thread loop.

How it runs: an idle actor is memory only. A message that arrives at an idle mailbox claims it and schedules an
*activation* on the actor's loop; the activation is one task that handles messages one at a time, up to the dispatcher's
``throughput``, and then lets the loop's other actors go first. The task is started eagerly, so handlers that never
suspend cost no further loop iteration.

Invariants:

* Handlers and the ``on_*`` methods run on the actor's loop, by the holder of the mailbox's claim; so never two at once,
  and ``_started`` and ``_activation`` need no lock.
* Everything that ends an actor closes the mailbox first and answers or logs what was in it last. ``close`` hands each
  envelope to exactly one caller, so it does not matter who ends the actor, or whether two do at once.
* No ``BaseException`` leaves an activation: asyncio would re-raise it out of the loop, pykka would stop every actor.
  Two come from outside and are no message's outcome: the cancellation of the activation's task (its loop is ending) and
  the ``GeneratorExit`` of a coroutine that is thrown away (its loop has gone). Both end the actor.
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import queue
from asyncio import CancelledError, Task
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from inspect import iscoroutine
from typing import Any, ClassVar, Self, cast

from pykka import Actor, ActorDeadError, ActorRegistry, Future
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pygents.actors.dispatcher import Dispatcher, LoopDispatcher, LoopEndedError
from pygents.actors.flag import Flag
from pygents.actors.mailbox import Mailbox
from pygents.actors.ref import ActorRef
from pygents.actors.registry import adapt_registry
from pygents.actors.reply import Reply, running
from pygents.errors import ActorFailedError

__all__ = ["AsyncActor", "answer", "fail_reply"]

logger = logging.getLogger("pygents.actors")

adapt_registry()


class AsyncActor(Actor):
    """An actor on an event loop; see `pykka.Actor` for the life of an actor and its methods.

    ``on_start``, ``on_stop``, ``on_failure``, ``on_receive`` and methods that are called through a proxy may be plain
    or ``async def``; an answer that is a coroutine is awaited.
    """

    dispatcher: ClassVar[type[Dispatcher]] = LoopDispatcher
    """Where the messages of this class's actors are handled."""

    # pykka's attributes, narrower: ours are what pykka's factory methods make here.
    actor_inbox: Mailbox[Envelope[Any]]  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor_stopped = Flag()
        self._actor_ref: ActorRef[Any] = ActorRef(self)  # pyright: ignore[reportIncompatibleVariableOverride]
        self._dispatcher: Dispatcher
        self._context: Context
        self._activation: Task[None] | None = None
        self._started = False
        self._ending = False

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start an actor on the running loop, or where its class's `dispatcher` says; pykka's ``Actor.start``.

        Raises:
            RuntimeError: if the running loop is closing down

        """
        return cast("ActorRef[Self]", super().start(*args, **kwargs))

    @property
    def actor_ref(self) -> ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The actor's ref."""
        return self._actor_ref

    def stop(self) -> None:
        """Stop when what is queued has been handled; ``ref.stop(block=False)``."""
        self._actor_ref.stop(block=False)

    @staticmethod
    def _create_actor_inbox() -> Mailbox[Envelope[Any]]:
        return Mailbox()

    @staticmethod
    def _create_future() -> Future[Any]:
        return Reply()

    def _start_actor_loop(self) -> None:
        try:
            dispatcher = self.dispatcher.open()
        except BaseException:
            rest = self.actor_inbox.close()
            self._leave_pykka()
            self._answer_unhandled(rest)
            raise
        self._dispatcher = self._actor_ref._dispatcher = dispatcher
        self._context = copy_context()
        self._context.run(running.set, self._actor_ref)
        self._started = not dispatcher.wakes_for_messages or type(self).on_start is Actor.on_start
        dispatcher.add(self._end_with_loop)
        self.actor_inbox.open(self._wake, wake_for_items=dispatcher.wakes_for_messages)
        if not self._started or not self.actor_inbox.release():
            try:
                self._wake()
            except ActorDeadError:
                self._lose_loop()
                raise

    def _wake(self) -> None:
        """Have somebody act on the mailbox, whose claim is held; called on any thread."""
        try:
            self._dispatcher.schedule(self._activate if self._dispatcher.wakes_for_messages else self._end_undrained)
        except LoopEndedError:
            msg = f"{self} not found: its event loop is closed"
            raise ActorDeadError(msg) from None

    def _activate(self) -> None:
        task = Task(self._work(), loop=self._dispatcher.loop, context=self._context, eager_start=True)
        if not task.done():
            self._activation = task

    async def _work(self) -> None:
        inbox = self.actor_inbox
        envelope: Envelope[Any] | None = None
        try:
            if not self._started:
                self._started = True
                await self._begin()
            for _ in range(self._dispatcher.throughput):
                if self._ending or inbox.closed or (envelope := inbox.take()) is None:
                    break
                await self._handle(envelope)
            if self._ending and not inbox.closed:
                await self._end()
        except BaseException as error:
            self._log_escape(error)
            self._lose_loop()
            raise
        self._activation = None
        if not inbox.closed:
            if envelope is not None:
                inbox.done(envelope)
            if not inbox.release():
                self._wake()

    async def _begin(self) -> None:
        error = await self._call_hook(self.on_start)
        if error is not None and not self._ending:
            await self._fail(error)

    async def _handle(self, envelope: Envelope[Any]) -> None:
        message, reply = envelope.message, envelope.reply_to
        if isinstance(message, _ActorStop):
            await self._end()
            answer(reply, True)  # noqa: FBT003
            return
        try:
            result = self._handle_receive(message)
            if iscoroutine(result):
                result = await result
                self._note_cancellation()
        except BaseException as error:
            if self._is_thrown_away(error):
                raise
            await self._message_failed(envelope, error)
        else:
            answer(reply, result)

    def _note_cancellation(self) -> None:
        """See a cancellation from outside that the handler has swallowed, or that has just ended it."""
        loop = asyncio._get_running_loop()
        task = asyncio.current_task(loop) if loop is not None else None
        if task is not None and task.cancelling():
            self._ending = True

    async def _message_failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        self._note_cancellation()
        if self._ending and isinstance(error, CancelledError):
            self._answer_unhandled([envelope])
            self.actor_inbox.done(envelope)
            return
        if envelope.reply_to is None:
            await self._fail(error)
            return
        logger.info("Exception returned from %s to caller:", self, exc_info=error)
        fail_reply(envelope.reply_to, error, self)

    async def _fail(self, error: BaseException) -> None:
        """End the actor because of a failure nobody is told about; ``on_failure`` runs, ``on_stop`` does not."""
        rest = self.actor_inbox.close()
        if (failed := self.actor_inbox.in_hand) is not None:
            self.actor_inbox.done(failed)  # this is its end
        logger.error("Unhandled exception in %s, which stops:", self, exc_info=error)
        self._leave_pykka()
        await self._call_hook(self.on_failure, type(error), error, error.__traceback__)
        self._let_go(rest)

    async def _end(self) -> None:
        """End the actor in order; ``on_stop`` runs."""
        rest = self.actor_inbox.close()
        self._leave_pykka()
        await self._call_hook(self.on_stop)
        self._let_go(rest)

    async def _call_hook(self, hook: Callable[..., object], *args: object) -> BaseException | None:
        try:
            result = hook(*args)
            if iscoroutine(result):
                await result
                self._note_cancellation()
        except BaseException as error:
            if self._is_thrown_away(error):
                raise
            self._note_cancellation()
            logger.error("Exception in %s of %s:", getattr(hook, "__name__", hook), self, exc_info=error)  # noqa: TRY400
            return error
        return None

    def _is_thrown_away(self, error: BaseException) -> bool:
        """Tell the ``GeneratorExit`` of a coroutine whose loop has gone from one that a handler lets out."""
        loop = asyncio._get_running_loop()
        return isinstance(error, GeneratorExit) and (loop is None or loop is not self._dispatcher.loop)

    async def _end_with_loop(self) -> None:
        """End because the loop is about to close; called on the loop."""
        self._ending = True
        if self.actor_inbox.claim():
            await Task(self._work(), loop=self._dispatcher.loop, context=self._context)
            return
        while not self.actor_inbox.closed or self._activation is not None:
            if (activation := self._activation) is not None:
                if not self.actor_inbox.closed:
                    activation.cancel()
                await asyncio.wait([activation])
                self._activation = None
            await asyncio.sleep(0)  # an activation that is scheduled comes first, sees _ending and ends the actor

    def _end_undrained(self) -> None:
        """Carry a stop out on an actor that nobody drains, on the thread that asks for it."""
        rest = self.actor_inbox.close()
        self._leave_pykka()
        coroutine = self._call_hook(self.on_stop)
        try:
            coroutine.send(None)
        except (StopIteration, GeneratorExit):
            pass
        else:
            with suppress(RuntimeError):  # it will not be cut off
                coroutine.close()
            logger.error("on_stop of %s was cut off: it must not suspend when nobody drains the actor", self)
        self._let_go(rest)

    def _lose_loop(self, refused: Envelope[Any] | None = None) -> None:
        """End because the loop has gone; ``on_stop`` has no loop to run on. Called on any thread, maybe by several.

        Args:
            refused: an envelope whose sender is told that it is not accepted

        """
        was_closed = self.actor_inbox.closed
        self.actor_inbox.close()
        if not was_closed:
            logger.warning("%s ends without on_stop: its event loop was closed before it was stopped", self)
        self._leave_pykka()
        self._answer_unhandled([left for left in self.actor_inbox.clear() if left is not refused])
        self._dispatcher.discard(self._end_with_loop)

    def _leave_pykka(self) -> None:
        ActorRegistry.unregister(self._actor_ref)
        self.actor_stopped.set()

    def _let_go(self, rest: Sequence[Envelope[Any]]) -> None:
        self._answer_unhandled(rest)
        self.actor_inbox.forget()
        self._dispatcher.discard(self._end_with_loop)

    def _answer_unhandled(self, envelopes: Sequence[Envelope[Any]]) -> None:
        """Answer the askers of messages that nobody will handle, and log the others: nothing vanishes."""
        told = [envelope.message for envelope in envelopes if not _answer_dead(envelope, self)]
        if told:
            logger.warning("%s ended with %d messages not handled, the oldest: %r", self, len(told), told[0])

    def _log_escape(self, error: BaseException) -> None:
        if not isinstance(error, GeneratorExit):
            logger.critical("%s ends: its own machinery failed", self, exc_info=error)


def answer(reply: Future[Any] | None, value: object) -> None:
    """Give an asker its answer, if somebody asked."""
    if reply is not None:
        with suppress(queue.Full):  # the asker has settled it already
            reply.set(value)


def _answer_dead(envelope: Envelope[Any], actor: AsyncActor) -> bool:
    reply = envelope.reply_to
    if isinstance(envelope.message, _ActorStop):
        answer(reply, True)  # noqa: FBT003
        return True
    if reply is None:
        return False
    fail_reply(reply, ActorDeadError(f"{actor} stopped before handling the message"), actor)
    return True


def fail_reply(reply: Future[Any], error: BaseException, actor: AsyncActor) -> None:
    """Give an asker what its message ended in, wrapped if bare it would act on the asker's own loop."""
    if not isinstance(error, Exception):
        failure = ActorFailedError(str(actor), repr(error))
        failure.__cause__ = error
        error = failure
    with suppress(queue.Full):  # somebody has answered already
        reply.set_exception((type(error), error, error.__traceback__))
