"""A run of a turn, from its beginning to how it ended: of one value, or of many that are streamed.

Plain Python: a turn runs in the task that asks it to, with no actor, thread or system. A run must not know how a turn
is made, checked, copied or stored.

Invariant: a turn runs at most once at a time. ``_run`` in its ``__dict__`` marks the run; it is set with
``setdefault``, a single step on every build of CPython, so two threads cannot both begin. A run writes to ``__dict__``,
past the guard that refuses the user's writes while it is on.
"""

from asyncio import CancelledError, Task, get_running_loop
from contextvars import Context, Token, copy_context
from time import time
from typing import TYPE_CHECKING, Any, Protocol, cast

from pygents.arguments import has_dynamic
from pygents.called_with import evaluate_and_note
from pygents.context import Frame, frame_for, leave, running, within
from pygents.deciding import applied
from pygents.decisions import Skip
from pygents.errors import SafeExecutionError, WrongRunMethodError
from pygents.generators import begin, only
from pygents.hooks import TurnHook
from pygents.intercept import intercept
from pygents.invocation import TimedSteps, close, judged
from pygents.outcome import BRIEF, StopReason, fail, recorded
from pygents.task_watch import CALL_NAME, ExpiredError, Keeper, Outcome, TaskWatch, outcome_of
from pygents.tool_functions import CoroutineTool, is_streaming
from pygents.turn_hooks import decide_run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from pygents.deciding import Decision
    from pygents.decisions import Replace
    from pygents.tool import Tool
    from pygents.turn import Turn

__all__ = ["TurnKeeper", "give_up", "value_of", "values_of"]

_COMPLETED = StopReason.COMPLETED


class TurnKeeper(Keeper, Protocol):
    """Whoever runs turns and has others to look after."""

    inner: Context | None
    """The context of the task that it waits for, by which it knows that task."""

    @property
    def has_cut(self) -> bool:
        """Whether it has cut the turn: that is its outcome, whatever its hooks raise then."""
        ...


async def value_of[T](  # noqa: C901 (one function, or there would be calls more for every turn)
    turn: "Turn[T]", frame: Frame, decision: "Decision | None" = None, keeper: "TurnKeeper | None" = None
) -> T:
    """Run a turn of a coroutine tool and return its value, for the agent that a frame names and as that has decided.

    The frame goes into the context of the tool's own task: the consumer's is left alone, which saves a twentieth. If
    its keeper leaves the tool alone, that gives the turn up, and the ``ExpiredError`` comes out.
    """
    state = turn.__dict__
    tool = _begin(turn, state, streams=False)
    try:
        decided = None
        if turn.hooks or decision is not None:
            decided = await within(frame, decide_run(turn, decision))
            _check_own(turn, state)
        if decided is not None and isinstance(decided, Skip):  # None first: a call would cost every turn
            output = decided.value
        else:
            context = copy_context()
            context.run(running.set, frame)
            if keeper is not None:
                keeper.inner = context
            loop = get_running_loop()
            began = loop.time()
            attempt = _attempt(turn, tool, state, decided)
            task = Task(attempt, loop=loop, name=CALL_NAME, context=context, eager_start=True)
            if not task.done():
                timeout = turn.timeout
                state["_watch"] = watch = TaskWatch(loop, tool, keeper)
                await watch.wait(task, None if timeout is None else began + timeout)
                del state["_watch"]  # it keeps the task
                _check_own(turn, state)
            try:  # not cancelled(): a call more for every turn
                output, failure = task.result()
            except CancelledError:
                output, failure = outcome_of(task)
            if failure is not None:
                raise judged(failure)  # noqa: TRY301 (told below, like what a hook raises)
        state["output"] = output
        state["stop_reason"] = _COMPLETED
        if turn.hooks:
            await within(frame, intercept(turn.hooks, TurnHook.AFTER_RUN, turn))
    except BaseException as error:
        if turn.__dict__ is not state:
            raise
        cut = keeper is not None and keeper.has_cut
        raise await within(frame, recorded(turn, error, cut=cut))  # noqa: B904 (it is the error, or has its cause)
    else:
        return output  # type: ignore[no-any-return]  # pyright: ignore[reportReturnType] (a cast is a call)
    finally:
        state["end_time"] = time()
        del state["_run"]


async def values_of[T](  # noqa: C901, PLR0912, PLR0915 (only a generator itself can yield)
    turn: "Turn[T]", decision: "Decision | None", watch: TaskWatch | None = None
) -> "AsyncGenerator[T]":
    """Run a turn of a generator tool and stream its values, as the agent that runs it has decided.

    A watch waits for the task in which the values are consumed, if that may be left alone.
    """
    state = turn.__dict__
    tool = _begin(turn, state, streams=True)
    token = _enter(turn)
    frame = running.get()
    steps = TimedSteps(turn.timeout, tool, watch)
    values: AsyncGenerator[T] | None = None
    state["output"] = output = list[T]()
    state["_watch"] = steps
    try:
        decided = None
        if turn.hooks or decision is not None:
            decided = await decide_run(turn, decision)
            _check_own(turn, state)
        steps.values = values = await steps.step(_open(turn, tool, state, decided))
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
                    _check_own(turn, state)
            except StopAsyncIteration:
                break
            output.append(value)
            if turn.hooks:
                await intercept(turn.hooks, TurnHook.ON_VALUE, turn, value)
            if token is not None:
                running.reset(token)
            token = None
            yield value
            token = None if running.get() is frame else running.set(frame)
        state["stop_reason"] = _COMPLETED
        if turn.hooks:
            await intercept(turn.hooks, TurnHook.AFTER_RUN, turn)
    except GeneratorExit:
        token = running.set(frame)
        state["stop_reason"] = StopReason.CANCELLED
        if values is not None:
            await close(values, tool)
        raise
    except BaseException as error:
        token = token or running.set(frame)
        failure: BaseException = error
        if watch is not None and isinstance(error, ExpiredError):
            watch.lose_patience()  # it has not, if the time was up between two steps
        if values is not None:
            try:
                await close(values, tool, watch)
            except CancelledError as cancelled:  # the consumer's own goes before the turn's failure
                failure = cancelled
        if watch is not None:
            watch.be_patient()
        if turn.__dict__ is not state:
            raise
        await fail(turn, failure, cut=watch is not None and watch.cancelled)
    finally:
        if token is not None:
            leave(token)
        state["end_time"] = time()
        del state["_run"]
        state.pop("_watch", None)


def give_up(turn: "Turn[Any]") -> None:
    """Have the turn be as if it did not run: its run is abandoned, goes on by itself, and has nothing to do with it.

    A run keeps its record in the turn's dictionary: so the turn gets another one.
    """
    state = {**turn.__dict__, "stop_reason": StopReason.CANCELLED, "end_time": time()}
    for passing in BRIEF:
        if passing != "_cut":  # why it ends holds for the turn
            state.pop(passing, None)
    object.__setattr__(turn, "__dict__", state)


def _check_own(turn: "Turn[Any]", state: dict[str, Any]) -> None:
    """Go on, unless the run was given up.

    Raises:
        CancelledError: if it was

    """
    if turn.__dict__ is not state:
        raise CancelledError


def _begin(turn: "Turn[Any]", state: dict[str, Any], *, streams: bool) -> "Tool":
    tool = turn.tool
    if tool is None:
        msg = "Turn has no tool: set turn.tool before it runs"
        raise ValueError(msg)
    if is_streaming(tool) is not streams:
        raise WrongRunMethodError(tool.metadata.name, "returning" if streams else "yielding")
    run = time()
    if state.setdefault("_run", run) is not run:
        msg = f"{turn!r} is running: a turn runs once at a time"
        raise SafeExecutionError(msg)
    state["start_time"] = run
    state["end_time"] = state["stop_reason"] = state["output"] = state["_called_with"] = state["_due"] = None
    return tool


def _enter(turn: "Turn[Any]") -> Token[object] | None:
    frame = running.get()
    if type(frame) is tuple and frame[1] is turn:
        return None
    return running.set(frame_for(turn))


def _attempt[T](
    turn: "Turn[T]", tool: "Tool", state: dict[str, Any], replaced: "Replace | None"
) -> "Coroutine[Any, Any, Outcome[T]]":
    """Return the call of a coroutine tool, which lets nothing that it raises out of the task that runs it."""
    args, kwargs = given, named = [*turn.args], {**turn.kwargs}
    if replaced is not None:
        args, kwargs = applied(replaced, given, named)
    if type(tool) is not CoroutineTool or has_dynamic(args, kwargs):
        return _evaluate_and_attempt(turn, tool, state, replaced)
    state["_called_with"] = args, kwargs, replaced, given, named
    return CoroutineTool.attempt(tool, args, kwargs)  # whatever attributes its function has


async def _evaluate_and_attempt[T](
    turn: "Turn[T]", tool: "Tool", state: dict[str, Any], replaced: "Replace | None"
) -> "Outcome[T]":
    try:
        args, kwargs = await evaluate_and_note(turn, replaced)
        _check_own(turn, state)
        return await tool(*args, **kwargs), None
    except BaseException as error:  # noqa: BLE001 (handed to the consumer)
        return None, error


async def _open[T](
    turn: "Turn[T]", tool: "Tool", state: dict[str, Any], decided: "Skip | Replace | None"
) -> "AsyncGenerator[T]":
    """Call an async generator tool, or make what stands in for it."""
    if isinstance(decided, Skip):
        return only(decided.value)
    args, kwargs = await evaluate_and_note(turn, decided)
    _check_own(turn, state)
    return cast("AsyncGenerator[T]", tool(*args, **kwargs))
