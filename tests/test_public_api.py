"""The public surface: which names there are, where they are defined, and what an import loads."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import pygents

TABLE = {
    "pygents.agent": {"Agent"},
    "pygents.turn": {"Turn", "StopReason"},
    "pygents.tool": {"tool", "Tool", "ToolMetadata"},
    "pygents.hooks": {
        "hook",
        "Hook",
        "HookMetadata",
        "HookType",
        "TurnHook",
        "AgentHook",
        "ToolHook",
        "MemoryHook",
    },
    "pygents.actors.shutdown_report": {"ShutdownReport"},
    "pygents.actors.system": {"ActorSystem"},
    "pygents.decisions": {"Deny", "Replace", "Skip"},
    "pygents.memory": {"Memory"},
    "pygents.steering": {"steering"},
    "pygents.registry": {"ToolRegistry", "AgentRegistry", "HookRegistry"},
}
TESTING = {
    "Faults",
    "InjectedFaultError",
    "LeftSimulationError",
    "Probe",
    "Record",
    "Simulation",
    "SimulationFailedError",
    "VirtualTimeLoop",
    "advance",
    "run",
    "simulate",
    "simulate_many",
    "wait_idle",
}
ERRORS = {
    "NoTurnError",
    "SafeExecutionError",
    "TurnCancelledError",
    "TurnDeniedError",
    "TurnTimeoutError",
    "UnregisteredAgentError",
    "UnregisteredHookError",
    "UnregisteredToolError",
    "WrongRunMethodError",
}
RUNTIME_ERRORS = {
    "ActorFailedError",
    "AskCycleError",
    "HookTimeoutError",
    "MailboxFullError",
    "StartTimeoutError",
    "SystemFailedError",
    "TooManyRestartsError",
    "WouldDeadlockError",
}
MODULES = ["pygents", *(module.name for module in pkgutil.walk_packages(pygents.__path__, "pygents."))]


def public(module):
    """Return the public classes and functions that a module defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", MODULES)
class TestEveryModule:
    def test_lists_its_names_sorted_and_once(self, name):
        names = importlib.import_module(name).__all__
        assert list(names) == sorted(set(names))

    def test_lists_every_public_name_that_it_defines(self, name):
        module = importlib.import_module(name)
        assert public(module) <= set(module.__all__)

    def test_has_every_name_that_it_lists(self, name):
        module = importlib.import_module(name)
        assert [one for one in module.__all__ if not hasattr(module, one)] == []


@pytest.mark.parametrize("name", TABLE)
def test_a_public_module_has_exactly_its_names(name):
    assert set(importlib.import_module(name).__all__) == TABLE[name]


def test_what_is_for_tests_is_in_a_module_that_is_imported_by_itself():
    assert set(importlib.import_module("pygents.testing").__all__) == TESTING
    assert set(pygents.__all__) & TESTING == set()


def test_the_errors_are_those_of_the_domain_and_of_the_runtime():
    assert set(importlib.import_module("pygents.errors").__all__) == ERRORS | RUNTIME_ERRORS


def test_the_package_has_everything_and_the_two_questions():
    names = set().union(*TABLE.values()) | ERRORS | {"current_agent", "current_turn"}
    assert set(pygents.__all__) == names
    for module, own in [*TABLE.items(), ("pygents.errors", ERRORS)]:
        for name in own:
            assert getattr(pygents, name) is getattr(importlib.import_module(module), name)


def test_a_star_import_gives_what_is_listed():
    namespace = {}
    exec("from pygents import *", namespace)  # noqa: S102 (the statement under test)
    assert set(namespace) - {"__builtins__"} == set(pygents.__all__)


@pytest.mark.parametrize(
    ("cls", "signature"),
    [
        (pygents.Turn, "tool args kwargs timeout metadata hooks"),
        (pygents.Agent, "name description tools mailbox"),
        (pygents.Memory, "limit hooks"),
        (pygents.ToolMetadata, "name description start_time end_time"),
        (pygents.HookMetadata, "name description start_time end_time"),
        (pygents.Memory.branch, "self limit hooks"),
        (pygents.Agent.branch, "self name description tools hooks"),
        (pygents.Agent.send_turn, "self agent_name turn"),
        (pygents.Agent.put, "self turn"),
        (pygents.HookRegistry.register, "hook name hook_type"),
        (pygents.HookRegistry.get_by_type, "hook_type hooks"),
    ],
)
def test_programs_may_name_their_arguments(cls, signature):
    assert list(inspect.signature(cls).parameters) == signature.split()


def test_the_package_tells_type_checkers_that_it_is_typed():
    from importlib.resources import files  # noqa: PLC0415

    assert files("pygents").joinpath("py.typed").is_file()


def test_an_import_loads_the_standard_library_and_pykka_only():
    program = """
import sys
before = set(sys.modules)
import pygents
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - set(sys.stdlib_module_names)), "pygents.testing" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pygents", "pykka", "False"]


def test_an_import_starts_no_thread_and_writes_nothing():
    program = "import threading, pygents; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
