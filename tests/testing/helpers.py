"""What the tests of what is for tests share."""

import asyncio

import pytest

from pygents.actors import AsyncActor
from pygents.testing import SimulationFailedError, run, simulate

__all__ = ["Notes", "failure_of", "now", "standing"]


def now():
    return asyncio.get_running_loop().time()


def standing(test):
    """Run a test with time standing still."""

    def run_it(self):
        run(test(self), auto_advance=False)

    return run_it


def failure_of(scenario, **options) -> SimulationFailedError:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seed=options.pop("seed", 0), **options)
    return caught.value


class Notes(AsyncActor):
    """Notes its name, and the message, in a list."""

    def __init__(self, name, notes):
        super().__init__()
        self._name = name
        self._notes = notes

    def on_receive(self, message):
        self._notes.append((self._name, message))
