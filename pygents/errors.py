"""Every exception of pygents.

A leaf: it imports nothing of ours. An exception carries the values that its message is made of as fields, in the order
of its constructor, so that each one pickles and comes back with an equal message. Errors of the domain are re-exported
by ``pygents``, those of the runtime (``ActorFailedError``, ``WouldDeadlockError``) by ``pygents.actors``.
"""

__all__ = [
    "ActorFailedError",
    "AskCycleError",
    "HookTimeoutError",
    "MailboxFullError",
    "NoTurnError",
    "SafeExecutionError",
    "StartTimeoutError",
    "SystemFailedError",
    "TooManyRestartsError",
    "TurnCancelledError",
    "TurnDeniedError",
    "TurnTimeoutError",
    "UnregisteredAgentError",
    "UnregisteredHookError",
    "UnregisteredToolError",
    "WouldDeadlockError",
    "WrongRunMethodError",
]


class ActorFailedError(Exception):
    """Raised to an asker whose message ended in something other than an ordinary exception.

    A ``SystemExit``, ``KeyboardInterrupt`` or leaked ``CancelledError`` would act on the asker's own event loop if it
    were handed over bare, so it comes as this error's ``__cause__``.
    """

    def __init__(self, actor: str, failure: str) -> None:
        super().__init__(actor, failure)
        self.actor = actor
        """The actor that failed, as text."""
        self.failure = failure
        """The ``repr`` of what its handler raised."""

    def __str__(self) -> str:
        return f"{self.actor} failed with {self.failure} while it handled the message"


class NoTurnError(Exception):
    """Raised to whoever steers an agent that runs no turn, or an actor that handles no message."""

    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.actor = actor
        """The actor, as text."""

    def __str__(self) -> str:
        return f"{self.actor} handles nothing that could be steered now: send it a message instead"


class SafeExecutionError(Exception):
    """Raised when something is changed, or started a second time, while it is running."""


class TurnCancelledError(Exception):
    """Raised to the consumer or asker of a turn that was cancelled, when nobody cancelled the consumer itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """Why the turn was cancelled, for people."""

    def __str__(self) -> str:
        return f"Turn cancelled: {self.reason}"


class TurnDeniedError(Exception):
    """Raised to whoever puts a turn, waits for one or calls a tool, if a hook has denied it: a refusal, no failure."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """Why it was denied, for people."""

    def __str__(self) -> str:
        return f"Turn denied: {self.reason}"


class HookTimeoutError(TimeoutError):
    """Raised for a hook that took longer than its actor system allows; it has ended, or is left alone."""

    def __init__(self, hook: str, seconds: float) -> None:
        super().__init__(hook, seconds)
        self.hook = hook
        """The hook's name."""
        self.seconds = seconds
        """The seconds that it may take."""

    def __str__(self) -> str:
        return f"the hook {self.hook!r} was cancelled: it took longer than {self.seconds} s, its system's hook_timeout"


class TurnTimeoutError(TimeoutError):
    """Raised when a turn's tool has not ended within the turn's timeout; the tool has ended by then."""

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout)
        self.timeout = timeout
        """The turn's timeout, in seconds."""

    def __str__(self) -> str:
        return f"Turn timed out after {self.timeout}s"


class _UnregisteredError(KeyError):
    kind = "Entry"
    advice = "register it first"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        """The name that was looked up."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} not found: {self.advice}"


class UnregisteredToolError(_UnregisteredError):
    """Raised when no tool is registered under a name."""

    kind = "Tool"
    advice = "decorate its function with @tool() before the name is used"


class UnregisteredAgentError(_UnregisteredError):
    """Raised when no living agent has a name."""

    kind = "Agent"
    advice = "construct the agent first; one that has stopped gives its name up"


class UnregisteredHookError(_UnregisteredError):
    """Raised when no hook is registered under a name."""

    kind = "Hook"
    advice = "decorate its function with @hook(...) before the name is used"


class WouldDeadlockError(RuntimeError):
    """Raised when a wait would stop the very event loop, or handler, that has to produce what is waited for."""

    def __init__(self, waiting: str, target: str, loop_runs: bool = True, advice: str | None = None) -> None:  # noqa: FBT001, FBT002 (unpickled)
        super().__init__(waiting, target, loop_runs, advice)
        self.waiting = waiting
        """Who would wait, as text."""
        self.target = target
        """The actor that would have to answer, or what else would have to come, as text."""
        self.loop_runs = loop_runs
        """Whether the actor's event loop is running: on the thread that would wait."""
        self.advice = advice
        """What to do instead, if that is not to await the answer."""

    def __str__(self) -> str:
        if self.advice is not None:
            return f"{self.waiting} would wait for ever for {self.target}: {self.advice}"
        if not self.loop_runs:
            return (
                f"{self.waiting} would wait for ever for {self.target}: its event loop is not running, and only this "
                "thread, or one that has ended, has run it. Run the loop and await the answer there (ask_async(), "
                "stop_async()), send with block=False, or close the loop to be rid of its actors"
            )
        return (
            f"{self.waiting} would wait for ever for {self.target}: both run on the event loop of this thread. "
            "Await the answer instead: ask_async(), stop_async(), or block=False and await"
        )


class AskCycleError(RuntimeError):
    """Raised when an actor would wait for one that waits, itself or through others, for that very actor."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(cycle)
        self.cycle = cycle
        """The paths of those who would wait for each other, each for the next; the first is who was refused."""

    def __str__(self) -> str:
        asker, *others = map(repr, self.cycle)
        ring = "".join(f" {path}, which waits for" for path in others) + f" {asker if others else 'itself'}"
        return (
            f"{asker} would wait for ever, for{ring}: nobody there takes the next message before what it handles is "
            "done. Send with tell(), or ask in a task that the handler does not wait for: asyncio.create_task()"
        )


class MailboxFullError(Exception):
    """Raised to a sender whose message a full mailbox does not take, or to who asked, if it was dropped for another."""

    def __init__(self, actor: str, capacity: int, replaced: bool = False) -> None:  # noqa: FBT001, FBT002 (unpickled)
        super().__init__(actor, capacity, replaced)
        self.actor = actor
        """The actor whose mailbox it is, as text."""
        self.capacity = capacity
        """The messages that it holds."""
        self.replaced = replaced
        """Whether a newer message with the same key has taken the place of this one."""

    def __str__(self) -> str:
        if self.replaced:
            return f"a newer message with the same key has taken the place of this one in the mailbox of {self.actor}"
        return (
            f"the mailbox of {self.actor} is full: it holds {self.capacity} messages. Wait for room, with put() or "
            "tell_async() and Overflow.BACKPRESSURE, try again later, or give it another MailboxPolicy"
        )


class StartTimeoutError(RuntimeError):
    """Raised when one of an actor's ``on_*`` methods takes longer than it may."""

    def __init__(self, path: str, method: str, seconds: float) -> None:
        super().__init__(path, method, seconds)
        self.path = path
        """The actor's path."""
        self.method = method
        """The method's name."""
        self.seconds = seconds
        """How long it may take."""

    def __str__(self) -> str:
        return f"{self.method} of {self.path} took longer than the {self.seconds} seconds that it may"


class TooManyRestartsError(RuntimeError):
    """Raised by a supervisor to its own: its children need more restarts than it puts up with."""

    def __init__(self, path: str, max_restarts: int, within: float) -> None:
        super().__init__(path, max_restarts, within)
        self.path = path
        """The supervisor's path."""
        self.max_restarts = max_restarts
        """The restarts that it puts up with."""
        self.within = within
        """The seconds in which it counts them."""

    def __str__(self) -> str:
        return f"the children of {self.path} needed more than {self.max_restarts} restarts within {self.within} seconds"


class SystemFailedError(RuntimeError):
    """Raised out of ``async with ActorSystem``: a failure has come up to the root. Its causes end in the first one."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        """The system's name."""

    def __str__(self) -> str:
        return f"the actor system {self.name!r} has failed: no supervisor could deal with what happened in it"


class WrongRunMethodError(Exception):
    """Raised when a turn is run by the method that does not fit its tool."""

    def __init__(self, tool: str, method: str) -> None:
        super().__init__(tool, method)
        self.tool = tool
        """The tool's name."""
        self.method = method
        """The method that does fit: ``"returning"`` or ``"yielding"``."""

    def __str__(self) -> str:
        kind = "an async generator" if self.method == "yielding" else "a coroutine function"
        return f"Tool {self.tool!r} is {kind}: use {self.method}() instead"
