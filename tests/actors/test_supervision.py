"""Supervision: directives, the restart window and backoff, as values."""

import asyncio
import itertools
import logging
import re
from functools import partial
from inspect import CORO_CLOSED, getcoroutinestate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.actors.supervision import (
    Backoff,
    BackoffClock,
    Directive,
    RestartWindow,
    Strategy,
    Supervision,
)

seconds = st.floats(0, 1000, allow_nan=False)


class TestDirectiveFor:
    def test_is_restart_unless_something_else_is_said(self):
        assert Supervision().directive_for(ValueError()) is Directive.RESTART
        assert Supervision(decide={}).directive_for(ValueError()) is Directive.RESTART
        assert Supervision(decide={KeyError: Directive.STOP}).directive_for(ValueError()) is Directive.RESTART

    @pytest.mark.parametrize("order", list(itertools.permutations([Exception, LookupError, KeyError])))
    def test_is_that_of_the_most_specific_class_whatever_their_order(self, order):
        directives = {Exception: Directive.STOP, LookupError: Directive.RESUME, KeyError: Directive.RETRY}
        supervision = Supervision(decide={kind: directives[kind] for kind in order})
        assert supervision.directive_for(KeyError()) is Directive.RETRY
        assert supervision.directive_for(IndexError()) is Directive.RESUME
        assert supervision.directive_for(OSError()) is Directive.STOP

    def test_of_a_class_with_several_bases_is_that_of_the_first_in_its_method_resolution_order(self):
        class BothError(ConnectionError, LookupError): ...

        decide = {LookupError: Directive.STOP, OSError: Directive.RESUME}
        assert Supervision(decide=decide).directive_for(BothError()) is Directive.RESUME

    def test_may_be_a_functions(self):
        supervision = Supervision(decide=lambda failure: Directive(failure.args[0]))
        assert supervision.directive_for(ValueError("escalate")) is Directive.ESCALATE

    @pytest.mark.parametrize("decide", [lambda failure: 1 / 0, lambda failure: "stop", lambda failure: None])
    def test_is_restart_and_logged_where_the_function_does_not_say(self, decide, caplog):
        with caplog.at_level(logging.ERROR, "pygents.actors"):
            assert Supervision(decide=decide).directive_for(ValueError("v")) is Directive.RESTART
        (record,) = caplog.records
        assert "so it is RESTART" in record.getMessage()
        assert "ValueError('v')" in record.getMessage()

    @pytest.mark.parametrize("raised", [asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit])
    def test_is_restart_and_logged_whatever_the_function_raises(self, raised, caplog):
        def decide(failure):
            raise raised

        assert Supervision(decide=decide).directive_for(ValueError("v")) is Directive.RESTART
        assert [record.exc_info[0] for record in caplog.records] == [raised]

    def test_is_restart_and_logged_where_the_function_gives_a_coroutine_which_is_closed(self, caplog):
        async def say():
            return Directive.STOP

        coroutine = say()
        assert Supervision(decide=lambda _: coroutine).directive_for(ValueError("v")) is Directive.RESTART
        assert "which is no Directive, so it is RESTART" in caplog.text
        assert getcoroutinestate(coroutine) == CORO_CLOSED

    def test_does_not_change_with_the_mapping_it_was_made_of(self):
        decide = {ValueError: Directive.STOP}
        supervision = Supervision(decide=decide)
        decide.clear()
        assert supervision.directive_for(ValueError()) is Directive.STOP


@pytest.mark.parametrize(
    ("field", "wrong", "error"),
    [
        ("strategy", "one_for_one", TypeError),
        ("max_restarts", -1, ValueError),
        ("max_restarts", True, TypeError),
        ("max_restarts", 1.5, TypeError),
        ("within", 0, ValueError),
        ("within", "5", TypeError),
        ("within", float("nan"), ValueError),
        ("max_attempts", 0, ValueError),
        ("backoff", 1, TypeError),
        ("decide", Directive.STOP, TypeError),
        ("decide", ValueError, TypeError),
    ],
)
def test_a_wrong_supervision_is_refused_with_the_fields_name_and_value(field, wrong, error):
    with pytest.raises(error, match=f"^{field} must be .*, not {re.escape(repr(wrong))}$"):
        Supervision(**{field: wrong})


async def decide_later(failure):
    return Directive.STOP


class DecidesLater:
    async def __call__(self, failure):
        return Directive.STOP


@pytest.mark.parametrize("wrong", [decide_later, partial(decide_later, failure=None), DecidesLater()])
def test_a_coroutine_function_cannot_decide(wrong):
    with pytest.raises(TypeError, match=f"^decide must be .* plain function.*, not {re.escape(repr(wrong))}$"):
        Supervision(decide=wrong)


@pytest.mark.parametrize(
    ("kind", "directive", "named"),
    [("ValueError", Directive.STOP, "ValueError"), (int, Directive.STOP, int), (ValueError, "stop", "stop")],
)
def test_a_mapping_of_something_else_is_refused_with_what_is_wrong_in_it(kind, directive, named):
    with pytest.raises(TypeError, match=f"^decide.* must be .*, not {re.escape(repr(named))}$"):
        Supervision(decide={kind: directive})


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": 0},
        {"initial": -1},
        {"maximum": 0.01},
        {"maximum": float("inf")},
        {"factor": 0.5},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"jitter": "x"},
    ],
    ids=str,
)
def test_a_wrong_backoff_is_refused_with_the_fields_name_and_value(wrong):
    ((field, value),) = wrong.items()
    with pytest.raises((ValueError, TypeError), match=f"^{field} must be .*, not {re.escape(repr(value))}$"):
        Backoff(**wrong)


class TestRestartWindow:
    @given(st.integers(0, 5), st.floats(0.1, 100), st.lists(seconds, max_size=30))
    def test_admits_a_restart_unless_there_were_too_many_within_the_seconds_before(self, limit, within, moments):
        window = RestartWindow(limit, within)
        asked = []
        for now in sorted(moments):
            asked.append(now)
            recent = [then for then in asked if now - then <= within]
            assert window.admits(now) == (len(recent) <= limit)

    def test_forgets_what_is_long_ago(self):
        window = RestartWindow(1, 5.0)
        assert [window.admits(now) for now in (0, 6, 12, 18)] == [True] * 4
        assert len(window._restarts) == 1


class TestBackoff:
    @given(
        st.floats(0.001, 10),
        st.floats(1, 100),
        st.floats(1, 10),
        st.floats(0, 1),
        st.integers(1, 10_000),
        st.floats(0, 1),
    )
    def test_grows_up_to_its_maximum_and_chance_takes_off_no_more_than_the_jitter(
        self, initial, times, factor, jitter, restart, chance
    ):
        backoff = Backoff(initial=initial, maximum=initial * times, factor=factor, jitter=jitter)
        longest = backoff.delay(restart, 0)
        assert longest <= backoff.maximum
        assert longest <= backoff.delay(restart + 1, 0)
        assert longest * (1 - jitter) * (1 - 1e-9) <= backoff.delay(restart, chance) <= longest

    def test_doubles_by_default(self):
        backoff = Backoff(initial=0.5, maximum=3)
        assert [backoff.delay(restart, 0) for restart in (1, 2, 3, 4, 5)] == [0.5, 1, 2, 3, 3]


class TestBackoffClock:
    def test_grows_from_restart_to_restart(self):
        clock = BackoffClock(Backoff(initial=1, maximum=10))
        assert [clock.next_delay(now, 0) for now in (0, 1, 3)] == [1, 2, 4]

    def test_begins_anew_after_a_quiet_time_of_its_maximum(self):
        clock = BackoffClock(Backoff(initial=1, maximum=10))
        assert [clock.next_delay(now, 0) for now in (0, 1)] == [1, 2]
        assert clock.next_delay(3 + 10, 0) == 1

    def test_does_not_count_the_wait_as_quiet_time(self):
        clock = BackoffClock(Backoff(initial=8, maximum=10))
        assert clock.next_delay(0, 0) == 8
        assert clock.next_delay(8 + 9.9, 0) == 10


def test_the_defaults_are_those_of_a_patient_supervisor():
    supervision = Supervision()
    assert (supervision.strategy, supervision.backoff, supervision.decide) == (Strategy.ONE_FOR_ONE, None, None)
    assert (supervision.max_restarts, supervision.within, supervision.max_attempts) == (3, 5.0, 3)
