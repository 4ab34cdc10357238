"""The public API as type checkers see it: checked by mypy and basedpyright, never run."""

from asyncio import Future, Lock
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from datetime import datetime
from typing import Any, assert_type

from pygents import (
    ActorSystem,
    Agent,
    AgentHook,
    AgentRegistry,
    Deny,
    Hook,
    HookRegistry,
    HookType,
    Memory,
    MemoryHook,
    Replace,
    SafeExecutionError,
    Skip,
    StopReason,
    Tool,
    ToolHook,
    ToolMetadata,
    ToolRegistry,
    Turn,
    TurnCancelledError,
    TurnDeniedError,
    TurnHook,
    TurnTimeoutError,
    UnregisteredToolError,
    WrongRunMethodError,
    current_agent,
    current_turn,
    hook,
    tool,
)
from pygents.actors import ActorRef, AsyncActor, Directive, LoopStalled, MailboxFullError, MailboxPolicy, Overflow
from pygents.testing import (
    Faults,
    Probe,
    Record,
    Simulation,
    SimulationFailedError,
    VirtualTimeLoop,
    advance,
    run,
    simulate,
    simulate_many,
    wait_idle,
)

# Tools keep the signature of their function.


@tool()
async def greet(name: str, *, loud: bool = False) -> str:
    """Greet somebody."""
    return name.upper() if loud else name


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(lock=True, permission="admin")
async def count(end: int, permission: str = "guest") -> AsyncIterator[int]:
    """Count, as most people annotate it."""
    for number in range(end):
        yield number


@tool()
async def letters(text: str) -> AsyncGenerator[str]:
    """Spell, as it is exactly."""
    for letter in text:
        yield letter


async def call_tools() -> None:
    """Call tools like functions."""
    assert_type(await greet("Ada", loud=True), str)
    assert_type(await add(1, b=2), int)
    async for number in count(3, permission="guest"):
        assert_type(number, int)
    async for letter in letters("ada"):
        assert_type(letter, str)
    async with aclosing(letters("ada")) as values:
        assert_type(await anext(values), str)
    await greet(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await greet("Ada", quiet=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await add("1", 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def refuse_plain_functions() -> None:
    """Refuse what is not async."""

    def plain() -> None: ...

    tool(plain)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    tool()(plain)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]


def use_tools(any_tool: Tool) -> None:
    """Use tools by the protocol: every one conforms to the protocol."""
    tools: list[Tool] = [greet, add, count, letters]
    one: Tool = greet
    assert_type(any_tool.metadata, ToolMetadata)
    assert_type(any_tool.metadata.start_time, datetime | None)
    assert_type(any_tool.metadata.dict(), dict[str, str | None])
    assert_type(any_tool.lock, Lock | None)
    assert_type(any_tool.hooks, list[Hook])
    assert_type(greet.metadata.name, str)
    assert_type(greet.__name__, str)
    greet.hooks.append(audit)
    assert_type(ToolRegistry.get("greet"), Tool)
    assert_type(ToolRegistry.all(), list[Tool])
    function: Callable[..., Coroutine[Any, Any, int]] = add
    _ = tools, one, function


# Hooks are checked against the arguments of their event.


@hook(TurnHook.BEFORE_RUN)
async def audit(turn: Turn[Any]) -> None:
    """Note a turn."""
    assert_type(turn.stop_reason, StopReason | None)


@hook(TurnHook.ON_ERROR, lock=True, level="error")
async def note_error(turn: Turn[Any], exception: BaseException, level: str = "info") -> None:
    """Note an error, with a fixed argument."""


@hook(TurnHook.ON_VALUE)
async def note_value(turn: Turn[Any], value: object) -> None:
    """Note a value."""


@hook(AgentHook.BEFORE_TURN)
async def before_turn(agent: Agent) -> None:
    """Note an agent."""


@hook(AgentHook.AFTER_TURN)
async def after_turn(agent: Agent, turn: Turn[Any]) -> None:
    """Note both."""


@hook(AgentHook.ON_TURN_VALUE)
async def on_turn_value(agent: Agent, turn: Turn[Any], value: Any) -> None:
    """Note all three."""


@hook(AgentHook.ON_TURN_ERROR)
async def on_turn_error(agent: Agent, turn: Turn[Any], exception: BaseException) -> Directive | None:
    """Direct what is done about an error."""
    return Directive.RETRY if isinstance(exception, OSError) else None


@hook(ToolHook.BEFORE_INVOKE)
async def before_invoke(name: str, *, loud: bool = False) -> None:
    """Take what the tool takes."""


@hook(ToolHook.AFTER_INVOKE)
async def after_invoke(value: int) -> None:
    """Take what the tool gives."""


@hook(MemoryHook.AFTER_APPEND)
async def after_append(items: list[str]) -> None:
    """Take the items."""


# Those that run before something may decide on it.


@hook(AgentHook.BEFORE_PUT)
async def before_put(agent: Agent, turn: Turn[Any]) -> Deny | None:
    """Deny a turn."""
    assert_type(turn.replaced, Replace | None)
    return None if turn.args else Deny("nothing to do")


@hook(AgentHook.BEFORE_TURN)
async def skip_turn(agent: Agent) -> Skip:
    """Skip every turn."""
    return Skip(agent.name)


@hook(TurnHook.BEFORE_RUN)
async def before_run(turn: Turn[Any]) -> Deny | Skip | Replace | None:
    """Decide anything."""
    return Replace(args=turn.args, kwargs={**turn.kwargs, "loud": True}) if turn.args else Skip(None)


@hook(ToolHook.BEFORE_INVOKE)
async def replace_name(name: str) -> Replace:
    """Replace an argument."""
    return Replace(args=(name.upper(),))


@hook([TurnHook.BEFORE_RUN, AgentHook.BEFORE_PUT])
async def decide_twice(*args: Any) -> Deny | None:
    """Decide at two events."""


@hook([TurnHook.BEFORE_RUN, AgentHook.AFTER_TURN])
async def both(*args: Any, **kwargs: Any) -> None:
    """Serve two events."""


async def use_hooks() -> None:
    """Use hooks by the protocol: every one conforms to the protocol."""
    hooks: list[Hook] = [audit, note_error, note_value, before_turn, before_invoke, after_append, both, before_put]
    assert_type(audit, Hook)
    assert_type(audit.type, HookType | tuple[HookType, ...])
    assert_type(audit.hook_type, HookType | tuple[HookType, ...])
    assert_type(audit.lock, Lock | None)
    assert_type(audit.fn, Callable[..., Awaitable[Deny | Skip | Replace | Directive | None]])
    assert_type(audit.metadata.end_time, datetime | None)
    await audit(Turn("greet"))
    assert_type(HookRegistry.get("audit"), Hook)
    assert_type(HookRegistry.get_by_type(TurnHook.BEFORE_RUN, hooks), Hook | None)


def refuse_hooks_with_other_arguments() -> None:
    """Refuse hooks that cannot take the arguments of their event."""

    async def takes_two(turn: Turn[Any], value: object) -> None: ...

    async def takes_an_agent(agent: Agent) -> None: ...

    async def takes_text(items: str) -> None: ...

    def plain(turn: Turn[Any]) -> None: ...

    hook(TurnHook.BEFORE_RUN)(takes_two)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hook(TurnHook.AFTER_RUN)(takes_an_agent)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hook(MemoryHook.BEFORE_APPEND)(takes_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def allows(turn: Turn[Any]) -> bool:
        return True

    async def denies(turn: Turn[Any]) -> Deny | None: ...

    hook(TurnHook.BEFORE_RUN)(allows)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hook([TurnHook.BEFORE_RUN])(allows)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hook(TurnHook.AFTER_RUN)(denies)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hook(TurnHook.BEFORE_RUN)(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hook("before_run")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]


# Turns carry the type of their value.


async def run_turns() -> None:
    """Run turns of both kinds."""
    by_name = Turn("greet", kwargs={"name": "Ada"})
    assert_type(by_name, Turn[Any])
    by_tool = Turn(greet, args=["Ada"], timeout=None, metadata={"id": 1}, hooks=[audit])
    assert_type(by_tool, Turn[str])
    assert_type(await by_tool.returning(), str)
    of_values = Turn(count, [3])
    assert_type(of_values, Turn[int])
    async for number in of_values.yielding():
        assert_type(number, int)
    async with aclosing(Turn[str]("letters", ["ada"]).yielding()) as values:
        assert_type(await anext(values), str)
    told = Turn[str]("greet")
    assert_type(await told.returning(), str)
    assert_type(told.copy(), Turn[str])
    assert_type(told.start_time, datetime | None)
    assert_type(told.timeout, float | None)
    assert_type(told.args, list[Any])
    assert_type(told.kwargs, dict[str, Any])
    assert_type(told.metadata, dict[str, Any])
    assert_type(told.hooks, list[Hook])
    assert_type(told.to_dict(), dict[str, Any])
    assert_type(Turn[str].from_dict(told.to_dict()), Turn[str])
    assert_type(Turn.from_dict(told.to_dict()), Turn[Any])
    told.start_time = datetime.fromtimestamp(0)  # noqa: DTZ006
    told.stop_reason = StopReason.CANCELLED
    told.timeout = 5


async def run_agents() -> None:
    """Put turns and stream what comes of them."""
    agent = Agent("greeter", "Greets people", [greet, add])
    assert_type(agent.tools, list[Tool])
    assert_type(agent.hooks, list[Hook])
    agent.hooks.append(before_turn)
    await agent.put(Turn("greet", args=["Ada"]))
    await agent.put(Turn(greet, args=["Ada"]))
    await agent.send_turn("other", Turn("greet"))
    async for turn, value in agent.run():
        assert_type(turn, Turn[Any])
        assert_type(value, Any)
    child = agent.branch("child", hooks=None)
    assert_type(child, Agent)
    assert_type(Agent.from_dict(agent.to_dict()), Agent)
    assert_type(AgentRegistry.get("greeter"), Agent)
    assert_type(current_agent(), Agent | None)
    assert_type(current_turn(), Turn[Any] | None)
    agent.ref.tell(Turn("greet"))
    assert_type(await agent.stop(), bool)


async def bound_mailboxes() -> None:
    """Bound the mailboxes of agents and actors."""
    policy = MailboxPolicy(capacity=1_000)
    assert_type(policy.capacity, int)
    assert_type(policy.overflow, Overflow)
    assert_type(policy.timeout, float | None)
    latest = MailboxPolicy(capacity=10, overflow=Overflow.COALESCE, timeout=None, key=lambda turn: turn.args[0])
    agent = Agent("bounded", "Greets people", [greet], mailbox=policy)
    async with ActorSystem("bounded") as system:
        assert_type(system.spawn(AsyncActor, mailbox=latest), ActorRef[AsyncActor])
        system.supervisor("team").spawn(agent, mailbox=None)
        agent.spawn(AsyncActor, mailbox=policy)
        try:
            await agent.ref.tell_async(Turn(greet, ["Ada"]), timeout=1)
        except MailboxFullError as error:
            assert_type(error.actor, str)
            assert_type(error.capacity, int)
            assert_type(error.replaced, bool)
    MailboxPolicy(1_000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    MailboxPolicy(capacity="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Agent("bounded", "Greets people", [greet], mailbox=10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def use_memory() -> None:
    """Remember things."""
    memory = Memory(10, hooks=[after_append])
    await memory.append("a", 2)
    assert_type(memory.items, list[Any])
    assert_type(len(memory), int)
    assert_type(bool(memory), bool)
    assert_type("a" in memory, bool)
    assert_type(memory.branch(hooks=[]), Memory)
    assert_type(Memory.from_dict(memory.to_dict()), Memory)
    Memory("10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def catch_errors() -> None:
    """Read the fields of errors."""
    try:
        ToolRegistry.get("nobody")
    except UnregisteredToolError as error:
        assert_type(error.name, str)
    except WrongRunMethodError as error:
        assert_type(error.method, str)
    except TurnTimeoutError as error:
        assert_type(error.timeout, float)
    except TurnCancelledError as error:
        assert_type(error.reason, str)
    except TurnDeniedError as error:
        assert_type(error.reason, str)
    except SafeExecutionError:
        raise


async def watch() -> str:
    """Be told when the event loop stands still."""
    async with ActorSystem("watched", stall_after=0.5) as system:
        async for event in system.events():
            if isinstance(event, LoopStalled):
                assert_type(event.turn, object)
                assert_type(event.seconds, float)
                return event.path + event.stack
    async with ActorSystem("unwatched", stall_after=None) as system:
        return system.tree()


async def test_with_a_probe() -> float:
    """Expect messages, and let time pass."""
    probe = Probe()
    assert_type(probe.ref, ActorRef[Any])
    assert_type(await probe.expect_message(1, timeout=2), Any)
    await probe.expect_no_message(within=0.5)
    probe.reply("yes")
    probe.fail(ValueError())
    await advance(1)
    async with ActorSystem("tested") as system:
        await wait_idle(system, timeout=2)
    return 1.5


def run_tests() -> None:
    """Run a test on virtual time, in both ways."""
    assert_type(run(test_with_a_probe()), float)
    run(test_with_a_probe(), auto_advance=False, patience=1)
    loop = VirtualTimeLoop(auto_advance=False)
    assert_type(loop.run_until_complete(test_with_a_probe()), float)
    assert_type(loop.run_in_executor(None, max, 1, 2), Future[int])


async def an_order(system: ActorSystem) -> int:
    """Be simulated."""
    await wait_idle(system)
    return 3


def simulate_it() -> None:
    """Simulate from one seed, and from many."""
    faults = Faults(raising=0.1, errors=[ConnectionError, lambda: ValueError("no")], only=["team/*"])
    simulation = simulate(an_order, seed=7, faults=faults)
    assert_type(simulation, Simulation[int])
    assert_type(simulation.returned, int)
    assert_type(simulation.trace, tuple[Record, ...])
    try:
        simulate_many(an_order, seeds=range(10), max_steps=1_000, stall_after=None)
    except SimulationFailedError as error:
        assert_type(error.seed, int)
    simulate(an_order)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
