"""Supervision: what becomes of an actor that has failed. Policy only: it applies nothing, and knows no actor.

The terms are those of Erlang/OTP's ``supervisor`` (strategy, restart type, restart intensity) and of Akka's supervisor
strategies (directive, backoff). Everything here is a value, apart from `RestartWindow` and `BackoffClock`, which one
supervisor keeps and touches on its own loop alone.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from inspect import iscoroutine, iscoroutinefunction
from sys import float_info
from typing import cast

from pygents.actors.answers import log, show
from pygents.actors.checks import checked, checked_count, checked_number, checked_seconds

__all__ = ["Backoff", "BackoffClock", "Directive", "Restart", "RestartWindow", "Strategy", "Supervision"]


class Strategy(Enum):
    """Which children are stopped and started again when one of them is restarted."""

    ONE_FOR_ONE = "one_for_one"
    """That child alone."""
    ONE_FOR_ALL = "one_for_all"
    """All children of the supervisor."""
    REST_FOR_ONE = "rest_for_one"
    """That child and those that were started after it."""


class Restart(Enum):
    """When a child that has ended is started again, as in OTP's child specification."""

    PERMANENT = "permanent"
    """Always, also when it ends itself; not when it is stopped from outside."""
    TRANSIENT = "transient"
    """When it has failed."""
    TEMPORARY = "temporary"
    """Never, not even when a sibling's failure took it down."""


class Directive(Enum):
    """What is done about a failure."""

    RESUME = "resume"
    """The message is spent; the actor goes on as it is."""
    RETRY = "retry"
    """The same message again, ahead of all others."""
    RESTART = "restart"
    """The message is spent; a fresh actor goes on with the rest."""
    STOP = "stop"
    """The message is spent, and the actor ends."""
    ESCALATE = "escalate"
    """The supervisor fails with this failure, and its own supervisor decides."""


type Decide = Mapping[type[BaseException], Directive] | Callable[[BaseException], Directive]
"""A directive for each class of exceptions, or a quick plain function that gives one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before a child is started again, while its messages wait in its mailbox.

    Raises:
        ValueError: if the times are not above zero, `maximum` is below `initial`, `factor` below 1 or `jitter` not
            between 0 and 1

    """

    initial: float = 0.1
    """Seconds before the first restart."""
    maximum: float = 30.0
    """Seconds that no wait exceeds. After so long without a restart, waits begin with `initial` again."""
    factor: float = 2.0
    """How many times longer each wait is than the one before."""
    jitter: float = 0.1
    """The part of a wait that chance may take off it, so that children that fail together do not return together."""

    def __post_init__(self) -> None:
        checked_seconds("initial", self.initial)
        checked_seconds("maximum", self.maximum)
        checked_number("maximum", self.maximum, f"at least initial, {self.initial!r}", least=self.initial)
        checked_number("factor", self.factor, "a number of at least 1", least=1, most=float_info.max)
        checked_number("jitter", self.jitter, "a number between 0 and 1", least=0, most=1)

    def delay(self, restart: int, chance: float) -> float:
        """Return the seconds to wait.

        Args:
            restart: which restart in a row it is, from 1
            chance: a random number from 0 to 1

        """
        return min(self._grown(restart - 1), self.maximum) * (1 - self.jitter * chance)

    def _grown(self, times: int) -> float:
        try:
            return float(self.initial * self.factor**times)
        except OverflowError:
            return math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What a supervisor does about the failures of its children.

    Raises:
        TypeError: if a field is of the wrong type
        ValueError: if a number is out of its range

    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    """Which children are restarted."""
    max_restarts: int = 3
    """Restarts within `within` seconds that are put up with; one more, and the supervisor fails."""
    within: float = 5.0
    """The seconds in which `max_restarts` are counted."""
    backoff: Backoff | None = None
    """How long to wait before each restart; None for not at all."""
    decide: Decide | None = None
    """The directive for a failure; without one, and for what a mapping does not name, it is RESTART."""
    max_attempts: int = 3
    """How many times one message is run at the most, whatever asks for it again."""

    def __post_init__(self) -> None:
        checked("strategy", self.strategy, Strategy)
        checked_count("max_restarts", self.max_restarts, least=0)
        checked_seconds("within", self.within)
        if self.backoff is not None:
            checked("backoff", self.backoff, Backoff)
        checked_count("max_attempts", self.max_attempts, least=1)
        object.__setattr__(self, "decide", _checked_decide(self.decide))

    def directive_for(self, failure: BaseException) -> Directive:
        """Return what to do about a failure; a `decide` that does not say so is logged, and RESTART it is."""
        decide = self.decide
        if decide is None:
            return Directive.RESTART
        if not isinstance(decide, Mapping):
            return _asked(decide, failure)
        table = cast("Mapping[type, Directive]", decide)
        return next((table[kind] for kind in type(failure).__mro__ if kind in table), Directive.RESTART)


@dataclass(slots=True)
class RestartWindow:
    """The restarts of the last seconds, as OTP counts its restart intensity."""

    max_restarts: int
    """Restarts that are put up with."""
    within: float
    """The seconds in which they are counted."""
    _restarts: deque[float] = field(default_factory=deque)

    def admits(self, now: float) -> bool:
        """Count a restart at `now`, in seconds, and return whether it is put up with."""
        self._restarts.append(now)
        while now - self._restarts[0] > self.within:
            self._restarts.popleft()
        return len(self._restarts) <= self.max_restarts


@dataclass(slots=True)
class BackoffClock:
    """Which restart in a row the next one is."""

    backoff: Backoff | None
    """How long to wait; None for not at all."""
    _restarts: int = 0
    _latest: float = -math.inf

    def next_delay(self, now: float, chance: float) -> float:
        """Count a restart that is asked for at `now`, and return the seconds to wait before it.

        The wait itself is not quiet time: that is counted from its end.
        """
        backoff = self.backoff
        if backoff is None:
            return 0.0
        if now - self._latest >= backoff.maximum:
            self._restarts = 0
        self._restarts += 1
        delay = backoff.delay(self._restarts, chance)
        self._latest = now + delay
        return delay


def _asked(decide: Callable[[BaseException], object], failure: BaseException) -> Directive:
    try:
        directive = decide(failure)
    except BaseException as error:  # noqa: BLE001 (a cancellation, say, would end the actor, or its loop)
        log(logging.ERROR, "decide raised for %s, so it is RESTART:", show(failure), error=error)
        return Directive.RESTART
    if isinstance(directive, Directive):
        return directive
    if iscoroutine(directive):
        directive.close()  # nobody awaits it
    text = "decide gave %s for %s, which is no Directive, so it is RESTART"
    log(logging.ERROR, text, show(directive), show(failure))
    return Directive.RESTART


def _checked_decide(decide: object) -> object:
    if isinstance(decide, Mapping):
        table = dict(cast("Mapping[object, object]", decide))
        for kind, directive in table.items():
            _check_rule(kind, directive)
        return table
    if decide is None or (callable(decide) and not isinstance(decide, type) and not _is_async(decide)):
        return decide
    msg = f"decide must be a mapping from exception classes, a plain function, or None, not {decide!r}"
    raise TypeError(msg)


def _is_async(function: Callable[..., object]) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


def _check_rule(kind: object, directive: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        msg = f"decide must be keyed by classes of exceptions, not {kind!r}"
        raise TypeError(msg)
    checked(f"decide[{kind.__name__}]", directive, Directive)
