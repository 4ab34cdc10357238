"""Sent: a message on its way, and the actor that sent it."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pykka._envelope import Envelope

if TYPE_CHECKING:
    from pykka import Future

__all__ = ["Sent", "sender"]

sender: ContextVar[str | None] = ContextVar("pygents.sender", default=None)
"""The path of the supervised actor whose code is running here, or None."""


class Sent[T](Envelope[T]):
    """An envelope that knows its sender."""

    __slots__ = ("sender",)

    def __init__(self, message: T, reply_to: "Future[Any] | None" = None) -> None:
        self.message = message  # not super(): a call more for every message
        self.reply_to = reply_to
        self.sender = sender.get()

    @property
    def along(self) -> object:
        """What a layer above has the message take along, also when it is sent again; None if that is nothing."""
        return None
