"""Turn: what to run, with what, and how it ended.

Plain Python: a turn runs in the task that asks it to, with no actor, thread or system.

Invariant: a turn runs at most once at a time. ``_run`` in its ``__dict__`` marks the run; it is set with
``setdefault``, a single step on every build of CPython, so two threads cannot both begin. Writes of the framework go to
``__dict__``, past the guard that refuses the user's writes while it runs.
"""

from asyncio import CancelledError, Task, get_running_loop
from collections.abc import Callable, Iterable, Mapping
from contextvars import Token, copy_context
from time import time
from typing import TYPE_CHECKING, Any, Generic, Self, cast, overload

from pygents.arguments import checked_kwargs, has_dynamic
from pygents.called_with import called_with, evaluate_and_note, replaced_in
from pygents.context import Frame, frame_for, leave, running, within
from pygents.deciding import applied
from pygents.decisions import Skip
from pygents.errors import SafeExecutionError, WrongRunMethodError
from pygents.generators import begin, only
from pygents.hooks import TurnHook
from pygents.intercept import check_hooks, intercept
from pygents.invocation import (
    CALL_NAME,
    ExpiredError,
    TimedSteps,
    close,
    judged,
    outcome_of,
    wait_in_time,
)
from pygents.metadata import Moment
from pygents.outcome import StopReason, fail, recorded
from pygents.tool_functions import CoroutineTool, is_streaming
from pygents.turn_fields import CHECKS, checked_args, checked_metadata, checked_timeout, checked_tool
from pygents.turn_hooks import decide_run
from pygents.turn_storage import load_turn, store_turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine

    from pygents.deciding import Decision
    from pygents.decisions import Replace
    from pygents.hooks import Hook
    from pygents.tool import Tool
    from pygents.tool_functions import Outcome

__all__ = ["StopReason", "Turn"]

_COMPLETED = StopReason.COMPLETED
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
        state = dict(self.__dict__)
        state.pop("_run", None)
        return state

    def __repr__(self) -> str:
        name = self.tool.metadata.name if self.tool is not None else None
        return f"Turn(tool={name!r}, timeout={self.timeout})"

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

    async def returning_in(self, frame: Frame, decision: "Decision | None" = None) -> T:
        """Run the turn as `returning` does, for the agent that a frame names and as that has decided.

        The frame goes into the context of the tool's own task: the consumer's is left alone, which saves a twentieth.
        """
        state = self.__dict__
        tool = self._begin(state, streams=False)
        try:
            decided = None
            if self.hooks or decision is not None:
                decided = await within(frame, decide_run(self, decision))
            if decided is not None and isinstance(decided, Skip):  # None first: a call would cost every turn
                output = decided.value
            else:
                context = copy_context()
                context.run(running.set, frame)
                loop = get_running_loop()
                began = loop.time()
                attempt = self._attempt(tool, state, decided)
                task = Task(attempt, loop=loop, name=CALL_NAME, context=context, eager_start=True)
                if not task.done():
                    await wait_in_time(task, began, self.timeout, tool)
                output, failure = task.result() if not task.cancelled() else outcome_of(task)
                if failure is not None:
                    raise judged(failure)  # noqa: TRY301 (told below, like what a hook raises)
            state["output"] = output
            state["stop_reason"] = _COMPLETED
            if self.hooks:
                await within(frame, intercept(self.hooks, TurnHook.AFTER_RUN, self))
        except BaseException as error:  # noqa: BLE001 (raised again)
            raise await within(frame, recorded(self, error))  # noqa: B904 (it is the error, or has its cause)
        else:
            return output  # type: ignore[no-any-return]  # pyright: ignore[reportReturnType] (a cast is a call)
        finally:
            state["end_time"] = time()
            del state["_run"]

    def yielding(self) -> "AsyncGenerator[T]":
        """Run the turn and stream the values of its tool, an async generator function.

        Each value reaches the consumer before the tool is resumed. Leaving early ends the tool.

        Raises:
            WrongRunMethodError: if the tool is a coroutine function
            BaseException: as `returning`

        """
        return self.yielding_as(None)

    async def yielding_as(  # noqa: C901, PLR0912, PLR0915 (only a generator itself can yield)
        self, decision: "Decision | None"
    ) -> "AsyncGenerator[T]":
        """Run the turn as `yielding` does, and as the agent that runs it has decided."""
        state = self.__dict__
        tool = self._begin(state, streams=True)
        token = self._enter()
        frame = running.get()
        steps = TimedSteps(self.timeout, tool)
        values: AsyncGenerator[T] | None = None
        state["output"] = output = list[T]()
        try:
            decided = None
            if self.hooks or decision is not None:
                decided = await decide_run(self, decision)
            values = await steps.step(self._open(tool, decided))
            clock = steps.clock
            while True:
                if steps.left <= 0:
                    raise ExpiredError  # noqa: TRY301 (judged below, like what the tool raises)
                step: Any = anext(values) if output else begin(values)
                started = clock()
                try:
                    try:
                        waits_for = step.send(None)
                    except StopIteration as stop:
                        value = stop.value
                        steps.left += started - clock()
                    except (CancelledError, GeneratorExit) as error:  # the tool's own: it has not suspended
                        raise judged(error)  # noqa: B904 (it has its cause)
                    else:
                        value = await steps.suspended(step, waits_for, started)
                except StopAsyncIteration:
                    break
                output.append(value)
                if self.hooks:
                    await intercept(self.hooks, TurnHook.ON_VALUE, self, value)
                if token is not None:
                    running.reset(token)
                token = None
                yield value
                token = None if running.get() is frame else running.set(frame)
            state["stop_reason"] = _COMPLETED
            if self.hooks:
                await intercept(self.hooks, TurnHook.AFTER_RUN, self)
        except GeneratorExit:
            token = running.set(frame)
            state["stop_reason"] = StopReason.CANCELLED
            if values is not None:
                await close(values, tool)
            raise
        except BaseException as error:  # noqa: BLE001 (raised again)
            token = token or running.set(frame)
            failure: BaseException = error
            if values is not None:
                try:
                    await close(values, tool)
                except CancelledError as cancelled:  # the consumer's own goes before the turn's failure
                    failure = cancelled
            await fail(self, failure)
        finally:
            if token is not None:
                leave(token)
            state["end_time"] = time()
            del state["_run"]

    def _begin(self, state: dict[str, Any], *, streams: bool) -> "Tool":
        tool = self.tool
        if tool is None:
            msg = "Turn has no tool: set turn.tool before it runs"
            raise ValueError(msg)
        if is_streaming(tool) is not streams:
            raise WrongRunMethodError(tool.metadata.name, "returning" if streams else "yielding")
        run = time()
        if state.setdefault("_run", run) is not run:
            msg = f"{self!r} is running: a turn runs once at a time"
            raise SafeExecutionError(msg)
        state["start_time"] = run
        state["end_time"] = state["stop_reason"] = state["output"] = state["_called_with"] = state["_due"] = None
        return tool

    def _enter(self) -> Token[object] | None:
        frame = running.get()
        if type(frame) is tuple and frame[1] is self:
            return None
        return running.set(frame_for(self))

    def _attempt(
        self, tool: "Tool", state: dict[str, Any], replaced: "Replace | None"
    ) -> "Coroutine[Any, Any, Outcome[T]]":
        """Return the call of a coroutine tool, which lets nothing that it raises out of the task that runs it."""
        args, kwargs = given, named = [*self.args], {**self.kwargs}
        if replaced is not None:
            args, kwargs = applied(replaced, given, named)
        if type(tool) is not CoroutineTool or has_dynamic(args, kwargs):
            return self._evaluate_and_attempt(tool, replaced)
        state["_called_with"] = args, kwargs, replaced, given, named
        return CoroutineTool.attempt(tool, args, kwargs)  # whatever attributes its function has

    async def _evaluate_and_attempt(self, tool: "Tool", replaced: "Replace | None") -> "Outcome[T]":
        try:
            args, kwargs = await evaluate_and_note(self, replaced)
            return await tool(*args, **kwargs), None
        except BaseException as error:  # noqa: BLE001 (handed to the consumer)
            return None, error

    async def _open(self, tool: "Tool", decided: "Skip | Replace | None") -> "AsyncGenerator[T]":
        """Call an async generator tool, or make what stands in for it."""
        if isinstance(decided, Skip):
            return only(decided.value)
        args, kwargs = await evaluate_and_note(self, decided)
        return cast("AsyncGenerator[T]", tool(*args, **kwargs))

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
        twin.__dict__.pop("_run", None)
        twin.__dict__.pop("_due", None)
        return twin

    def to_dict(self) -> dict[str, Any]:
        """Return the turn as plain data.

        A dynamic argument is evaluated, since a function cannot be stored; a turn that runs or has run gives the values
        that it was called with. What hooks have replaced is stored as it was asked for. A turn among the arguments or
        in the output is stored as one.

        Raises:
            TypeError: if a dynamic argument is async, or the turn has no tool

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

        """
        return load_turn(data, cls)
