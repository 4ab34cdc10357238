"""Exceptions: what their messages say, what they are caught as, and that they survive a pickle."""

import copy
import pickle

import pytest

from pygents import errors

ARGUMENTS = {
    "ActorFailedError": ("Counter (urn:1)", "SystemExit(3)"),
    "AskCycleError": (("team/a", "b", "c"),),
    "HookTimeoutError": ("audit", 0.5),
    "MailboxFullError": ("Counter (urn:1)", 1000),
    "NoTurnError": ("Counter (urn:1)",),
    "SafeExecutionError": ("Cannot change property 'args' while the turn is running.",),
    "StartTimeoutError": ("team/writer", "on_start", 30.0),
    "SystemFailedError": ("shop",),
    "TooManyRestartsError": ("team", 3, 5.0),
    "TurnCancelledError": ("its consumer left",),
    "TurnDeniedError": ("not an admin",),
    "TurnTimeoutError": (0.25,),
    "UnregisteredAgentError": ("it's",),
    "UnregisteredHookError": ("audit",),
    "UnregisteredToolError": ("greet",),
    "WouldDeadlockError": ("Agent 'a'", "Agent 'b'"),
    "WrongRunMethodError": ("greet", "returning"),
}


def make(name: str) -> Exception:
    return getattr(errors, name)(*ARGUMENTS[name])


@pytest.mark.parametrize("name", errors.__all__)
class TestEveryError:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_comes_back_from_a_pickle_equal(self, name, protocol):
        error = make(name)
        back = pickle.loads(pickle.dumps(error, protocol))
        assert type(back) is type(error)
        assert str(back) == str(error)
        assert back.args == error.args
        assert vars(back) == vars(error)

    def test_keeps_its_notes_in_a_pickle(self, name):
        error = make(name)
        error.add_note("while the mailbox was closed")
        assert pickle.loads(pickle.dumps(error)).__notes__ == ["while the mailbox was closed"]

    def test_can_be_copied(self, name):
        error = make(name)
        for twin in (copy.copy(error), copy.deepcopy(error)):
            assert type(twin) is type(error)
            assert str(twin) == str(error)

    def test_has_a_message_with_each_value_it_carries(self, name):
        error = make(name)
        for value in ARGUMENTS[name][0] if name == "AskCycleError" else ARGUMENTS[name]:
            if name != "WrongRunMethodError" or value != "returning":
                assert str(value) in str(error)

    def test_says_when_it_is_raised(self, name):
        assert (getattr(errors, name).__doc__ or "").startswith("Raised ")


def test_a_timeout_is_caught_as_the_builtin_one_and_tells_the_seconds():
    error = errors.TurnTimeoutError(0.5)
    assert isinstance(error, TimeoutError)
    assert str(error) == "Turn timed out after 0.5s"
    assert error.timeout == 0.5
    assert str(errors.TurnTimeoutError(60)) == "Turn timed out after 60s"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (errors.UnregisteredToolError, "Tool"),
        (errors.UnregisteredAgentError, "Agent"),
        (errors.UnregisteredHookError, "Hook"),
    ],
)
def test_an_unknown_name_is_a_key_error_with_a_readable_message(kind, what):
    error = kind("gre'et")
    assert isinstance(error, KeyError)
    assert str(error).startswith(f"""{what} "gre'et" not found: """)
    assert error.name == "gre'et"


@pytest.mark.parametrize(
    ("method", "kind"), [("returning", "a coroutine function"), ("yielding", "an async generator")]
)
def test_the_wrong_run_method_error_names_the_right_one_with_parentheses(method, kind):
    error = errors.WrongRunMethodError("count", method)
    assert str(error) == f"Tool 'count' is {kind}: use {method}() instead"
    assert (error.tool, error.method) == ("count", method)


def test_a_cancelled_turn_is_no_cancellation_of_the_one_who_hears_of_it():
    error = errors.TurnCancelledError("the tool was stopped")
    assert isinstance(error, Exception)
    assert str(error) == "Turn cancelled: the tool was stopped"
    assert error.reason == "the tool was stopped"


def test_a_denial_tells_its_reason():
    error = errors.TurnDeniedError("not an admin")
    assert str(error) == "Turn denied: not an admin"
    assert error.reason == "not an admin"


def test_a_deadlock_error_names_both_sides_and_the_way_out():
    error = errors.WouldDeadlockError("Agent 'a'", "Agent 'b'")
    assert isinstance(error, RuntimeError)
    assert str(error).startswith("Agent 'a' would wait for ever for Agent 'b'")
    assert "ask_async()" in str(error)
    assert (error.waiting, error.target) == ("Agent 'a'", "Agent 'b'")


def test_an_actor_failure_names_the_actor_and_what_it_raised():
    error = errors.ActorFailedError("Counter", "SystemExit(3)")
    assert str(error) == "Counter failed with SystemExit(3) while it handled the message"
    assert (error.actor, error.failure) == ("Counter", "SystemExit(3)")
