"""The runtime: actors on event loops, on pykka. It knows nothing of tools, turns or agents."""

from pykka import ActorDeadError, ActorProxy, ActorRegistry, Timeout, get_all

from pygents.actors.actor import AsyncActor
from pygents.actors.dispatcher import CallerDispatcher, Dispatcher, LoopDispatcher, ThreadDispatcher
from pygents.actors.mailbox import Mailbox
from pygents.actors.ref import ActorRef
from pygents.actors.reply import Reply
from pygents.errors import ActorFailedError, WouldDeadlockError

__all__ = [
    "ActorDeadError",
    "ActorFailedError",
    "ActorProxy",
    "ActorRef",
    "ActorRegistry",
    "AsyncActor",
    "CallerDispatcher",
    "Dispatcher",
    "LoopDispatcher",
    "Mailbox",
    "Reply",
    "ThreadDispatcher",
    "Timeout",
    "WouldDeadlockError",
    "get_all",
]
