"""The project's budgets: how fast and how small it has to be, most of them as ratios within one run.

Knows results, not how they were got nor how they are printed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from catalogue import FLOOR, OURS, PUBLISHED, THREADS
from results import Key, Plan

type Statistic = Callable[[str, str], float | None]
"""`Results.best` or `Results.median`."""

LINEAR = 2.0
"""What ten times as many actors may cost each, in times: quadratic would be 10, and caches explain more than 1."""
STEADY = 1.5
"""The same for children of a supervisor."""


class Bound(Enum):
    """Which side of its limit a value must be on."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


class Outcome(Enum):
    """Whether a budget was met."""

    MET = "PASS"
    MISSED = "MISS"
    UNKNOWN = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on one measurement, or on the ratio of two."""

    title: str
    """What is limited."""
    over: Key
    """Workload and peer that is limited, or the numerator."""
    under: Key | None = None
    """Workload and peer of the denominator."""
    bound: Bound
    """Which side of the limit is good."""
    limit: float
    """A ratio, or in the workload's unit."""
    full_size: bool = False
    """Whether a `--quick` run can't tell."""

    def value(self, statistic: Statistic) -> float | None:
        """Return what was measured, or None if a measurement is missing."""
        over = statistic(*self.over)
        under = statistic(*self.under) if self.under else 1.0
        return None if over is None or under is None else over / under

    def outcome(self, statistic: Statistic, plan: Plan) -> Outcome:
        """Compare what was measured with the limit."""
        value = self.value(statistic)
        if value is None or (self.full_size and plan.quick):
            return Outcome.UNKNOWN
        met = value >= self.limit if self.bound is Bound.AT_LEAST else value <= self.limit
        return Outcome.MET if met else Outcome.MISSED


def _faster(title: str, workload: str, peer: str, times: float) -> Budget:
    return Budget(title=title, over=(workload, peer), under=(workload, OURS), bound=Bound.AT_LEAST, limit=times)


def _linear(title: str, workload: str, limit: float = LINEAR) -> Budget:
    many, few = (f"{workload}_many", OURS), (workload, OURS)
    return Budget(title=title, over=many, under=few, bound=Bound.AT_MOST, limit=limit)


def _as_fast(title: str, workload: str, without: str, part: float) -> Budget:
    return Budget(title=title, over=(without, OURS), under=(workload, OURS), bound=Bound.AT_LEAST, limit=part)


def _small(title: str, workload: str) -> Budget:
    return Budget(title=title, over=(workload, OURS), bound=Bound.AT_MOST, limit=3_000)


BUDGETS = (
    _faster("put + run(): times as fast as pygents 0.3.3", "turn", PUBLISHED, 3.5),
    Budget(
        title="put + run(): times the floor",
        over=("turn", OURS),
        under=("turn", FLOOR),
        bound=Bound.AT_MOST,
        limit=2,
    ),
    Budget(
        title="put into a bounded mailbox with room: times an unbounded one",
        over=("put_bounded", OURS),
        under=("put", OURS),
        bound=Bound.AT_MOST,
        limit=2,
    ),
    _faster("streamed value: times as fast as pygents 0.3.3", "stream", PUBLISHED, 3),
    _faster("tell: times as fast as ThreadingActor", "tell", THREADS, 2.5),
    _faster("ask: times as fast as ThreadingActor", "ask", THREADS, 4),
    _faster("start: times as fast as ThreadingActor", "start", THREADS, 10),
    _small("bytes of an idle actor (tracemalloc)", "traced"),
    _small("bytes of an idle actor (resident set)", "resident"),
    Budget(
        title="actors alive at once",
        over=("alive", OURS),
        bound=Bound.AT_LEAST,
        limit=100_000,
        full_size=True,
    ),
    _linear("start: time of each, when ten times as many", "start"),
    _linear("stop oldest first: time of each, when ten times as many", "stop_oldest"),
    _linear("stop youngest first: time of each, when ten times as many", "stop_youngest"),
    _as_fast("turn in a system: part of the rate of tell + run()", "live", "told", 0.6),
    _as_fast("tell in a system: part of the rate outside one", "tell_supervised", "tell", 0.75),
    _linear("restart one of 10,000: times as long as one of 10", "restart", STEADY),
    _linear("spawn: time of each, when ten times as many", "spawn", STEADY),
    _linear("stop with the system: time of each, when ten times as many", "shutdown", STEADY),
)


def concerned(plan: Plan) -> list[Budget]:
    """Return the budgets on what is measured."""
    asked = {workload.name for workload in plan.workloads}
    return [each for each in BUDGETS if each.over[0] in asked and (each.under is None or each.under[0] in asked)]
