"""Results as JSON, for programs: every sample, and all that the tables say."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from budgets import Budget, concerned
from catalogue import Workload
from machine import machine
from results import Results


def write_json(path: Path, results: Results) -> None:
    """Write the results to `path`."""
    plan = results.plan
    document = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "options": {"rounds": plan.rounds, "quick": plan.quick, "gc": plan.keep_gc},
        "peers": {name: asdict(status) for name, status in results.peers.items()},
        "workloads": [_workload(results, workload) for workload in plan.workloads],
        "budgets": [_budget(results, budget) for budget in concerned(plan)],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _workload(results: Results, workload: Workload) -> dict[str, object]:
    return {
        "name": workload.name,
        "title": workload.title,
        "unit": workload.unit.name.lower(),
        "peers": {peer: _measured(results, workload, peer) for peer in workload.peers},
    }


def _measured(results: Results, workload: Workload, peer: str) -> dict[str, object]:
    return {
        "size": workload.size_for(peer, quick=results.plan.quick),
        "best": results.best(workload.name, peer),
        "median": results.median(workload.name, peer),
        "samples": results.samples.get((workload.name, peer), []),
        "failure": results.failure(workload.name, peer),
    }


def _budget(results: Results, budget: Budget) -> dict[str, object]:
    return {
        "title": budget.title,
        "bound": budget.bound.value,
        "limit": budget.limit,
        "best": budget.value(results.best),
        "best_outcome": budget.outcome(results.best, results.plan).value,
        "median": budget.value(results.median),
        "median_outcome": budget.outcome(results.median, results.plan).value,
    }
