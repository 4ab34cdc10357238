"""Tools: what the decorator makes of an async function, and what a call of it does."""

import asyncio
import copy
import functools
import inspect
import logging
import pickle
import re
import threading
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest

from pygents.errors import UnregisteredToolError
from pygents.hooks import ToolHook, TurnHook, hook
from pygents.registry import ToolRegistry
from pygents.tool import ToolMetadata, tool
from pygents.turn import Turn

KINDS = ["coroutine", "generator"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def make(kind, body, **options):
    """Make a tool of either kind that does the same: its value, or its values, are those that ``body`` gives."""
    if kind == "coroutine":

        async def work(*args, **kwargs):
            values = [value async for value in body(*args, **kwargs)]
            return values[-1]
    else:

        async def work(*args, **kwargs):
            async with aclosing(body(*args, **kwargs)) as values:
                async for value in values:
                    yield value

    return tool(**options)(work)


async def call(made, *args, **kwargs):
    """Call a tool of either kind; return all it gave."""
    if inspect.isasyncgenfunction(made.fn):
        return [value async for value in made(*args, **kwargs)]
    return [await made(*args, **kwargs)]


async def echo(*args, **kwargs):
    yield args, kwargs


class TestDecorator:
    def test_keeps_what_the_function_says_of_itself(self):
        async def greet(name: str) -> str:
            """Greet somebody."""
            return f"Hello, {name}!"

        made = tool()(greet)
        assert made.fn is made.__wrapped__ is greet
        assert (made.__name__, made.__qualname__, made.__module__) == (
            "greet",
            greet.__qualname__,
            greet.__module__,
        )
        assert made.__doc__ == "Greet somebody."
        assert made.metadata == ToolMetadata("greet", "Greet somebody.", None, None)
        assert inspect.signature(made) == inspect.signature(greet)
        assert made.__annotations__ == greet.__annotations__
        assert repr(made) == "<tool 'greet'>"

    def test_works_without_parentheses(self):
        @tool
        async def greet(): ...

        assert ToolRegistry.get("greet") is greet
        assert (greet.lock, greet.hooks) == (None, [])

    def test_says_what_kind_of_function_it_is(self):
        @tool()
        async def one(): ...

        assert inspect.iscoroutinefunction(one)
        coroutine = one()
        assert inspect.iscoroutine(coroutine)
        coroutine.close()

        @tool()
        async def many():
            yield

        assert not inspect.iscoroutinefunction(many)
        assert inspect.isasyncgen(many())

    def test_registers_the_tool_under_its_name(self):
        @tool()
        async def greet(): ...

        assert ToolRegistry.get("greet") is greet

    def test_refuses_a_taken_name_and_keeps_the_first(self):
        first = make("coroutine", echo)
        with pytest.raises(ValueError, match="Tool 'work' already registered"):
            make("generator", echo)
        assert ToolRegistry.all() == [first]

    def test_refuses_what_is_not_async(self):
        def plain(): ...

        def generator():
            yield

        class Callable:
            async def __call__(self): ...

        for wrong in (plain, generator, lambda: None, Callable(), Callable, 5, "greet"):
            for decorate in (tool, tool()):
                with pytest.raises(TypeError, match=r"^Tool must be async") as caught:
                    decorate(wrong)
                assert repr(wrong) in str(caught.value)
        assert ToolRegistry.all() == []

    def test_refuses_an_async_callable_without_a_name(self):
        async def greet(name): ...

        with pytest.raises(TypeError, match="name"):
            tool()(functools.partial(greet, "World"))
        assert ToolRegistry.all() == []

    def test_refuses_fixed_arguments_that_the_function_cannot_take(self):
        async def greet(name, /, *, style): ...

        with pytest.raises(
            TypeError, match=r"Tool 'greet' fixed kwargs \['name', 'tone'\] are not in function signature"
        ):
            tool(name="World", style="warm", tone="high")(greet)
        assert ToolRegistry.all() == []

    def test_refuses_hooks_that_are_none(self):
        async def plain(): ...

        for wrong in (5, "audit", [plain], [None]):
            with pytest.raises(TypeError, match="hook"):
                tool(hooks=wrong)
        assert ToolRegistry.all() == []

    @pytest.mark.parametrize("wrong", [5, "audit", [5], [print]], ids=repr)
    def test_refuses_hooks_that_are_none_when_they_are_set(self, kind, wrong):
        made = make(kind, echo)
        with pytest.raises(TypeError, match="hook"):
            made.hooks = wrong
        assert made.hooks == []

    def test_takes_its_options_by_name_only(self):
        async def greet(): ...

        with pytest.raises(TypeError, match="positional"):
            tool(greet, True)

    def test_has_a_list_of_hooks_of_its_own(self):
        @hook(ToolHook.BEFORE_INVOKE)
        async def audit(): ...

        given = [audit]
        decorate = tool(hooks=given)

        @decorate
        async def first(): ...

        @decorate
        async def second(): ...

        assert first.hooks == second.hooks == [audit]
        first.hooks.clear()
        assert second.hooks == [audit]
        assert given == [audit]

    def test_has_a_lock_only_if_told(self):
        @tool()
        async def free(): ...

        @tool(lock=True)
        async def locked(): ...

        assert free.lock is None
        assert isinstance(locked.lock, asyncio.Lock)

    def test_gives_its_metadata_as_plain_values(self):
        @tool()
        async def greet(): ...

        assert greet.metadata.dict() == {"name": "greet", "description": None, "start_time": None, "end_time": None}


class TestCall:
    async def test_passes_arguments_and_gives_back_what_the_function_does(self, kind):
        made = make(kind, echo)
        assert await call(made, 1, x=2) == [((1,), {"x": 2})]

    async def test_needs_no_registry_or_turn(self, kind):
        made = make(kind, echo)
        ToolRegistry._table.clear()
        with pytest.raises(UnregisteredToolError):
            ToolRegistry.get("work")
        assert await call(made) == [((), {})]

    async def test_lets_an_exception_out_as_it_is(self, kind):
        error = LookupError("nothing there")

        async def body():
            if error:
                raise error
            yield

        with pytest.raises(LookupError) as caught:
            await call(make(kind, body))
        assert caught.value is error

    async def test_notes_start_and_end_on_the_same_metadata_however_it_ends(self, kind):
        seen = []

        async def body(fails):
            seen.append((made.metadata.start_time, made.metadata.end_time))
            yield 1
            if fails:
                raise LookupError

        made = make(kind, body)
        metadata, before = made.metadata, datetime.now() - timedelta(seconds=1)  # noqa: DTZ005
        await call(made, False)
        with pytest.raises(LookupError):
            await call(made, True)
        (first_start, first_end), (second_start, second_end) = seen
        assert made.metadata is metadata
        assert first_end is None
        assert before <= first_start <= second_end <= second_start == metadata.start_time <= metadata.end_time

    async def test_a_generator_that_is_closed_early_ends_its_function_and_notes_the_time(self):
        ended = []

        async def body():
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(1)
                ended.append(made.metadata.end_time)

        made = make("generator", body, lock=True)
        values = made()
        assert await anext(values) == 1
        assert made.lock.locked()
        await values.aclose()
        assert ended == [None]
        assert made.metadata.end_time is not None
        assert not made.lock.locked()

    async def test_a_generator_gives_each_value_before_it_goes_on(self):
        trail = []

        async def body():
            for value in (1, None, 3):
                trail.append(("made", value))
                yield value

        async for value in make("generator", body)():
            trail.append(("got", value))  # noqa: PERF401 (the tool appends meanwhile)
        assert trail == [(verb, value) for value in (1, None, 3) for verb in ("made", "got")]


class TestFixedArguments:
    async def test_are_merged_into_every_call(self, kind):
        made = make(kind, echo, permission="admin")
        assert await call(made, 1) == [((1,), {"permission": "admin"})]
        assert await call(made, x=2) == [((), {"permission": "admin", "x": 2})]

    async def test_are_overridden_by_the_calls_own_with_one_warning(self, kind, caplog):
        made = make(kind, echo, permission="admin", level=1)
        with caplog.at_level(logging.WARNING, "pygents"):
            assert await call(made, permission="guest", level=2) == [((), {"permission": "guest", "level": 2})]
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("pygents", "WARNING")
        assert "overridden" in record.getMessage()
        assert "'permission', 'level'" in record.getMessage()
        assert "tool 'work'" in record.getMessage()
        with caplog.at_level(logging.WARNING, "pygents"):
            await call(made)
        assert len(caplog.records) == 1

    async def test_that_are_functions_are_called_at_each_invocation(self, kind):
        numbers = iter(range(10))

        async def fetch():
            return "fetched"

        made = make(kind, echo, number=lambda: next(numbers), later=fetch, cls=int)
        assert [await call(made), await call(made)] == [
            [((), {"number": number, "later": "fetched", "cls": int})] for number in (0, 1)
        ]

    async def test_may_have_the_name_of_a_positional_parameter_where_kwargs_take_it(self):
        @tool(name="fixed")
        async def greet(name, /, **kwargs):
            return name, kwargs

        assert await greet("given") == ("given", {"name": "fixed"})

    async def test_cannot_be_given_by_position(self):
        @tool(name="World")
        async def greet(name): ...

        with pytest.raises(TypeError, match="multiple values for argument 'name'"):
            await greet("Ada")


class TestHooks:
    @pytest.fixture
    def trail(self):
        return []

    @pytest.fixture
    def audit(self, trail):
        """Make a hook that writes down its event, its arguments, and whether the tool's lock was held."""

        def make(event, name="audit", then=None):
            async def fn(*args, **kwargs):
                trail.append((name, args, kwargs, ToolRegistry.get("work").lock.locked()))
                if then is not None:
                    raise then

            fn.__name__ = f"{name}_{event}"
            return hook(event)(fn)

        return make

    async def test_run_inside_the_lock_around_the_function_in_order(self, kind, audit, trail):
        async def body(*args, **kwargs):
            trail.append(("body", args, kwargs, made.lock.locked()))
            yield "a"
            yield "b"

        hooks = [audit(event, event.name) for event in ToolHook]
        made = make(kind, body, lock=True, hooks=hooks, permission="admin")
        await call(made, 1, x=2)
        given = (1,), {"permission": "admin", "x": 2}
        yields = [("ON_YIELD", (value,), {}, True) for value in ("a", "b")] if kind == "generator" else []
        assert trail == [
            ("BEFORE_INVOKE", *given, True),
            ("body", *given, True),
            *yields,
            ("AFTER_INVOKE", ("b",), {}, True),
        ]
        assert not made.lock.locked()

    async def test_for_a_yield_run_before_the_value_reaches_the_caller(self, audit, trail):
        async def body():
            yield "a"

        async for _ in make("generator", body, lock=True, hooks=[audit(ToolHook.ON_YIELD)])():
            trail.append("got")
        assert trail == [("audit", ("a",), {}, True), "got"]

    async def test_after_a_generator_without_values_get_none(self, audit, trail):
        async def body():
            return
            yield

        assert await call(make("generator", body, lock=True, hooks=[audit(ToolHook.AFTER_INVOKE)])) == []
        assert trail == [("audit", (None,), {}, True)]

    async def test_all_run_that_are_for_the_event_in_list_order(self, kind, audit, trail):
        hooks = [audit(ToolHook.AFTER_INVOKE, name) for name in ("c", "a", "b")]
        await call(make(kind, echo, lock=True, hooks=hooks))
        assert [name for name, *_ in trail] == ["c", "a", "b"]

    async def test_that_are_appended_later_run_too(self, kind, audit, trail):
        made = make(kind, echo, lock=True)
        made.hooks.append(audit(ToolHook.BEFORE_INVOKE))
        await call(made)
        assert len(trail) == 1

    async def test_for_other_events_do_not_run(self, kind, audit, trail):
        await call(make(kind, echo, lock=True, hooks=[audit(TurnHook.BEFORE_RUN)]))
        assert trail == []

    @pytest.mark.parametrize(
        ("kind", "event"),
        [("generator", event) for event in ToolHook]
        + [("coroutine", event) for event in (ToolHook.BEFORE_INVOKE, ToolHook.AFTER_INVOKE)],
    )
    async def test_that_raise_end_the_call_and_give_the_lock_back(self, kind, event, audit):
        ended = []

        async def body():
            try:
                yield 1
            finally:
                ended.append(True)

        error = LookupError("no")
        made = make(kind, body, lock=True, hooks=[audit(event, then=error)])
        with pytest.raises(LookupError) as caught:
            await call(made)
        assert caught.value is error
        assert not made.lock.locked()
        assert ended == ([] if event is ToolHook.BEFORE_INVOKE else [True])
        assert made.metadata.end_time is not None

    @pytest.mark.parametrize("event", ToolHook)
    async def test_that_raise_stop_async_iteration_do_not_end_the_values_in_silence(self, event, audit):
        made = make("generator", echo, lock=True, hooks=[audit(event, then=StopAsyncIteration())])
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            await call(made)

    async def test_do_not_run_after_a_function_that_raised(self, kind, audit, trail):
        async def body():
            raise LookupError
            yield

        with pytest.raises(LookupError):
            await call(make(kind, body, lock=True, hooks=[audit(ToolHook.AFTER_INVOKE)]))
        assert trail == []


class TestLock:
    async def test_runs_one_invocation_at_a_time_in_order(self, kind):
        trail = []

        async def body(name):
            trail.append(f"{name} in")
            await asyncio.sleep(1)
            yield
            trail.append(f"{name} out")

        made = make(kind, body, lock=True)
        await asyncio.gather(*(call(made, name) for name in "abc"))
        assert trail == ["a in", "a out", "b in", "b out", "c in", "c out"]

    async def test_is_not_there_unless_told(self, kind):
        most = running = 0

        async def body():
            nonlocal most, running
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            yield

        made = make(kind, body)
        await asyncio.gather(*(call(made) for _ in range(3)))
        assert most == 3

    async def test_is_given_back_by_a_function_that_raises_or_is_cancelled(self, kind):
        async def body(seconds):
            await asyncio.sleep(seconds)
            raise LookupError
            yield

        made = make(kind, body, lock=True)
        with pytest.raises(LookupError):
            await call(made, 1)
        assert not made.lock.locked()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await call(made, 10)
        assert not made.lock.locked()

    async def test_passes_a_waiter_over_that_is_cancelled(self, kind):
        entered = []

        async def body(name):
            entered.append(name)
            await asyncio.sleep(5)
            yield

        made = make(kind, body, lock=True)
        tasks = [asyncio.create_task(call(made, name)) for name in "abc"]
        await asyncio.sleep(1)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert entered == ["a", "c"]
        assert not made.lock.locked()

    @pytest.mark.real_time
    async def test_holds_between_event_loops_on_two_threads(self, kind):
        trail, inside, door = [], threading.Event(), threading.Event()

        async def body(name):
            trail.append(f"{name} in")
            inside.set()
            await asyncio.to_thread(door.wait, 10)
            yield
            trail.append(f"{name} out")

        made = make(kind, body, lock=True)
        thread = threading.Thread(target=lambda: asyncio.run(call(made, "a")))
        thread.start()
        assert await asyncio.to_thread(inside.wait, 10)
        task = asyncio.create_task(call(made, "b"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert trail == ["a in"]
        door.set()
        await task
        thread.join(10)
        assert trail == ["a in", "a out", "b in", "b out"]
        assert not made.lock.locked()


@pytest.mark.parametrize("lock", ["no", 1, None, asyncio.Lock()], ids=repr)
@pytest.mark.parametrize("decorator", [tool, functools.partial(hook, TurnHook.BEFORE_RUN)], ids=["tool", "hook"])
def test_a_lock_that_is_neither_wanted_nor_not_is_refused(decorator, lock):
    with pytest.raises(TypeError, match=f"^lock must be True or False, not {re.escape(repr(lock))}"):
        decorator(lock=lock)


async def test_a_tool_may_be_a_method(kind):
    class Adder:
        base = 10

        @tool()
        async def add(self, value):
            return self.base + value

        @tool()
        async def count(self, value):
            yield self.base + value

    made = Adder().add if kind == "coroutine" else Adder().count
    given = await made(5) if kind == "coroutine" else [value async for value in made(5)]
    assert given == (15 if kind == "coroutine" else [15])
    assert inspect.iscoroutinefunction(Adder().add)
    assert Adder.add is ToolRegistry.get("add")


async def test_a_hook_may_be_a_method():
    class Audit:
        def __init__(self):
            self.seen = []

        @hook(TurnHook.BEFORE_RUN)
        async def note(self, turn):
            self.seen.append(turn)

    audit = Audit()
    await audit.note("turn")
    assert audit.seen == ["turn"]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_a_tool_and_a_hook_are_copied_and_pickled_as_their_functions_would_be(duplicate):
    assert duplicate(module_tool) is module_tool
    assert duplicate(module_hook) is module_hook


@tool(lock=True)
async def module_tool(): ...


@hook(TurnHook.BEFORE_RUN, lock=True)
async def module_hook(turn): ...


async def test_func_may_be_a_fixed_argument():
    @tool(func="f")
    async def work(func):
        return func

    assert await work() == "f"


async def test_attributes_of_the_function_are_the_tools_and_do_not_get_in_its_way():
    async def work():
        return "done"

    work.streams = work.attempt = work.version = 2
    assert await Turn(tool(work)).returning() == "done"
    assert ToolRegistry.get("work").version == 2


def test_a_callable_without_a_name_is_named_in_the_error():
    async def work(): ...

    with pytest.raises(TypeError, match=r"the name of functools\.partial\(.*work.*\) must be a string, not None"):
        tool(functools.partial(work))


NAMES = ["self", "hooks", "hook_type", "fn", "args", "kwargs", "tool", "turn", "type", "value", "name", "lock"]
"""What parameters of a user's may be called, though they are names of ours, too."""


class TestAnyNameOfAParameter:
    """A tool's parameters are its own: none collides with those of what calls it."""

    @pytest.fixture
    def seen(self):
        return []

    @pytest.fixture
    def work(self, kind, seen):
        @hook(ToolHook.BEFORE_INVOKE, lock=True)
        async def note(*args, **kwargs):
            seen.append((args, kwargs))

        return make(kind, echo, hooks=[note])

    @pytest.mark.parametrize("name", NAMES)
    async def test_is_taken_by_a_call(self, name, work, seen):
        assert await call(work, 5, **{name: 1}) == [((5,), {name: 1})]
        assert seen == [((5,), {name: 1})]

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [1, lambda: 1], ids=["plain", "dynamic"])
    async def test_is_taken_by_a_turn(self, name, value, work, seen):
        turn = Turn(work, kwargs={name: value})
        streams = inspect.isasyncgenfunction(work.fn)
        assert ([one async for one in turn.yielding()] if streams else [await turn.returning()]) == [((), {name: 1})]
        assert seen == [((), {name: 1})]
