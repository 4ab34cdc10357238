"""The exceptions of a simulation; it imports nothing of ours."""

from collections.abc import Sequence

__all__ = ["InjectedFaultError", "LeftSimulationError", "SimulationFailedError"]

_SHOWN = 10


class InjectedFaultError(Exception):
    """Raised by `Faults` in the place of a handler or a tool, or when it has run."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path
        """The path of the actor that it befell."""

    def __str__(self) -> str:
        return f"a fault that the simulation has put into {self.path!r}"


class LeftSimulationError(BaseException):
    """Raised where a scenario blocks its thread or leaves it: it would no longer be the seed that decides.

    No ``Exception``, so that nothing that is simulated takes it for a failure of the kind that it can deal with.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what, advice)
        self.what = what
        """What was called, or has happened."""
        self.advice = advice
        """What to do instead."""

    def __str__(self) -> str:
        return f"{self.what}: a simulation has one thread, virtual time and no world outside. {self.advice}"


class SimulationFailedError(AssertionError):
    """Raised for a seed with which a scenario has failed, or something that the runtime promises; its cause says what.

    What the scenario raised is its ``__cause__``.
    """

    def __init__(
        self,
        scenario: str,
        seed: int,
        reason: str,
        trace: Sequence[object],
        has_faults: bool = False,  # noqa: FBT001, FBT002 (unpickled)
    ) -> None:
        super().__init__(scenario, seed, reason, trace, has_faults)
        self.scenario = scenario
        """The scenario's name."""
        self.seed = seed
        """The seed: with it, and the same faults, the same happens again."""
        self.reason = reason
        """What has failed, as text."""
        self.trace = trace
        """What had happened until then: a `Record` for each thing."""
        self.has_faults = has_faults
        """Whether there were faults: they are part of what is to happen again."""

    def __str__(self) -> str:
        faults = ", faults=..." if self.has_faults else ""
        again = f"simulate({self.scenario}, seed={self.seed}{faults})"
        last = "".join(f"\n  {record}" for record in self.trace[-_SHOWN:])
        shown = f" of {len(self.trace)} records" if len(self.trace) > _SHOWN else ""
        end = f"\nThe end of its trace{shown}:{last}" if last else ""
        return f"{self.reason}\nIt happens again in {again}.{end}"
