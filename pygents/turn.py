"""Turn: what to run, with what, and how it ended.

Plain Python, with no actor, thread or system. It holds the fields and keeps them valid; it must not know how a run goes
about its work, nor how a turn is written as plain data.

Invariant: while a turn runs, which ``_run`` in its ``__dict__`` says to every thread, the user cannot set what it runs.
The guard that sees to this is on attributes; the framework's own writes go to ``__dict__``, past it.
"""

from collections.abc import Callable, Iterable, Mapping
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from pygents.arguments import checked_kwargs
from pygents.called_with import called_with, replaced_in
from pygents.context import frame_for
from pygents.errors import SafeExecutionError
from pygents.intercept import check_hooks
from pygents.metadata import Moment
from pygents.outcome import BRIEF, StopReason
from pygents.turn_fields import CHECKS, checked_args, checked_metadata, checked_timeout, checked_tool
from pygents.turn_run import value_of, values_of
from pygents.turn_storage import load_turn, store_turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine

    from pygents.decisions import Replace
    from pygents.hooks import Hook
    from pygents.tool import Tool

__all__ = ["StopReason", "Turn"]

_short = Repr(maxlevel=3, maxlist=4, maxdict=4, maxtuple=4, maxstring=60, maxother=60)
"""Shows arguments in logs and errors, where long ones would hide what they are about."""
_FREE = frozenset({"metadata", "output", "start_time", "end_time", "stop_reason"})


if TYPE_CHECKING:  # a default that type checkers know before Python 3.13 does
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")


class Turn(Generic[T]):  # noqa: UP046 (as above)
    """A unit of work: which tool to run, with which arguments.

    Args:
        tool: a registered tool's name, or the decorated function
        args: positional arguments; plain functions among them are called when the turn runs
        kwargs: keyword arguments; plain functions among them are called when the turn runs
        timeout: seconds that the tool may take, or None for no limit
        metadata: the caller's annotations
        hooks: hooks for the turn's own events

    Raises:
        UnregisteredToolError: if no such tool is registered
        TypeError: if an argument is of the wrong type
        ValueError: if the timeout is not above zero

    """

    tool: "Tool | None"
    """The tool to run."""
    args: list[Any]
    """Positional arguments as given, dynamic ones not evaluated."""
    kwargs: dict[str, Any]
    """Keyword arguments as given, dynamic ones not evaluated."""
    timeout: float | None
    """Seconds that the tool may take, or None."""
    metadata: dict[str, Any]
    """The caller's annotations."""
    hooks: "list[Hook]"
    """Hooks for the turn's own events; append to it."""
    output: T | Any
    """The returned value, or the list of the yielded ones so far."""
    start_time = Moment()
    """When the last run began, in local time."""
    end_time = Moment()
    """When the last run ended, in local time."""
    stop_reason: StopReason | None
    """How the last run ended; None before the first and during a run."""

    @overload
    def __init__(
        self,
        tool: "Callable[..., Coroutine[Any, Any, T]] | Callable[..., AsyncIterator[T]]",
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = 60,
        metadata: dict[str, Any] | None = None,
        hooks: "Iterable[Hook] | None" = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        tool: "str | Callable[..., Any]",
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = 60,
        metadata: dict[str, Any] | None = None,
        hooks: "Iterable[Hook] | None" = None,
    ) -> None: ...
    def __init__(
        self,
        tool: "str | Callable[..., Any]",
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = 60,
        metadata: dict[str, Any] | None = None,
        hooks: "Iterable[Hook] | None" = None,
    ) -> None:
        self.__dict__.update(
            tool=checked_tool(tool),
            args=[] if args is None else checked_args(args),
            kwargs={} if kwargs is None else checked_kwargs(kwargs),
            timeout=checked_timeout(timeout),
            metadata={} if metadata is None else checked_metadata(metadata),
            hooks=[] if hooks is None else check_hooks(hooks),
            output=None,
            start_time=None,
            end_time=None,
            stop_reason=None,
            _called_with=None,
        )

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _FREE and self.running:
            msg = f"Cannot change property {name!r} while the turn is running."
            raise SafeExecutionError(msg)
        check = CHECKS.get(name)
        super().__setattr__(name, value if check is None else check(value))
        if name in {"args", "kwargs"}:
            self.__dict__["_called_with"] = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle of the turn has: all but that it is running."""
        return {name: value for name, value in self.__dict__.items() if name not in BRIEF}

    def __repr__(self) -> str:
        name = self.tool.metadata.name if self.tool is not None else None
        given = [
            f"{field}={_short.repr(value)}" for field, value in [("args", self.args), ("kwargs", self.kwargs)] if value
        ]
        return f"Turn({', '.join([f'tool={name!r}', *given, f'timeout={self.timeout}'])})"

    @property
    def running(self) -> bool:
        """Whether the turn is running now."""
        return "_run" in self.__dict__

    @property
    def attempt(self) -> int:
        """Which run of the turn this is, from 1: a supervisor may have it run again."""
        attempt: int = self.__dict__.get("_run_number", 1)
        return attempt

    @property
    def called_with(self) -> tuple[list[Any], dict[str, Any]] | None:
        """The evaluated arguments of the run that is on, or of the last one if the next would be given the same.

        They are what hooks have replaced, where they did. None if the tool was not called.
        """
        return called_with(self)

    @property
    def replaced(self) -> "Replace | None":
        """What hooks have put in the place of its arguments, in the run that is on or was last; else None."""
        return replaced_in(self)

    async def returning(self) -> T:
        """Run the turn and return the value of its tool, a coroutine function.

        Raises:
            SafeExecutionError: if the turn is running
            WrongRunMethodError: if the tool is an async generator function
            TurnTimeoutError: if the tool did not end in time; it has ended by now
            TurnCancelledError: if the tool let a ``CancelledError`` out by itself
            TurnDeniedError: if a hook denied it
            BaseException: what the tool or a hook raised

        """
        return await self.returning_in(frame_for(self))

    def yielding(self) -> "AsyncGenerator[T]":
        """Run the turn and stream the values of its tool, an async generator function.

        Each value reaches the consumer before the tool is resumed. Leaving early ends the tool.

        Raises:
            WrongRunMethodError: if the tool is a coroutine function
            BaseException: as `returning`

        """
        return self.yielding_as(None)

    # The functions themselves: a method around each would cost every turn a call.
    returning_in = value_of
    """Run the turn as `returning` does, for the agent that a frame names and as that has decided."""
    yielding_as = values_of
    """Run the turn as `yielding` does, and as the agent that runs it has decided."""

    def copy(self) -> "Turn[T]":
        """Return a new turn that is to do the same; its arguments are shared, dynamic ones not evaluated."""
        twin: Turn[T] = type(self).__new__(type(self))
        twin.__dict__.update(
            self.__dict__,
            args=list(self.args),
            kwargs=dict(self.kwargs),
            metadata=dict(self.metadata),
            hooks=list(self.hooks),
            output=None,
            start_time=None,
            end_time=None,
            stop_reason=None,
            _called_with=None,
        )
        for passing in (*BRIEF, "_due"):
            twin.__dict__.pop(passing, None)
        return twin

    def to_dict(self) -> dict[str, Any]:
        """Return the turn as plain data.

        A dynamic argument is evaluated, since a function cannot be stored; a turn that runs or has run gives the values
        that it was called with. What hooks have replaced is stored as it was asked for. A turn among the arguments or
        in the output is stored as one.

        Raises:
            TypeError: if a dynamic argument is async, or the turn has no tool
            RecursionError: if some hundreds of turns stand within one another

        """
        return store_turn(self, Turn)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the turn that `to_dict` stored; only ``tool_name`` is required.

        Raises:
            ValueError: if a field is missing or has an impossible value; the message names it
            TypeError: if a field is of the wrong type; the message names it
            UnregisteredToolError: if the tool is not registered
            UnregisteredHookError: if a hook is not registered
            RecursionError: if some hundreds of turns stand within one another

        """
        return load_turn(data, cls)
