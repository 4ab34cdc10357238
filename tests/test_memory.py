"""Memory: a bounded window, its hooks, its branches, and its storage."""

import asyncio
import json
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pygents.errors import UnregisteredHookError
from pygents.hooks import MemoryHook, TurnHook, hook
from pygents.memory import Memory


async def filled(*items, limit=3, hooks=None):
    memory = Memory(limit, hooks)
    await memory.append(*items)
    return memory


@pytest.fixture
def calls():
    return []


@pytest.fixture
def note(calls):
    """Make a hook that writes down its name and the items it got."""

    def make(name, event, then=None):
        async def fn(items):
            calls.append((name, items))
            if then is not None:
                await then(items)

        fn.__name__ = name
        return hook(event)(fn)

    return make


BEFORE, AFTER = MemoryHook.BEFORE_APPEND, MemoryHook.AFTER_APPEND


class TestWindow:
    async def test_keeps_the_newest_items_in_order(self):
        memory = await filled(1, 2)
        await memory.append(3, 4)
        assert memory.items == list(memory) == [2, 3, 4]
        assert (len(memory), memory.limit) == (3, 3)

    async def test_keeps_the_last_of_more_items_than_fit(self):
        assert (await filled(*range(10))).items == [7, 8, 9]

    async def test_is_empty_at_first_and_after_clear(self):
        memory = Memory(5)
        assert (bool(memory), len(memory), memory.items) == (False, 0, [])
        await memory.append(None)
        assert (bool(memory), len(memory), memory.items) == (True, 1, [None])
        memory.clear()
        assert (bool(memory), len(memory), memory.items) == (False, 0, [])
        assert memory.limit == 5

    async def test_knows_what_is_in_it(self):
        memory = await filled("a", "b")
        assert "a" in memory
        assert "c" not in memory

    async def test_tells_limit_and_length(self):
        assert repr(await filled(1, 2, limit=5)) == "Memory(limit=5, len=2)"

    async def test_gives_its_items_as_a_copy(self):
        memory = await filled(1)
        memory.items.append(2)
        assert memory.items == [1]

    async def test_can_be_changed_while_it_is_iterated(self):
        memory = await filled(1, 2)
        for item in memory:
            await memory.append(item * 10)
        assert memory.items == [2, 10, 20]

    def test_has_a_limit_that_cannot_be_set(self):
        memory = Memory(5)
        with pytest.raises(AttributeError):
            memory.limit = 6


class TestWrongArguments:
    @pytest.mark.parametrize("wrong", [0, -1, -(10**30)])
    def test_a_limit_below_one(self, wrong):
        with pytest.raises(ValueError, match=r"^limit must be >= 1"):
            Memory(wrong)

    @pytest.mark.parametrize("wrong", [1.0, "5", None, True, False, [5]], ids=repr)
    def test_a_limit_that_is_no_integer(self, wrong):
        with pytest.raises(TypeError, match=r"^limit must be an integer") as caught:
            Memory(wrong)
        assert repr(wrong) in str(caught.value)

    def test_a_limit_that_no_computer_can_hold(self):
        with pytest.raises(ValueError, match=r"^limit "):
            Memory(10**30)

    @pytest.mark.parametrize("wrong", [5, "audit", [5], [print]], ids=repr)
    async def test_hooks_that_are_none(self, wrong):
        with pytest.raises(TypeError, match="hook"):
            Memory(5, wrong)
        memory = await filled(1)
        with pytest.raises(TypeError, match="hook"):
            memory.branch(hooks=wrong)
        with pytest.raises(TypeError, match="hook"):
            memory.hooks = wrong
        assert memory.hooks == []

    async def test_of_a_branch(self):
        memory = await filled(1)
        with pytest.raises(ValueError, match=r"^limit must be >= 1"):
            memory.branch(0)
        with pytest.raises(TypeError, match=r"^limit must be an integer, not 'x'"):
            memory.branch("x")


class TestHooks:
    async def test_get_the_items_before_and_after(self, note, calls):
        memory = await filled(1, 2, hooks=[note("after", AFTER), note("before", BEFORE)])
        await memory.append(3, 4)
        assert calls == [("before", []), ("after", [1, 2]), ("before", [1, 2]), ("after", [2, 3, 4])]
        assert all(type(items) is list for _, items in calls)

    async def test_run_once_for_several_items_or_none(self, note, calls):
        memory = Memory(5, [note("before", BEFORE)])
        await memory.append(1, 2, 3)
        await memory.append()
        assert calls == [("before", []), ("before", [1, 2, 3])]

    async def test_all_run_that_are_for_the_event_in_list_order(self, note, calls):
        memory = Memory(5, [note("c", [AFTER, BEFORE]), note("x", TurnHook.BEFORE_RUN), note("a", BEFORE)])
        await memory.append(1)
        assert [name for name, _ in calls] == ["c", "a", "c"]

    @pytest.mark.parametrize("event", MemoryHook)
    async def test_change_nothing_by_changing_what_they_get(self, note, event):
        async def change(items):
            items.append("mine")

        memory = await filled(1, hooks=[note("a", event, change), note("b", event)])
        assert memory.items == [1]

    @pytest.mark.parametrize("event", MemoryHook)
    async def test_get_a_copy_each(self, note, calls, event):
        async def change(items):
            items.clear()

        await filled(1, hooks=[note("a", event, change), note("b", event)])
        (_, first), (_, second) = calls
        assert (first, second) == ([], [] if event is BEFORE else [1])
        assert first is not second

    async def test_that_raise_before_leave_the_items_as_they_were(self, note):
        async def refuse(items):
            if items:
                raise LookupError("full")

        memory = await filled(1, hooks=[note("before", BEFORE, refuse)])
        with pytest.raises(LookupError, match="full"):
            await memory.append(2)
        assert memory.items == [1]

    async def test_that_raise_after_leave_the_new_items_in(self, note):
        async def fail(items):
            raise LookupError

        memory = Memory(5, [note("after", AFTER, fail)])
        with pytest.raises(LookupError):
            await memory.append(1)
        assert memory.items == [1]

    async def test_may_be_appended_later(self, note, calls):
        memory = Memory(5)
        memory.hooks.append(note("before", BEFORE))
        await memory.append(1)
        assert calls == [("before", [])]

    async def test_are_kept_in_a_list_of_its_own(self, note):
        given = [note("before", BEFORE)]
        memory = Memory(5, given)
        memory.hooks.clear()
        assert len(given) == 1


class TestBranch:
    async def test_has_the_same_items_limit_and_hooks(self, note):
        hooks = [note("before", BEFORE)]
        memory = await filled(1, 2, hooks=hooks)
        child = memory.branch()
        assert (child.items, child.limit, child.hooks) == ([1, 2], 3, hooks)

    async def test_is_independent(self, note):
        memory = await filled(1, 2, hooks=[note("before", BEFORE)])
        child = memory.branch()
        await child.append(3)
        child.hooks.clear()
        await memory.append(4)
        assert (memory.items, child.items) == ([1, 2, 4], [1, 2, 3])
        assert len(memory.hooks) == 1

    async def test_takes_the_newest_items_that_fit(self):
        memory = await filled(1, 2, 3)
        assert memory.branch(2).items == [2, 3]
        assert memory.branch(limit=10).items == [1, 2, 3]
        assert memory.branch(10).limit == 10

    @pytest.mark.parametrize("none", [None, []])
    async def test_can_have_no_hooks(self, note, none):
        memory = await filled(1, hooks=[note("before", BEFORE)])
        assert memory.branch(hooks=none).hooks == []

    async def test_can_have_other_hooks(self, note):
        memory = await filled(1, hooks=[note("before", BEFORE)])
        other = note("other", AFTER)
        assert memory.branch(hooks=[other]).hooks == [other]

    async def test_runs_no_hooks(self, note, calls):
        memory = await filled(1, hooks=[note("both", [BEFORE, AFTER])])
        calls.clear()
        memory.branch()
        assert calls == []


class TestStorage:
    async def test_has_limit_items_and_the_names_of_the_hooks(self, note):
        memory = await filled(1, "a", hooks=[note("one", BEFORE), note("two", [AFTER, BEFORE])])
        assert memory.to_dict() == {
            "limit": 3,
            "items": [1, "a"],
            "hooks": {"before_append": ["one", "two"], "after_append": ["two"]},
        }

    async def test_restores_all_of_it_without_running_hooks(self, note, calls):
        hooks = [note("one", BEFORE), note("two", [AFTER, BEFORE])]
        stored = Memory(3, hooks).to_dict() | {"items": [1, 2]}
        memory = Memory.from_dict(stored)
        assert (memory.limit, memory.items, memory.hooks) == (3, [1, 2], hooks)
        assert calls == []
        await memory.append(3, 4)
        assert stored["items"] == [1, 2]

    def test_needs_only_the_limit(self):
        memory = Memory.from_dict({"limit": 2})
        assert (memory.limit, memory.items, memory.hooks) == (2, [], [])

    def test_keeps_the_newest_of_more_items_than_fit(self):
        assert Memory.from_dict({"limit": 2, "items": (1, 2, 3)}).items == [2, 3]

    def test_makes_a_memory_of_the_class_that_it_is_called_on(self):
        class Notes(Memory): ...

        assert type(Notes.from_dict({"limit": 2})) is Notes
        assert repr(Notes(2)) == "Notes(limit=2, len=0)"

    @pytest.mark.parametrize("wrong", [None, 5, [("limit", 5)]], ids=repr)
    def test_refuses_what_is_no_dict(self, wrong):
        with pytest.raises(TypeError, match=r"^Memory.from_dict needs a dict") as caught:
            Memory.from_dict(wrong)
        assert repr(wrong) in str(caught.value)

    def test_names_the_field_that_is_missing(self):
        with pytest.raises(ValueError, match=r"^Memory.from_dict: field 'limit' is missing"):
            Memory.from_dict({"items": []})

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            ("limit", "5"),
            ("limit", 5.0),
            ("limit", True),
            ("limit", None),
            ("items", "ab"),
            ("items", {"a": 1}),
            ("items", None),
            ("hooks", ["one"]),
            ("hooks", {"before_append": "one"}),
        ],
    )
    def test_names_the_field_that_is_of_the_wrong_type(self, name, wrong):
        with pytest.raises(TypeError, match=f"^Memory.from_dict: field '{name}' must") as caught:
            Memory.from_dict({"limit": 5} | {name: wrong})
        assert repr(wrong["before_append"] if isinstance(wrong, dict) and name == "hooks" else wrong) in str(
            caught.value
        )

    def test_names_a_limit_that_is_below_one(self):
        with pytest.raises(ValueError, match=r"limit.* must be >= 1"):
            Memory.from_dict({"limit": 0})

    def test_says_which_hook_is_not_registered(self):
        with pytest.raises(UnregisteredHookError, match="'nobody'"):
            Memory.from_dict({"limit": 5, "hooks": {"before_append": ["nobody"]}})

    @given(limit=st.integers(1, 5), items=st.lists(st.none() | st.integers() | st.text() | st.lists(st.booleans())))
    def test_gives_an_equal_memory_through_json(self, limit, items):
        memory = asyncio.run(filled(*items, limit=limit))
        back = Memory.from_dict(json.loads(json.dumps(memory.to_dict())))
        assert (back.limit, back.items, back.to_dict()) == (limit, items[-limit:], memory.to_dict())


class MemoryMachine(RuleBasedStateMachine):
    """A memory and its branches and restored copies behave like bounded deques."""

    def __init__(self):
        super().__init__()
        self.pairs = [(Memory(3), deque(maxlen=3))]

    def pick(self, which):
        return self.pairs[which % len(self.pairs)]

    def run(self, coroutine):
        with pytest.raises(StopIteration):
            coroutine.send(None)  # without hooks it does not wait for anything

    @rule(which=st.integers(0, 20), items=st.lists(st.integers(), max_size=6))
    def append(self, which, items):
        memory, model = self.pick(which)
        self.run(memory.append(*items))
        model.extend(items)

    @rule(which=st.integers(0, 20))
    def clear(self, which):
        memory, model = self.pick(which)
        memory.clear()
        model.clear()

    @rule(which=st.integers(0, 20), limit=st.none() | st.integers(1, 6))
    def branch(self, which, limit):
        memory, model = self.pick(which)
        self.pairs.append((memory.branch(limit), deque(model, maxlen=limit or model.maxlen)))

    @rule(which=st.integers(0, 20))
    def restore(self, which):
        memory, model = self.pick(which)
        self.pairs.append((Memory.from_dict(memory.to_dict()), model.copy()))

    @invariant()
    def behaves_like_the_model(self):
        for memory, model in self.pairs:
            assert memory.items == list(memory) == list(model)
            assert (len(memory), bool(memory), memory.limit) == (len(model), bool(model), model.maxlen)
            assert all((item in memory) == (item in model) for item in range(-2, 3))
            assert repr(memory) == f"Memory(limit={model.maxlen}, len={len(model)})"


TestMemoryAgainstADeque = MemoryMachine.TestCase
TestMemoryAgainstADeque.settings = settings(max_examples=50, stateful_step_count=20)
