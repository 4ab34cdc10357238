"""What a hook may decide: plain values, which refuse what they cannot mean."""

import copy
import pickle
from dataclasses import FrozenInstanceError
from types import MappingProxyType

import pytest

from pygents.decisions import Deny, Replace, Skip

DECISIONS = [
    Deny("no"),
    Skip(None),
    Skip([1]),
    Replace(args=[1, "a"]),
    Replace(kwargs={"a": 1}),
    Replace(args=(), kwargs={}),
]


@pytest.mark.parametrize("decision", DECISIONS, ids=repr)
class TestEveryDecision:
    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
    def test_comes_back_equal_from_a_copy_and_a_pickle(self, decision, duplicate):
        twin = duplicate(decision)
        assert type(twin) is type(decision)
        assert twin == decision

    def test_says_in_its_repr_how_to_make_it(self, decision):
        assert eval(repr(decision)) == decision  # noqa: S307 (our own)

    def test_cannot_be_changed(self, decision):
        with pytest.raises((FrozenInstanceError, TypeError)):
            decision.reason = "yes"


class TestDeny:
    @pytest.mark.parametrize("wrong", [None, 5, b"no", PermissionError("no")], ids=repr)
    def test_refuses_a_reason_that_is_no_string(self, wrong):
        with pytest.raises(TypeError, match="reason must be a string that says why, not ") as caught:
            Deny(wrong)
        assert repr(wrong) in str(caught.value)

    def test_refuses_an_empty_reason(self):
        with pytest.raises(ValueError, match="reason must say why, for people, not ''"):
            Deny("")


class TestReplace:
    def test_takes_copies(self):
        args, kwargs = [1], {"a": 2}
        decision = Replace(args=args, kwargs=kwargs)
        args.append(3)
        kwargs.clear()
        assert decision == Replace(args=(1,), kwargs=MappingProxyType({"a": 2}))
        assert (decision.args, decision.kwargs) == ((1,), {"a": 2})

    def test_leaves_out_what_is_not_given(self):
        assert Replace(args=[]).kwargs is None
        assert Replace(kwargs={}).args is None

    def test_must_replace_something(self):
        with pytest.raises(ValueError, match=r"replaces nothing: give args or kwargs, or return None"):
            Replace()

    def test_takes_its_arguments_by_name_only(self):
        with pytest.raises(TypeError, match="positional"):
            Replace([1], {})

    @pytest.mark.parametrize("wrong", ["ab", b"ab", 5, {1}, {"a": 1}, range(2), iter([1])], ids=repr)
    def test_refuses_args_that_are_no_list(self, wrong):
        with pytest.raises(TypeError, match="args must be a list or tuple of all positional arguments, not ") as caught:
            Replace(args=wrong)
        assert repr(wrong) in str(caught.value)

    @pytest.mark.parametrize("wrong", ["ab", 5, [("a", 1)], {"a"}], ids=repr)
    def test_refuses_kwargs_that_are_no_dict(self, wrong):
        with pytest.raises(TypeError, match="kwargs must be a dict of all keyword arguments, not ") as caught:
            Replace(kwargs=wrong)
        assert repr(wrong) in str(caught.value)

    def test_refuses_keys_that_are_no_names(self):
        with pytest.raises(TypeError, match="kwargs must have names as keys, not 1"):
            Replace(kwargs={"a": 0, 1: 2})
