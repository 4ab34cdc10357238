"""Answering those who have asked, and logging for those who cannot be told, whatever a user's code does meanwhile.

A ``__str__``, a ``__repr__`` or a handler of the log that raises must not keep the next one from getting an answer,
and what it raises must not leave the activation that called it. That goes for every ``BaseException``: a coroutine that
is thrown away gets its ``GeneratorExit`` where it is suspended, which is never here, and a ``KeyboardInterrupt`` that
happens to come here is given up for a clean-up that is complete, as one that comes in a handler is its outcome.
"""

# pyright: reportPrivateUsage=false

import logging
import queue
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError, Timeout
from pykka.messages import _ActorStop

from pygents.errors import ActorFailedError

if TYPE_CHECKING:
    from pykka import Future
    from pykka._envelope import Envelope

__all__ = ["answer", "answer_dead", "answer_late", "fail_reply", "log", "show"]

logger = logging.getLogger("pygents.actors")


def answer(reply: "Future[Any] | None", value: object) -> None:
    """Give an asker its answer, if somebody asked."""
    if reply is not None:
        with suppress(queue.Full):  # the asker has settled it already
            reply.set(value)


def answer_dead(envelope: "Envelope[Any]", who: object) -> bool:
    """Answer whoever asked an actor that has ended, and return whether anybody did."""
    reply = envelope.reply_to
    if isinstance(envelope.message, _ActorStop):
        answer(reply, True)  # noqa: FBT003
        return True
    if reply is None:
        return False
    fail_reply(reply, ActorDeadError(f"{who} stopped before handling the message"), who)
    return True


def answer_late(envelope: "Envelope[Any]", who: object) -> None:
    """Tell whoever asked that the actor has not come to the message in time."""
    if envelope.reply_to is not None:
        fail_reply(envelope.reply_to, Timeout(f"{who} did not come to the message in time"), who)


def fail_reply(reply: "Future[Any]", error: BaseException, who: object) -> None:
    """Give an asker what its message ended in, wrapped if bare it would act on the asker's own loop."""
    if not isinstance(error, Exception):
        failure = ActorFailedError(str(who), show(error))
        failure.__cause__ = error
        error = failure
    with suppress(queue.Full):  # somebody has answered already
        reply.set_exception((type(error), error, error.__traceback__))


def log(level: int, text: str, *args: object, error: BaseException | None = None, to: logging.Logger = logger) -> None:
    """Log, and go on whatever the log's handlers do: what is done around it must not end halfway."""
    with suppress(BaseException):
        to.log(level, text, *args, exc_info=error, stacklevel=2)


def show(value: object) -> str:
    """Return the ``repr`` of something of a user's, which may fail."""
    try:
        return repr(value)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the actor's life goes on)
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
