"""What is measured, and on whom: the tables of peers and of workloads.

This module is data. It knows neither how a workload is written (`peers/`) nor how it is run (`measure.py`).
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

OURS = "ours"
FLOOR = "floor"
THREADS = "threads"
PUBLISHED = "published"
AUTOGEN = "autogen"

QUICK_DIVISOR = 10


class Unit(Enum):
    """What one sample of a workload is, and how to print it."""

    SECONDS = "us"
    """Seconds per operation, printed in microseconds."""
    BYTES = "B"
    """Bytes per actor."""
    ACTORS = "actors"
    """A number of actors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Somebody who is measured: a module of `peers/` in a Python process of its own."""

    name: str
    """Short name, as in the results file."""
    title: str
    """Name printed in tables."""
    variable: str | None = None
    """Environment variable with the path of this peer's interpreter; None is the one that runs the benchmark."""

    @property
    def module(self) -> str:
        """The module with this peer's workloads."""
        return f"peers.{self.name}"

    @property
    def interpreter(self) -> str | None:
        """The Python that runs this peer, or None if its variable isn't set."""
        return os.environ.get(self.variable) if self.variable else sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One thing that is measured, under the same name for every peer that can do it."""

    name: str
    """Short name: the function in each peer's module, and the argument of `--only`."""
    title: str
    """What one operation is."""
    peers: tuple[str, ...]
    """Names of the peers that can do it."""
    size: int
    """Operations in one sample."""
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Operations in one sample for peers for which `size` would take too long."""
    unit: Unit = Unit.SECONDS
    """What a sample is."""
    fresh: bool = False
    """Whether each sample has a new process, since it leaves a large heap behind."""

    def size_for(self, peer: str, *, quick: bool) -> int:
        """Return how many operations one sample of `peer` has."""
        size = self.sizes.get(peer, self.size)
        return max(1, size // QUICK_DIVISOR) if quick else size


PEERS = (
    Peer(name=OURS, title="pygents"),
    Peer(name=FLOOR, title="floor: deque + asyncio.timeout"),
    Peer(name=THREADS, title="pykka.ThreadingActor"),
    Peer(name=PUBLISHED, title="pygents 0.3.3, published", variable="PUBLISHED_PYTHON"),
    Peer(name=AUTOGEN, title="autogen-core", variable="AUTOGEN_PYTHON"),
)

WORKLOADS = (
    Workload(
        name="construct",
        title="construct a Turn",
        peers=(OURS, PUBLISHED),
        size=20_000,
    ),
    Workload(
        name="turn",
        title="put + run() of a trivial turn",
        peers=(OURS, FLOOR, PUBLISHED),
        size=20_000,
    ),
    Workload(
        name="put",
        title="put a turn, without running it",
        peers=(OURS,),
        size=20_000,
    ),
    Workload(
        name="put_bounded",
        title="put a turn into a bounded mailbox with room",
        peers=(OURS,),
        size=20_000,
    ),
    Workload(
        name="told",
        title="tell + run() of a trivial turn",
        peers=(OURS,),
        size=20_000,
    ),
    Workload(
        name="live",
        title="tell of a trivial turn, in an actor system",
        peers=(OURS,),
        size=20_000,
    ),
    Workload(
        name="stream",
        title="a streamed value",
        peers=(OURS, PUBLISHED),
        size=50_000,
    ),
    Workload(
        name="tell",
        title="tell, until handled",
        peers=(OURS, THREADS),
        size=50_000,
    ),
    Workload(
        name="tell_supervised",
        title="tell, until handled, in an actor system",
        peers=(OURS,),
        size=50_000,
    ),
    Workload(
        name="ask",
        title="ask, awaited",
        peers=(OURS, THREADS, AUTOGEN),
        size=20_000,
        sizes={THREADS: 5_000, AUTOGEN: 2_000},
    ),
    Workload(
        name="ring",
        title="a hop in a ring of 100 actors",
        peers=(OURS, THREADS),
        size=100_000,
        sizes={THREADS: 20_000},
    ),
    Workload(
        name="ping_pong",
        title="ping-pong of two actors, one way",
        peers=(OURS, THREADS),
        size=50_000,
        sizes={THREADS: 20_000},
    ),
    Workload(
        name="fan_out",
        title="1-to-100 fan-out, a message and its answer",
        peers=(OURS, THREADS),
        size=50_000,
        sizes={THREADS: 20_000},
    ),
    Workload(
        name="start",
        title="start an actor",
        peers=(OURS, THREADS),
        size=10_000,
        sizes={THREADS: 500},
        fresh=True,
    ),
    Workload(
        name="start_many",
        title="start an actor, ten times as many",
        peers=(OURS,),
        size=100_000,
        fresh=True,
    ),
    Workload(
        name="stop_oldest",
        title="stop an actor, oldest first",
        peers=(OURS, THREADS),
        size=10_000,
        sizes={THREADS: 500},
        fresh=True,
    ),
    Workload(
        name="stop_oldest_many",
        title="stop an actor, oldest first, ten times as many",
        peers=(OURS,),
        size=100_000,
        fresh=True,
    ),
    Workload(
        name="stop_youngest",
        title="stop an actor, youngest first",
        peers=(OURS, THREADS),
        size=10_000,
        sizes={THREADS: 500},
        fresh=True,
    ),
    Workload(
        name="stop_youngest_many",
        title="stop an actor, youngest first, ten times as many",
        peers=(OURS,),
        size=100_000,
        fresh=True,
    ),
    Workload(
        name="restart",
        title="restart one of 10 children, until it answers",
        peers=(OURS,),
        size=1_000,
        fresh=True,
    ),
    Workload(
        name="restart_many",
        title="restart one of 10,000 children, until it answers",
        peers=(OURS,),
        size=1_000,
        fresh=True,
    ),
    Workload(
        name="spawn",
        title="spawn a child",
        peers=(OURS,),
        size=10_000,
        fresh=True,
    ),
    Workload(
        name="spawn_many",
        title="spawn a child, ten times as many",
        peers=(OURS,),
        size=100_000,
        fresh=True,
    ),
    Workload(
        name="shutdown",
        title="stop a child with its system",
        peers=(OURS,),
        size=10_000,
        fresh=True,
    ),
    Workload(
        name="shutdown_many",
        title="stop a child with its system, ten times as many",
        peers=(OURS,),
        size=100_000,
        fresh=True,
    ),
    Workload(
        name="traced",
        title="bytes of an idle actor (tracemalloc)",
        peers=(OURS, THREADS),
        size=10_000,
        sizes={THREADS: 500},
        unit=Unit.BYTES,
        fresh=True,
    ),
    Workload(
        name="traced_used",
        title="the same after its first message (tracemalloc)",
        peers=(OURS, THREADS),
        size=10_000,
        sizes={THREADS: 500},
        unit=Unit.BYTES,
        fresh=True,
    ),
    Workload(
        name="resident",
        title="bytes of an idle actor (resident set)",
        peers=(OURS, THREADS),
        size=100_000,
        sizes={THREADS: 500},
        unit=Unit.BYTES,
        fresh=True,
    ),
    Workload(
        name="alive",
        title="actors alive at once, each of which answers",
        peers=(OURS,),
        size=100_000,
        unit=Unit.ACTORS,
        fresh=True,
    ),
)
