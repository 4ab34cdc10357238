"""Asking: how a message that is asked gets to its recipient, and what its asker is told if it does not."""

# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from pygents.actors.loops import LoopEndedError

if TYPE_CHECKING:
    from pygents.actors.envelope import Sent
    from pygents.actors.ref import ActorRef
    from pygents.actors.reply import Reply

__all__ = ["send_asked"]


def send_asked(ref: "ActorRef[Any]", envelope: "Sent[Any]", reply: "Reply[Any]") -> None:
    """Send a message; if it is not taken, its reply fails."""
    inbox = ref.actor_inbox
    try:
        inbox.put(envelope)
    except ActorDeadError:
        ref._notice_a_closed_loop()
        reply.fail(ref._dead())
        return
    except LoopEndedError:
        lost = True
    else:
        dispatcher = ref._dispatcher
        lost = dispatcher is not None and dispatcher.ended and not inbox.closed
    if lost and ref._lose_loop(envelope):  # if somebody has taken the message, they answer
        reply.fail(ref._dead())
