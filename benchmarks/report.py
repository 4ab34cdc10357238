"""Results as tables, for people."""

from itertools import chain

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from budgets import Budget, Outcome, Statistic, concerned
from catalogue import OURS, PEERS, Peer, Unit, Workload
from machine import machine
from results import Plan, Results

STYLES = {Outcome.MET: "green", Outcome.MISSED: "bold red", Outcome.UNKNOWN: "yellow"}
MISSING = "-"
MICROSECONDS = 1e6


def print_report(console: Console, results: Results) -> None:
    """Print who was measured, what was measured, what failed, and the budgets."""
    console.print(f"{' | '.join(machine().values())}\n{results.plan}", highlight=False)
    for table in (_peers(results), _workloads(results), _budgets(results)):
        console.print(table)
    titles = {peer.name: peer.title for peer in PEERS}
    for (workload, peer), failure in results.failures.items():
        console.print(f"FAILED: {workload} of {titles[peer]}: {failure}", style="bold red", markup=False)


def _peers(results: Results) -> Table:
    table = _table("Who was measured", "peer", "version", "Python")
    for peer in PEERS:
        if status := results.peers.get(peer.name):
            absent = f"[bold yellow]ABSENT: {escape(status.absent)}[/]"
            table.add_row(peer.title, absent if status.absent else status.version, status.python)
    return table


def _workloads(results: Results) -> Table:
    table = _table("What was measured", "workload", "peer", "size", "best", "median", "unit", "best / ours")
    for workload in results.plan.workloads:
        for peer in PEERS:
            if peer.name in workload.peers:
                title = workload.title if peer.name == workload.peers[0] else ""
                table.add_row(title, peer.title, *_measured(results, workload, peer))
        table.add_section()
    return table


def _measured(results: Results, workload: Workload, peer: Peer) -> tuple[str, ...]:
    best, median = results.best(workload.name, peer.name), results.median(workload.name, peer.name)
    if best is None or median is None:
        failed = results.failure(workload.name, peer.name)
        return MISSING, "[bold red]failed[/]" if failed else "[yellow]absent[/]"
    return (
        f"{workload.size_for(peer.name, quick=results.plan.quick):,}",
        _sample(best, workload.unit),
        _sample(median, workload.unit),
        workload.unit.value,
        _ratio(best, results.best(workload.name, OURS)),
    )


def _budgets(results: Results) -> Table:
    table = _table("Budgets", "budget", "limit", "by best", "", "by median", "")
    for budget in concerned(results.plan):
        judged = (_judged(budget, statistic, results.plan) for statistic in (results.best, results.median))
        table.add_row(budget.title, f"{budget.bound.value} {_number(budget.limit)}", *chain.from_iterable(judged))
    return table


def _judged(budget: Budget, statistic: Statistic, plan: Plan) -> tuple[str, str]:
    outcome = budget.outcome(statistic, plan)
    return _number(budget.value(statistic)), f"[{STYLES[outcome]}]{outcome.value}[/]"


def _table(title: str, first: str, second: str, *others: str) -> Table:
    table = Table(first, second, title=title, title_justify="left")
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _sample(sample: float, unit: Unit) -> str:
    return f"{sample * MICROSECONDS:,.2f}" if unit is Unit.SECONDS else f"{sample:,.0f}"


def _ratio(sample: float, ours: float | None) -> str:
    return f"{sample / ours:.2f}" if ours else MISSING


def _number(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 1_000 else f"{value:,.0f}"
