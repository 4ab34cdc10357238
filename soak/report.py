"""The report, for people: a line for each round, what was sent, what happened, and what grew."""

from collections import Counter
from typing import Any

from soak.gauge import Reading
from soak.shift import Outcome, Plan, Round
from soak.verdict import growth

__all__ = ["print_head", "print_result", "print_round"]

MEGABYTE = 1_000_000
SHOWN = 40
"""Lines of a complaint, which may have the whole tree."""


def print_head(plan: Plan) -> None:
    """Print what is done, and the heading of the table of rounds."""
    print(f"{plan.members:,} agents and actors under supervision, {plan.threads} of them on threads of their own;")
    print(f"{plan.rounds} rounds of {plan.seconds:.2g} s, of which {plan.warm_up} warm up; seed {plan.seed}\n")
    print("messages  per second  restarts  dead letters  memory MB    objects  tasks  threads  actors")


def print_round(each: Round) -> None:
    """Print a line of the table of rounds."""
    reading = each.reading
    restarts, letters = each.events["ActorRestarted"], each.events["DeadLetterRecorded"]
    print(
        f"{each.accepted:8,}  {each.accepted / each.seconds:10,.0f}  {restarts:8,}  {letters:12,}"
        f"  {reading.memory / MEGABYTE:9.1f}  {reading.objects:9,}"
        f"  {reading.tasks:5}  {reading.threads:7}  {reading.actors:6,}",
        flush=True,
    )


def print_result(outcome: Outcome, plan: Plan) -> None:
    """Print what was sent, what happened and what has come of it."""
    events = sum((each.events for each in outcome.rounds), Counter[str]())
    print(f"\nsent      {_counts(outcome.books.sent)}")
    print(f"again     {outcome.books.sent_again:,} dead letters of {outcome.books.letters:,}")
    print(f"happened  {_counts(events)}")
    if readings := [each.reading for each in outcome.rounds[plan.warm_up :]]:
        print(f"growth    {_growth(readings)}")
    for complaint in outcome.complaints:
        lines = complaint.splitlines()
        print("WRONG: " + "\n".join([*lines[:SHOWN], "..."] if len(lines) > SHOWN else lines))
    if not outcome.complaints:
        print("nothing grew, every message is accounted for, and everybody who asked was answered")


def _counts(counter: Counter[Any]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counter.most_common())


def _growth(readings: list[Reading]) -> str:
    return ", ".join(f"{each.limit.name} {each.after - each.before:+,.0f}" for each in growth(readings))
