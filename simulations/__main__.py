"""The entry: `python -m simulations`, or `python -m simulations 10000`. Exit status 1 if a seed fails."""

import argparse
import logging
import random
import sys
import time

from pygents.testing import SimulationFailedError
from simulations.catalogue import CASES


def main() -> int:
    """Simulate every scenario from as many seeds, and report; return the exit status."""
    options = _options()
    logging.disable(logging.CRITICAL)  # thousands of failures that are meant, each with its traceback
    return max(_simulate(name, options.seeds, options.first) for name in options.only or CASES)


def _simulate(name: str, seeds: int, first: int) -> int:
    began = time.perf_counter()
    try:
        CASES[name].simulate_many(range(first, first + seeds))
    except SimulationFailedError as error:
        print(f"{name} fails: {error}")
        return 1
    seconds = time.perf_counter() - began
    print(f"{name}: {seeds} seeds from {first} in {seconds:.1f} s, {seeds / seconds:.0f} a second")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulations", description="Simulate whole systems from seeds.")
    parser.add_argument("seeds", nargs="?", type=int, default=1_000, help="how many for each scenario (%(default)s)")
    parser.add_argument("--first", type=int, default=random.randrange(1_000_000), help="the first one; printed")
    parser.add_argument("--only", action="append", choices=CASES, help="a scenario, instead of all")
    options = parser.parse_args()
    if options.seeds < 1 or options.first < 0:
        parser.error("there is a seed at least, and none is below 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
