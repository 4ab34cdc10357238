"""SimulatedDispatcher: where every actor of a simulation lives, also one that has a thread of its own elsewhere."""

from collections.abc import Callable
from typing import cast, override

from pygents.actors.dispatcher import LoopDispatcher
from pygents.actors.loops import LoopEndedError
from pygents.testing.simulation_loop import SimulationLoop

__all__ = ["SimulatedDispatcher"]

_THROUGHPUTS = 1, 2, LoopDispatcher.throughput


class SimulatedDispatcher(LoopDispatcher):
    """A `SimulationLoop`; chance decides how many messages an activation may handle, too."""

    @property
    def throughput(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride] (another one each time)
        """Messages that an actor handles before it lets its peers have their turn."""
        return self._simulation.choose(_THROUGHPUTS)

    @property
    def _simulation(self) -> SimulationLoop:
        return cast("SimulationLoop", self._loop)

    @override
    def schedule(self, activate: Callable[[], None]) -> None:
        loop = self._simulation
        if loop.is_closed():
            raise LoopEndedError("the simulation is over")
        loop.activate_in_turn(activate)
