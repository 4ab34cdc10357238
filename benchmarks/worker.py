"""The process of one peer: reads requests as JSON lines on stdin, answers on stdout.

Run as `python worker.py peers.NAME [--gc]` with that peer's interpreter, so it imports nothing but the standard library
and the peer's module. The first line it writes says which versions run; then each `{"workload": ..., "size": ...}` is
answered with `{"sample": ...}` or `{"error": ...}`.
"""

import gc
import importlib
import json
import platform
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

type Measure = Callable[[int], float]

WARM_UP_DIVISOR = 100


def main() -> None:
    """Serve until stdin ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a peer that prints must not garble the answers
    try:
        peer = importlib.import_module(sys.argv[1])
    except Exception as error:  # noqa: BLE001 -- whatever it was, the parent reports it
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"version": peer.VERSION, "python": platform.python_version()})
    for line in sys.stdin:
        _answer(answers, _measure(peer.WORKLOADS, **json.loads(line)))


def _measure(workloads: dict[str, Measure], workload: str, size: int) -> dict[str, object]:
    try:
        return {"sample": _sample(workloads[workload], size)}
    except Exception as error:  # noqa: BLE001 -- whatever it was, the parent reports it
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _sample(measure: Measure, size: int) -> float:
    measure(max(1, size // WARM_UP_DIVISOR))
    gc.collect()
    if "--gc" not in sys.argv:
        gc.disable()
    try:
        return measure(size)
    finally:
        gc.enable()


def _answer(answers: TextIO, answer: dict[str, object]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
