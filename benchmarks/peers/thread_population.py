"""Many `pykka.ThreadingActor`s: what one takes to start, to stop and to keep."""

import tracemalloc
from collections.abc import Callable
from time import perf_counter
from typing import Any

from pykka import ActorRef

from peers.checks import expect
from peers.memory import resident_bytes, traced_bytes
from peers.thread_messages import Echo

type Refs = list[ActorRef[Any]]


def start(size: int) -> float:
    """Start actors, until the last one answers."""
    begin = perf_counter()
    refs = _started(size)
    seconds = perf_counter() - begin
    _stop(refs)
    return seconds / size


def stop_oldest(size: int) -> float:
    """Stop actors one by one, in the order they were started."""
    return _stop(_started(size)) / size


def stop_youngest(size: int) -> float:
    """Stop actors one by one, the last started first."""
    return _stop(_started(size)[::-1]) / size


def traced(size: int) -> float:
    """Weigh idle actors by `tracemalloc`."""
    return _traced(size, used=False)


def traced_used(size: int) -> float:
    """Weigh actors that have handled a message, by `tracemalloc`."""
    return _traced(size, used=True)


def resident(size: int) -> float:
    """Weigh idle actors by the resident set."""
    return _grown(size, resident_bytes, used=False)


def _traced(size: int, *, used: bool) -> float:
    tracemalloc.start()
    try:
        return _grown(size, traced_bytes, used=used)
    finally:
        tracemalloc.stop()


def _grown(size: int, probe: Callable[[], int], *, used: bool) -> float:
    before = probe()
    refs = _started(size)
    if used:
        for ref in refs:
            ref.ask(None)
    grown = probe() - before
    expect("actors alive", sum(ref.is_alive() for ref in refs), size)
    _stop(refs)
    return grown / size


def _started(size: int) -> Refs:
    refs = [Echo.start() for _ in range(size)]
    refs[-1].ask(None)
    return refs


def _stop(refs: Refs) -> float:
    begin = perf_counter()
    for ref in refs:
        ref.stop()
    return perf_counter() - begin


WORKLOADS = {
    "start": start,
    "stop_oldest": stop_oldest,
    "stop_youngest": stop_youngest,
    "traced": traced,
    "traced_used": traced_used,
    "resident": resident,
}
