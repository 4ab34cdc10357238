"""The entry: measures pygents, its floor and its peers in one run, prints tables and writes JSON.

Run `python benchmarks/run.py --help`. Missed budgets never fail the run unless `--strict` is given.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from budgets import Outcome, concerned
from catalogue import PEERS, WORKLOADS
from document import write_json
from measure import Bench
from report import print_report
from results import Plan, Results

RESULTS = Path(__file__).with_name("results.json")
ROUNDS = 5
FILE_WIDTH = 150
"""Columns of the tables if the output isn't a terminal."""


def main() -> int:
    """Measure and report; return the exit status."""
    options = _options()
    with Bench(_plan(options)) as bench, Console(stderr=True).status("") as status:
        for doing in bench.run():
            status.update(doing)
    print_report(Console(width=None if sys.stdout.isatty() else FILE_WIDTH), bench.results)
    write_json(options.json, bench.results)
    return 1 if options.strict and not _all_met(bench.results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure pygents, the floor and its peers, side by side.",
        epilog="Absent unless a variable names their Python: "
        + ", ".join(f"{peer.title} ({peer.variable})" for peer in PEERS if peer.variable),
    )
    parser.add_argument("--rounds", type=_positive, default=ROUNDS, help="samples of each workload (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the operations, to see whether it works")
    parser.add_argument("--json", type=_file, default=RESULTS, metavar="PATH", help="where results go (%(default)s)")
    parser.add_argument("--gc", action="store_true", help="leave the cyclic garbage collector on, for every peer")
    parser.add_argument("--strict", action="store_true", help="fail unless every budget is measured and met")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[workload.name for workload in WORKLOADS],
        help="measure this workload alone; may be repeated: %(choices)s",
    )
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    workloads = [each for each in WORKLOADS if not options.only or each.name in options.only]
    return Plan(workloads=workloads, rounds=options.rounds, quick=options.quick, keep_gc=options.gc)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{str(path.parent)!r} is not a folder")
    return path


def _all_met(results: Results) -> bool:
    plan = results.plan
    met = (budget.outcome(results.best, plan) is Outcome.MET for budget in concerned(plan))
    return not results.failures and all(met)


if __name__ == "__main__":
    sys.exit(main())
