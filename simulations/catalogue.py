"""All scenarios, each with what may go wrong in it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from pygents.actors.supervision import Supervision
from pygents.actors.system import ActorSystem
from pygents.testing import Faults, Simulation, simulate, simulate_many
from simulations import pipeline, pool, team

__all__ = ["CASES", "Case"]

ROOT = Supervision(max_restarts=1_000_000, within=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A scenario, and how it is simulated."""

    scenario: Callable[[ActorSystem], Awaitable[None]]
    """What happens, but for chance."""
    faults: Faults
    """What may go wrong."""

    def simulate(self, seed: int) -> Simulation[None]:
        """Simulate it with one seed."""
        return simulate(self.scenario, seed=seed, faults=self.faults, supervision=ROOT)

    def simulate_many(self, seeds: Iterable[int]) -> None:
        """Simulate it with several seeds, until it fails."""
        simulate_many(self.scenario, seeds, faults=self.faults, supervision=ROOT)


CASES = {
    "pipeline": Case(scenario=pipeline.pipeline, faults=pipeline.FAULTS),
    "pool": Case(scenario=pool.pool, faults=pool.FAULTS),
    "team": Case(scenario=team.team, faults=team.FAULTS),
}
