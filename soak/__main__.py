"""The entry: `python -m soak`, or `python -m soak 10` for ten seconds. Exit status 1 if anything is wrong."""

import argparse
import asyncio
import random
import sys

from soak.report import print_head, print_result, print_round
from soak.shift import Plan, work

ROUNDS = 12
WARM_UP = 4


def main() -> int:
    """Work, and report; return the exit status."""
    plan = _plan()
    print_head(plan)
    outcome = asyncio.run(work(plan, print_round))
    print_result(outcome, plan)
    return 1 if outcome.complaints else 0


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m soak", description="Let a crowd of supervised agents fail.")
    parser.add_argument("seconds", nargs="?", type=float, default=60.0, help="how long it works (%(default)s)")
    parser.add_argument("--members", type=int, default=1_000, help="agents and actors (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of chance; printed")
    options = parser.parse_args()
    if options.seconds <= 0 or options.members < 1:
        parser.error("seconds are above zero, and there is a member at least")
    return Plan(
        members=options.members,
        rounds=ROUNDS,
        warm_up=WARM_UP,
        seconds=options.seconds / ROUNDS,
        seed=options.seed,
    )


if __name__ == "__main__":
    sys.exit(main())
