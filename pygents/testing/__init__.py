"""What actors and agents are tested with: virtual time, a system's rest, probes, and simulations.

It is imported by itself, and knows nothing of any test framework.
"""

from pygents.testing.errors import InjectedFaultError, LeftSimulationError, SimulationFailedError
from pygents.testing.faults import Faults
from pygents.testing.probe import Probe
from pygents.testing.rest import wait_idle
from pygents.testing.simulation import Simulation, simulate, simulate_many
from pygents.testing.trace import Record
from pygents.testing.virtual_time import VirtualTimeLoop, advance, run

__all__ = [
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
]
