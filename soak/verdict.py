"""The verdict: whether what the process holds has grown from one rest to the next. Pure; it knows only readings."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from soak.gauge import Reading

__all__ = ["LIMITS", "Growth", "Limit", "complaints", "growth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a quantity may grow by in the whole of a soak, after the warm-up."""

    name: str
    """Of `Reading`'s field."""
    part: float = 0.0
    """As a part of what it was."""
    least: float = 0
    """And so much in any case."""

    def allowed(self, before: float) -> float:
        """Return by how much it may grow from so much."""
        return max(self.least, self.part * before)


LIMITS = (
    Limit(name="memory", part=0.04, least=6_000_000),
    Limit(name="objects", part=0.1, least=1_000),
    Limit(name="tasks"),
    Limit(name="threads"),
    Limit(name="actors"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How a quantity has changed."""

    limit: Limit
    """What it may grow by."""
    before: float
    """What it was at first: the median of the first third of the readings."""
    after: float
    """What it was at last: the median of the last third."""

    @property
    def is_too_much(self) -> bool:
        """Whether it has grown by more than it may."""
        return self.after - self.before > self.limit.allowed(self.before)


def growth(readings: Sequence[Reading]) -> list[Growth]:
    """Return how everything has changed over the readings after the warm-up, of which there is at least one."""
    third = max(1, len(readings) // 3)
    return [_growth(limit, [getattr(reading, limit.name) for reading in readings], third) for limit in LIMITS]


def complaints(readings: Sequence[Reading]) -> list[str]:
    """Say what has grown by too much."""
    return [
        f"{each.limit.name} grew from {each.before:,.0f} to {each.after:,.0f},"
        f" which is more than {each.limit.allowed(each.before):,.0f} more"
        for each in growth(readings)
        if each.is_too_much
    ]


def _growth(limit: Limit, values: Sequence[int], third: int) -> Growth:
    return Growth(limit=limit, before=median(values[:third]), after=median(values[-third:]))
