"""How decisions add up, and which events take one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.deciding import applied, checked_decision, combined, is_final
from pygents.decisions import Deny, Replace, Skip
from pygents.hooks import AgentHook, MemoryHook, ToolHook, TurnHook

TAKE_ONE = [AgentHook.BEFORE_PUT, AgentHook.BEFORE_TURN, TurnHook.BEFORE_RUN, ToolHook.BEFORE_INVOKE]
TAKE_NONE = [one for kind in (TurnHook, AgentHook, ToolHook, MemoryHook) for one in kind if one not in TAKE_ONE]

args = st.none() | st.lists(st.integers(), max_size=2)
kwargs = st.none() | st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2)
replaces = (
    st.tuples(args, kwargs).filter(lambda given: given != (None, None)).map(lambda g: Replace(args=g[0], kwargs=g[1]))
)
decisions = st.none() | st.text(min_size=1).map(Deny) | st.integers().map(Skip) | replaces
arguments = st.tuples(st.lists(st.integers()), st.dictionaries(st.sampled_from("abc"), st.integers()))


class TestCombined:
    @given(decisions, decisions, decisions)
    def test_does_not_depend_on_which_are_combined_first(self, a, b, c):
        assert combined(combined(a, b), c) == combined(a, combined(b, c))

    @given(decisions)
    def test_with_none_is_the_other(self, decision):
        assert combined(None, decision) == combined(decision, None) == decision

    @given(decisions, decisions)
    def test_is_final_if_one_is_and_then_the_last_such(self, a, b):
        final = [one for one in (a, b) if is_final(one)]
        assert is_final(combined(a, b)) == bool(final)
        if final:
            assert combined(a, b) is final[-1]

    @given(replaces, replaces, arguments)
    def test_replaces_as_one_after_the_other_does(self, a, b, given):
        assert applied(combined(a, b), *given) == applied(b, *applied(a, *given))


class TestApplied:
    @given(st.none() | replaces, arguments)
    def test_gives_new_arguments_and_leaves_the_given_ones_alone(self, decision, given):
        before = ([*given[0]], {**given[1]})
        args, kwargs = applied(decision, *given)
        args.append("more")
        kwargs["more"] = 1
        assert given == before
        assert decision is None or decision == Replace(args=decision.args, kwargs=decision.kwargs)


class TestCheckedDecision:
    @pytest.mark.parametrize("event", TAKE_ONE)
    @pytest.mark.parametrize("decision", [None, Deny("no"), Skip(1), Replace(args=[])], ids=repr)
    def test_gives_what_the_hook_has_decided(self, event, decision):
        assert checked_decision(decision, "hook", event) is decision

    @pytest.mark.parametrize("event", TAKE_ONE)
    @pytest.mark.parametrize("odd", [True, False, 0, "no", [], Deny, Skip, PermissionError("no")], ids=repr)
    def test_refuses_anything_else_and_says_what_may_be_returned(self, event, odd):
        with pytest.raises(TypeError) as caught:
            checked_decision(odd, "hook", event)
        assert str(caught.value) == (
            f"'hook' returned {odd!r} for {event}: return a Deny, Skip or Replace, or None to go on"
        )

    @pytest.mark.parametrize("event", TAKE_NONE)
    @pytest.mark.parametrize("returned", [None, Deny("no"), "ignored"], ids=repr)
    def test_ignores_what_a_hook_for_another_event_returns(self, event, returned):
        assert checked_decision(returned, "hook", event) is None
