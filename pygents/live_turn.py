"""What an agent does with a message in a system, where no consumer waits for values."""

import asyncio
import weakref
from asyncio import Task
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from pygents.acceptance import check_turn, is_turn
from pygents.actors.own_task import inner_context
from pygents.agent_child import UnhandledError
from pygents.agent_hooks import FollowUp, outside_turns, run_agent_hooks, run_hooks_for_failure, show
from pygents.context import Frame, running, within
from pygents.deciding import combined, denial
from pygents.errors import TurnDeniedError
from pygents.hooks import AgentHook
from pygents.invocation import judged
from pygents.outcome import fail, failure_behind
from pygents.task_watch import CALL_NAME, ExpiredError, Outcome, TaskWatch, outcome_of
from pygents.tool_functions import is_streaming
from pygents.turn import Turn
from pygents.work import decision_on

if TYPE_CHECKING:
    from pygents.agent import Agent
    from pygents.agent_child import AgentChild
    from pygents.deciding import Decision
    from pygents.work import Work

__all__ = ["call_own", "receive"]


async def call_own(child: "AgentChild | None", name: str, *args: object) -> None:
    """Call a method that a subclass of Agent may have, plain or ``async``; only in a system."""
    own = None if child is None else getattr(child.agent, name, None)
    if own is not None:
        result = own(*args)
        if isawaitable(result):
            await result


async def receive(child: "AgentChild", message: object, follow_up: FollowUp) -> object:
    """Run a turn and return its output; give anything else to the agent's ``on_message``, if it has one.

    Raises:
        UnhandledError: if it is neither
        BaseException: what the turn failed with

    """
    agent = child.agent
    if not is_turn(message) and (on_message := getattr(agent, "on_message", None)) is not None:
        result = on_message(message)
        return await result if isawaitable(result) else result
    try:
        turn = check_turn(agent, message)
    except (TypeError, ValueError) as error:
        raise UnhandledError(str(error)) from error
    news, path = child.system.news, child.spec.path
    if news.is_read:
        child.told = turn
        news.turn_started(path, turn, child.ledger.attempt)
    try:
        await _run(child, turn, follow_up)
    except BaseException as error:
        child.cuts.pass_fence()
        failure = failure_behind(turn, error)
        try:
            if not child.has_cut and not isinstance(failure, asyncio.CancelledError):
                directive = await run_hooks_for_failure(agent, turn, failure)
                child.directed = None if directive is None else (error, directive)
        finally:  # it may be cut in a hook
            child.cuts.pass_fence()
            child.told = None
            if news.is_read:
                news.turn_failed(path, turn, asyncio.CancelledError() if child.has_cut else failure)
        raise
    if news.is_read or child.told is not None:
        child.cuts.pass_fence()
        child.told = None
        news.turn_completed(path, turn)
    return cast("object", turn.output)  # pyright: ignore[reportUnknownMemberType]


async def _run(child: "AgentChild", turn: Turn[Any], follow_up: FollowUp) -> None:
    agent = child.agent
    frame = (weakref.ref(agent), turn)
    resumed, child.resumed = child.resumed, None
    if resumed is None or resumed is not child.inbox.in_hand:
        turn.__dict__["_run_number"] = child.ledger.attempt
        await _run_tool(child, turn, frame, decision_on(cast("Work", child.inbox.in_hand)))
        child.cuts.pass_fence()
    if agent.hooks or isinstance(turn.output, Turn):  # else nothing follows from it
        try:
            await follow_up(agent, turn)
        except BaseException as error:  # noqa: BLE001 (raised again by the turn)
            await within(frame, _fail(child, turn, error))


async def _fail(child: "AgentChild", turn: Turn[Any], error: BaseException) -> None:
    child.cuts.pass_fence()
    await fail(turn, error, cut=child.has_cut)


async def _run_tool(child: "AgentChild", turn: Turn[Any], frame: Frame, decision: "Decision | None") -> None:
    agent = child.agent
    if agent.hooks:
        try:
            decided = await outside_turns(run_agent_hooks(agent, None, AgentHook.BEFORE_TURN, agent))
        except TurnDeniedError as error:
            raise denial(error, turn)  # noqa: B904 (it is the error)
        child.cuts.pass_fence()
        decision = combined(decision, decided)
    try:
        if is_streaming(turn.tool):
            await _run_generator(child, turn, frame, decision)
            return
        value = await turn.returning_in(frame, decision, child)
    except ExpiredError as error:  # the tool is left alone, and its run given up
        await within(frame, fail(turn, error))
    else:
        if agent.hooks:
            child.cuts.pass_fence()
            await show(agent, turn, value, partial(_fail, child, turn))


async def _run_generator(child: "AgentChild", turn: Turn[Any], frame: Frame, decision: "Decision | None") -> None:
    """Run a turn of a generator tool in a task of its own, which can be left alone."""
    loop = asyncio.get_running_loop()
    watch = TaskWatch(loop, turn.tool, child)
    context = inner_context(child)
    context.run(running.set, frame)
    consumed = _consume(child.agent, turn, decision, watch)
    task = Task(consumed, loop=loop, name=CALL_NAME, context=context, eager_start=True)
    if not task.done():
        await watch.wait(task, None)
    _, failure = outcome_of(task)
    if isinstance(failure, asyncio.CancelledError):  # or the agent's own task would have been cancelled, too
        await within(frame, fail(turn, judged(failure)))
    if failure is not None:
        raise failure


async def _consume(agent: "Agent", turn: Turn[Any], decision: "Decision | None", watch: TaskWatch) -> "Outcome[None]":
    state = turn.__dict__
    try:
        async with aclosing(turn.yielding_as(decision, watch)) as values:
            async for value in values:
                if turn.__dict__ is not state:  # it was given up
                    break
                if agent.hooks:
                    await show(agent, turn, value, values.athrow)
    except BaseException as error:  # noqa: BLE001 (handed to the agent's own task)
        return None, error
    return None, None
