"""Reading stored fields with errors that name them, and hooks by type and name."""

import string
from collections import OrderedDict
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.errors import UnregisteredHookError
from pygents.hooks import AgentHook, MemoryHook, ToolHook, TurnHook, hook
from pygents.registry import HookRegistry
from pygents.serialization import Fields, hooks_from_dict, hooks_to_dict

TYPES = [*TurnHook, *AgentHook, *ToolHook, *MemoryHook]


def make(name, types):
    async def fn(*args, **kwargs): ...

    fn.__name__ = name
    return hook(types)(fn)


def restore(stored):
    return hooks_from_dict(Fields({"hooks": stored}, "Turn"))


class TestFields:
    @pytest.mark.parametrize("kind", [dict, OrderedDict, lambda data: MappingProxyType(dict(data))])
    def test_reads_a_field_of_any_mapping(self, kind):
        assert Fields(kind([("name", "ada")]), "Agent").read("name", str) == "ada"

    @pytest.mark.parametrize("wrong", [None, 5, "name", ["name"]], ids=repr)
    def test_refuses_what_is_no_mapping(self, wrong):
        with pytest.raises(TypeError, match=r"^Agent.from_dict needs a dict as Agent.to_dict made it") as caught:
            Fields(wrong, "Agent")
        assert repr(wrong) in str(caught.value)

    def test_says_that_a_field_is_missing(self):
        with pytest.raises(ValueError, match=r"^Agent.from_dict: field 'name' is missing$"):
            Fields({}, "Agent").read("name", str)

    def test_gives_the_default_of_a_missing_field_only(self):
        assert Fields({}, "Agent").read("name", str, None) is None
        with pytest.raises(TypeError):
            Fields({"name": None}, "Agent").read("name", str, "ada")

    def test_says_what_a_field_must_be_and_is(self):
        with pytest.raises(TypeError, match=r"^Agent.from_dict: field 'name' must be str or None, not 5$"):
            Fields({"name": 5}, "Agent").read("name", (str, type(None)))

    def test_takes_no_boolean_for_a_number(self):
        fields = Fields({"limit": True}, "Memory")
        with pytest.raises(TypeError, match="'limit' must be int, not True"):
            fields.read("limit", int)
        assert fields.read("limit", bool) is True
        assert fields.read("limit", object) is True

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_reads_a_list_of_names(self, kind):
        names = kind(["a", "b"])
        read = Fields({"names": names}, "Agent").names("names")
        assert read == ["a", "b"]
        assert read is not names

    @pytest.mark.parametrize("wrong", ["ab", {"a": 1}, [1], ["a", None], None], ids=repr)
    def test_refuses_what_is_no_list_of_names(self, wrong):
        with pytest.raises(TypeError, match="field 'names' must be") as caught:
            Fields({"names": wrong}, "Agent").names("names")
        assert repr(wrong) in str(caught.value)


class TestHooks:
    def test_are_stored_by_the_value_of_each_type_in_list_order(self):
        hooks = [
            make("c", TurnHook.BEFORE_RUN),
            make("a", [TurnHook.AFTER_RUN, TurnHook.BEFORE_RUN]),
            make("b", TurnHook.BEFORE_RUN),
        ]
        stored = hooks_to_dict(hooks)
        assert stored == {"before_run": ["c", "a", "b"], "after_run": ["a"]}
        assert all(type(key) is str for key in stored)
        assert restore(stored) == hooks

    def test_are_stored_under_the_name_that_the_registry_finds_them_by(self):
        async def raw(turn): ...

        HookRegistry.register(raw, "trail", TurnHook.BEFORE_RUN)
        assert hooks_to_dict([raw]) == {"before_run": ["trail"]}
        assert restore({"before_run": ["trail"]}) == [raw]

    def test_that_are_not_registered_are_stored_under_their_own_name(self):
        one = make("one", TurnHook.BEFORE_RUN)
        HookRegistry.clear()
        assert hooks_to_dict([one]) == {"before_run": ["one"]}

    def test_what_is_none_cannot_be_stored(self):
        with pytest.raises(TypeError, match="'junk' is not a hook"):
            hooks_to_dict(["junk"])

    @pytest.mark.parametrize("stored", [None, {}, {"before_run": []}])
    def test_may_be_none(self, stored):
        assert restore(stored) == []
        assert hooks_from_dict(Fields({}, "Turn")) == []

    @pytest.mark.parametrize("wrong", [[], "one", 5])
    def test_refuses_what_is_no_dict(self, wrong):
        with pytest.raises(TypeError, match=r"^Turn.from_dict: field 'hooks' must be dict or None") as caught:
            restore(wrong)
        assert repr(wrong) in str(caught.value)

    @pytest.mark.parametrize("wrong", ["one", None, [1], {"one": 1}], ids=repr)
    def test_refuses_what_is_no_list_of_names(self, wrong):
        with pytest.raises(TypeError, match=r"^Turn.from_dict: field 'hooks' must hold lists of hook names") as caught:
            restore({"before_run": wrong})
        assert repr(wrong) in str(caught.value)

    @pytest.mark.parametrize("wrong", ["bogus", 5, "BEFORE_RUN"], ids=repr)
    def test_refuses_a_type_that_is_none(self, wrong):
        make("one", TurnHook.BEFORE_RUN)
        with pytest.raises(ValueError, match=r"^Turn.from_dict: field 'hooks' has an unknown hook type") as caught:
            restore({wrong: ["one"]})
        assert repr(wrong) in str(caught.value)

    def test_refuses_a_name_that_is_not_registered(self):
        with pytest.raises(UnregisteredHookError, match="'nobody'"):
            restore({"before_run": ["nobody"]})

    def test_refuses_orders_that_contradict_each_other(self):
        for name in "ab":
            make(name, [TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN])
        with pytest.raises(ValueError, match=r"^Turn.from_dict: field 'hooks' has orders that contradict") as caught:
            restore({"before_run": ["a", "b"], "after_run": ["b", "a"]})
        assert "'a'" in str(caught.value)

    @given(
        st.lists(
            st.lists(st.sampled_from(TYPES[:4]), min_size=1, max_size=5),
            min_size=1,
            max_size=5,
        ),
        st.data(),
    )
    def test_keep_the_order_of_each_type_through_a_round_trip(self, types, data):
        HookRegistry.clear()
        made = [make(name, own) for name, own in zip(string.ascii_lowercase, types, strict=False)]
        hooks = data.draw(st.lists(st.sampled_from(made), max_size=8), label="list of hooks")
        back = restore(hooks_to_dict(hooks))
        assert sorted(map(id, back)) == sorted(map(id, hooks))
        for one in TYPES[:4]:
            assert for_type(one, back) == for_type(one, hooks)
        assert hooks_to_dict(back) == hooks_to_dict(hooks)


def for_type(wanted, hooks):
    return [one for one in hooks if wanted in (one.type if isinstance(one.type, tuple) else (one.type,))]
