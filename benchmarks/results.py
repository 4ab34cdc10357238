"""What was to be measured, what was, and the statistics over the samples.

Knows neither how samples are taken nor what is made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from catalogue import Workload

type Key = tuple[str, str]
"""Names of a workload and a peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What was measured, or why it wasn't."""

    version: str = ""
    """Version of the peer."""
    python: str = ""
    """Version of the interpreter that ran it."""
    absent: str = ""
    """Why the peer couldn't be measured, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured, and how."""

    workloads: Sequence[Workload]
    """What is measured in each round."""
    rounds: int
    """Samples of each workload and peer."""
    quick: bool
    """Whether the workloads' sizes are divided."""
    keep_gc: bool
    """Whether the cyclic garbage collector stays on while a sample is taken."""

    def __str__(self) -> str:
        """Say it in a line."""
        collector = "on" if self.keep_gc else "off"
        size = "QUICK: a tenth of the size, the numbers say little" if self.quick else "full size"
        return f"{self.rounds} rounds; {size}; cyclic garbage collector {collector} while measuring, for every peer"


@dataclass(slots=True)
class Results:
    """Everything that was measured."""

    plan: Plan
    """What was to be measured."""
    peers: dict[str, Status] = field(default_factory=dict)
    """By name of the peer."""
    samples: dict[Key, list[float]] = field(default_factory=dict)
    """In the workload's unit, one for each round."""
    failures: dict[Key, str] = field(default_factory=dict)
    """Why a workload has no samples for a peer that is there."""

    def best(self, workload: str, peer: str) -> float | None:
        """Return the smallest sample, or None if there is none."""
        return min(self.samples.get((workload, peer), []), default=None)

    def median(self, workload: str, peer: str) -> float | None:
        """Return the median of the samples, or None if there are none."""
        samples = self.samples.get((workload, peer))
        return median(samples) if samples else None

    def failure(self, workload: str, peer: str) -> str | None:
        """Return why a peer that is there failed, or None if it didn't."""
        return self.failures.get((workload, peer))
