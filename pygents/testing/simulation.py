"""Simulations: a scenario and everything that it spawns, on one thread and virtual time, as one number has it.

One runs at a time in a process, since some of what it needs to itself is the process's: the numbers of ``random``,
which are the seed's meanwhile; the garbage collector, which rests, since nobody knows when it would run the finalizers
of what it finds; the borders; and the functions of tools.
"""

import asyncio
import gc
import random
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import cast

from pygents.actors.checks import checked, checked_limit
from pygents.actors.supervision import Supervision
from pygents.actors.system import ActorSystem
from pygents.testing.borders import closed_borders
from pygents.testing.errors import SimulationFailedError
from pygents.testing.faults import Faults, Mishaps
from pygents.testing.laws import Laws
from pygents.testing.rest import busy_in
from pygents.testing.simulated_system import SimulatedSystem
from pygents.testing.simulation_loop import SimulationLoop
from pygents.testing.trace import Record, Tracer
from pygents.testing.watchdog import watched

__all__ = ["Simulation", "simulate", "simulate_many"]

type Scenario[T] = Callable[[ActorSystem], Awaitable[T]]

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation[T]:
    """A simulation that went well."""

    seed: int
    """The number that it came from."""
    returned: T
    """What the scenario returned."""
    trace: tuple[Record, ...]
    """Every message that was handled, and every event: the same for the same seed, in any process."""
    seconds: float
    """How long it took, in virtual seconds."""
    steps: int
    """How many iterations of the loop it took."""


def simulate[T](
    scenario: Scenario[T],
    *,
    seed: int,
    faults: Faults | None = None,
    supervision: Supervision | None = None,
    max_steps: int = 1_000_000,
    stall_after: float | None = 10.0,
) -> Simulation[T]:
    """Run a scenario, and all that it spawns, on one thread and virtual time; the seed decides what is left open.

    That is the order in which actors come to their messages, also those that have a thread of their own elsewhere; the
    order of timers that are due together; where faults strike; and the numbers of ``random``. When the scenario has
    returned, what is queued is handled, and the system ends. Each actor must have handled one message at a time, and
    every message must have come to an end: it was handled or answered, or is a dead letter.

    Args:
        scenario: an async function that is given the actor system, an empty one
        seed: any number from 0
        faults: what may go wrong, if anything
        supervision: what is done about failures of the children of the system's root
        max_steps: iterations of the loop that it may take
        stall_after: real seconds that code may go on without giving the loop a turn, up to twice that; None for no
            limit. Only on the main thread, and where there is a ``SIGALRM``, does anybody watch

    Raises:
        SimulationFailedError: if the scenario raises, waits for what cannot come, goes on for ever, blocks the thread
            or leaves it, or if something is broken that the runtime promises; its cause says what
        RuntimeError: if this thread runs an event loop
        TypeError: if an argument is of the wrong type
        ValueError: if the seed is below 0, or a limit not above

    """
    _check_limits(seed, max_steps, stall_after)
    _check_options(faults, supervision)
    stage = _Stage(seed, faults, supervision, max_steps)
    with _one_at_a_time, _numbers_of(seed), _no_collection():
        returned, failure = stage.perform(scenario, stall_after)
    if failure is not None:
        name: str = getattr(scenario, "__qualname__", repr(scenario))
        reason, trace = stage.reason_for(failure), stage.tracer.records
        raise SimulationFailedError(name, seed, reason, trace, faults is not None) from failure
    seconds, steps = stage.loop.time(), stage.loop.steps
    return Simulation(seed=seed, returned=cast("T", returned), trace=stage.tracer.records, seconds=seconds, steps=steps)


def simulate_many(
    scenario: Scenario[object],
    seeds: Iterable[int] = range(500),
    *,
    faults: Faults | None = None,
    supervision: Supervision | None = None,
    max_steps: int = 1_000_000,
    stall_after: float | None = 10.0,
) -> None:
    """Simulate a scenario with one seed after the other, the smallest one first, until it fails.

    Args:
        scenario: as for `simulate`
        seeds: which
        faults: as for `simulate`
        supervision: as for `simulate`
        max_steps: as for `simulate`
        stall_after: as for `simulate`

    Raises:
        SimulationFailedError: for the smallest seed with which it fails
        Exception: as `simulate`

    """
    for seed in sorted(seeds):
        simulate(
            scenario,
            seed=seed,
            faults=faults,
            supervision=supervision,
            max_steps=max_steps,
            stall_after=stall_after,
        )


class _Stage:
    """Where one simulation takes place."""

    def __init__(self, seed: int, faults: Faults | None, supervision: Supervision | None, max_steps: int) -> None:
        self._busy = ""
        # Numbers of their own for each purpose: what one of them takes does not move the others.
        self.loop = loop = SimulationLoop(random.Random(f"{seed} order"), max_steps)  # noqa: S311 (no secret)
        self.tracer = Tracer(loop.time)
        chance = random.Random(f"{seed} faults")  # noqa: S311 (no secret)
        mishaps = None if faults is None else Mishaps(faults, chance, self.tracer)
        self._laws = Laws(lambda text: loop.end_with(AssertionError(text)))
        self._system = SimulatedSystem(self.tracer, self._laws, mishaps, supervision)

    def perform[T](self, scenario: Scenario[T], stall_after: float | None) -> tuple[T | None, BaseException | None]:
        """Run a scenario, and return what it gave, or why it has failed."""
        loop, returned = self.loop, None
        try:
            with (
                closed_borders(loop),
                watched(loop, stall_after),
                asyncio.Runner(loop_factory=lambda: loop) as runner,
            ):
                try:
                    returned = runner.run(self._play(scenario))
                except BaseException as error:
                    loop.end_with(error)  # what comes of its end, then, is no longer of interest
                    raise
                finally:
                    self._leave()
            self._laws.check_end(self._system)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (the outcome)
            loop.end_with(error)
        return returned, loop.failure

    async def _play[T](self, scenario: Scenario[T]) -> T:
        async with self._system as system:
            outcome = scenario(system)
            if not isawaitable(cast("object", outcome)):
                msg = f"a scenario is an async function, and {scenario!r} is none"
                raise TypeError(msg)
            return await outcome

    def _leave(self) -> None:
        """Take down how things are, before asyncio ends what is left."""
        self._busy = busy_in(self._system)
        self.tracer.close()
        self.loop.give_up_soon()
        self._system.give_tools_back()

    def reason_for(self, failure: BaseException) -> str:
        """Return what has failed, and who was busy then."""
        busy = f"\nBusy: {self._busy}" if self._busy else ""
        return f"{_told(failure)}{busy}"


def _told(failure: BaseException) -> str:
    """Return what has failed, and why, as far as that says."""
    told = f"{type(failure).__name__}: {failure}"
    if isinstance(failure, BaseExceptionGroup):
        inside = cast("BaseExceptionGroup[BaseException]", failure).exceptions
        return f"{told}: {'; '.join(map(_told, inside))}"
    return told if failure.__cause__ is None else f"{told}, because of {_told(failure.__cause__)}"


@contextmanager
def _numbers_of(seed: int) -> Generator[None]:
    """Have ``random`` give the numbers of a seed; afterwards it goes on as if it had not been asked."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _no_collection() -> Generator[None]:
    """Keep the garbage collector from running by itself."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _check_limits(seed: object, max_steps: object, stall_after: float | None) -> None:
    for name, number, least in (("seed", seed, 0), ("max_steps", max_steps, 1)):
        if isinstance(number, bool) or not isinstance(number, int):
            msg = f"{name} is a whole number, not {number!r}"
            raise TypeError(msg)
        if number < least:
            msg = f"{name} is at least {least}, not {number!r}"
            raise ValueError(msg)
    checked_limit("stall_after", stall_after)


def _check_options(faults: Faults | None, supervision: Supervision | None) -> None:
    if faults is not None:
        checked("faults", faults, Faults)
    if supervision is not None:
        checked("supervision", supervision, Supervision)
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 (documented; None, not an error)
        msg = "a simulation has an event loop of its own: call simulate() from a plain function"
        raise RuntimeError(msg)
