"""Faults: what may go wrong in a simulation, and how often; and the chance that decides where it does.

It knows neither systems nor agents: what a handler is, and how it is cut, is for others to say.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import cast

from pygents.testing.errors import InjectedFaultError
from pygents.testing.trace import Tracer, stable

__all__ = ["Faults", "Mishaps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What may go wrong whenever an actor handles a message. For an agent's turn it is the tool that it befalls.

    Raises:
        TypeError: if a field is of the wrong type
        ValueError: if a probability is not from 0 to 1, `longest` not a positive number, or there is no error

    """

    raising: float = 0.0
    """How probable it is that one of `errors` is raised: before the handler runs, or when it has."""
    delaying: float = 0.0
    """How probable it is that the handler begins later."""
    cancelling: float = 0.0
    """How probable it is that the handler is cancelled and its actor restarted, as it may be when a sibling fails: the
    message is handled again. It does not befall temporary children."""
    longest: float = 1.0
    """Virtual seconds that a delay takes at the most, and a handler runs before it is cancelled."""
    errors: Sequence[Callable[[], BaseException]] = ()
    """What is raised: classes of exceptions, or functions that make one; if empty, an `InjectedFaultError`."""
    only: Sequence[str] = ("*",)
    """Patterns of the paths that faults befall, such as ``"team/*"``, as of ``fnmatch``."""

    def __post_init__(self) -> None:
        for name in ("raising", "delaying", "cancelling"):
            value: float = getattr(self, name)
            if not 0 <= _number(name, value) <= 1:
                msg = f"{name} is a probability, from 0 to 1, not {value!r}"
                raise ValueError(msg)
        if not 0 < _number("longest", self.longest) < math.inf:
            msg = f"longest is a number of seconds above zero, not {self.longest!r}"
            raise ValueError(msg)
        patterns = cast("Sequence[object]", self.only)
        if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
            msg = f"only is a list of patterns, not {self.only!r}"
            raise TypeError(msg)
        if not all(callable(make) for make in self.errors):
            msg = f"errors are classes of exceptions, or functions that make one, not {self.errors!r}"
            raise TypeError(msg)

    def concern(self, path: str) -> bool:
        """Return whether they befall the actor at a path."""
        return any(fnmatchcase(path, pattern) for pattern in self.only)


class Mishaps:
    """The faults of one simulation, as chance has them.

    Args:
        faults: what may go wrong
        chance: decides
        trace: is told what does

    """

    def __init__(self, faults: Faults, chance: Random, trace: Tracer) -> None:
        self._faults = faults
        self._chance = chance
        self._trace = trace

    async def strike(self, path: str) -> bool:
        """Do what befalls a handler before it runs, and return whether it is to fail when it has.

        Raises:
            BaseException: a fault

        """
        faults, chance = self._faults, self._chance
        if not faults.concern(path):
            return False
        if chance.random() < faults.delaying:
            seconds = chance.uniform(0, faults.longest)
            self._trace.note_fault(path, f"begins {seconds:.6f} seconds later")
            await asyncio.sleep(seconds)
        if chance.random() >= faults.raising:
            return False
        if _tossed(chance):
            raise self.error(path)
        return True

    def error(self, path: str) -> BaseException:
        """Return what is raised as a fault."""
        makers = self._faults.errors
        error = self._chance.choice(makers)() if makers else InjectedFaultError(path)
        self._trace.note_fault(path, f"raises {stable(error)}")
        return error

    def seconds_to_cancellation(self, path: str) -> float | None:
        """Return after how many seconds a handler is to be cancelled, or None; often it is at once."""
        faults, chance = self._faults, self._chance
        if not faults.concern(path) or chance.random() >= faults.cancelling:
            return None
        return 0.0 if _tossed(chance) else chance.uniform(0, faults.longest)


def _tossed(chance: Random) -> bool:
    return chance.random() < 0.5  # noqa: PLR2004 (a coin)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} is a number, not {value!r}"
        raise TypeError(msg)
    return value
