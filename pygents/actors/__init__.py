"""The runtime: actors on event loops, on pykka. It knows nothing of tools, turns or agents."""

from pykka import ActorDeadError, ActorProxy, Timeout, get_all

from pygents.actors.actor import AsyncActor
from pygents.actors.dead_letters import DeadLetter, DeadLetterReason, DeadLetters
from pygents.actors.dispatcher import CallerDispatcher, Dispatcher, LoopDispatcher, ThreadDispatcher
from pygents.actors.events import EventsLost
from pygents.actors.lifecycle import (
    ActorFailed,
    ActorRestarted,
    ActorStarted,
    ActorStopped,
    DeadLetterRecorded,
    Event,
    LoopStalled,
    SupervisorFailed,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from pygents.actors.mailbox import Mailbox
from pygents.actors.mailbox_policy import MailboxPolicy, Overflow
from pygents.actors.ref import ActorRef
from pygents.actors.registry import ActorRegistry
from pygents.actors.reply import Reply
from pygents.actors.statistics import Statistics
from pygents.actors.supervision import Backoff, Directive, Restart, Strategy, Supervision
from pygents.actors.supervisor import Supervisor
from pygents.actors.watch import Ended, Terminated
from pygents.errors import (
    ActorFailedError,
    AskCycleError,
    HookTimeoutError,
    MailboxFullError,
    StartTimeoutError,
    SystemFailedError,
    TooManyRestartsError,
    WouldDeadlockError,
)

__all__ = [
    "ActorDeadError",
    "ActorFailed",
    "ActorFailedError",
    "ActorProxy",
    "ActorRef",
    "ActorRegistry",
    "ActorRestarted",
    "ActorStarted",
    "ActorStopped",
    "AskCycleError",
    "AsyncActor",
    "Backoff",
    "CallerDispatcher",
    "DeadLetter",
    "DeadLetterReason",
    "DeadLetterRecorded",
    "DeadLetters",
    "Directive",
    "Dispatcher",
    "Ended",
    "Event",
    "EventsLost",
    "HookTimeoutError",
    "LoopDispatcher",
    "LoopStalled",
    "Mailbox",
    "MailboxFullError",
    "MailboxPolicy",
    "Overflow",
    "Reply",
    "Restart",
    "StartTimeoutError",
    "Statistics",
    "Strategy",
    "Supervision",
    "Supervisor",
    "SupervisorFailed",
    "SystemFailedError",
    "Terminated",
    "ThreadDispatcher",
    "Timeout",
    "TooManyRestartsError",
    "TurnCompleted",
    "TurnFailed",
    "TurnStarted",
    "WouldDeadlockError",
    "get_all",
]
