"""The exceptions of a simulation: that they survive a pickle, and say what to do."""

import pickle

import pytest

from pygents.testing import InjectedFaultError, LeftSimulationError, Record, SimulationFailedError

RECORD = Record(at=1.5, path="team/ann", kind="message", text="'tea'")


@pytest.mark.parametrize(
    "error",
    [
        InjectedFaultError("team/ann"),
        LeftSimulationError("time.sleep was called", "Use `await asyncio.sleep()`"),
        SimulationFailedError("scenario", 7, "LookupError: no tea", (RECORD,), True),
    ],
    ids=lambda error: type(error).__name__,
)
class TestEveryError:
    def test_comes_back_from_a_pickle_equal(self, error):
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error)
        assert str(back) == str(error)
        assert vars(back) == vars(error)

    def test_has_a_message_with_the_texts_that_it_carries(self, error):
        for value in error.args:
            if isinstance(value, str):
                assert value in str(error)

    def test_says_when_it_is_raised(self, error):
        assert type(error).__doc__.startswith("Raised ")


def test_a_failure_without_a_trace_says_nothing_of_one():
    error = SimulationFailedError("scenario", 7, "LookupError: no tea", ())
    assert str(error) == "LookupError: no tea\nIt happens again in simulate(scenario, seed=7)."
