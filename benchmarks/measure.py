"""Rounds of samples, peers taking turns.

A machine's speed drifts by more than the differences that matter here. So each round samples every workload once, its
peers right after each other, in reverse order every other round: all have the same share of slow and of fast moments.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

from catalogue import PEERS, Peer, Workload
from process import PeerError, PeerProcess
from results import Plan, Results, Status


class Bench:
    """The peers' processes, and the results that they produce; a context manager that ends the processes."""

    def __init__(self, plan: Plan) -> None:
        """Do as `plan` says."""
        self.results = Results(plan)
        self._plan = plan
        self._processes: dict[str, PeerProcess] = {}
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Start every peer that a workload asks for, and note who is absent."""
        for peer in PEERS:
            if any(peer.name in workload.peers for workload in self._plan.workloads):
                self.results.peers[peer.name] = self._greet(peer)
        return self

    def __exit__(self, *_: object) -> None:
        """End the peers' processes."""
        self._exit.close()

    def __repr__(self) -> str:
        """Count what runs and what is measured."""
        return f"<Bench peers={len(self._processes)} samples={sum(map(len, self.results.samples.values()))}>"

    def run(self) -> Iterator[str]:
        """Take all samples; yield what is about to be done, for a progress display."""
        for index in range(self._plan.rounds):
            for workload in self._plan.workloads:
                yield f"round {index + 1}: {workload.name}"
                for peer in PEERS[:: -1 if index % 2 else 1]:
                    self._sample(workload, peer)

    def _greet(self, peer: Peer) -> Status:
        try:
            process = self._process(peer)
        except PeerError as error:
            return Status(absent=str(error))
        return Status(version=process.version, python=process.python)

    def _sample(self, workload: Workload, peer: Peer) -> None:
        key = workload.name, peer.name
        if peer.name not in workload.peers or key in self.results.failures or self.results.peers[peer.name].absent:
            return
        try:
            self.results.samples.setdefault(key, []).append(self._take(workload, peer))
        except PeerError as error:
            self.results.failures[key] = str(error)
            self._processes.pop(peer.name, None)  # it may be in any state: the next workload has a new one

    def _take(self, workload: Workload, peer: Peer) -> float:
        size = workload.size_for(peer.name, quick=self._plan.quick)
        if workload.fresh:
            with PeerProcess(peer, keep_gc=self._plan.keep_gc) as process:
                return process.sample(workload.name, size)
        return self._process(peer).sample(workload.name, size)

    def _process(self, peer: Peer) -> PeerProcess:
        if peer.name not in self._processes:
            self._processes[peer.name] = self._exit.enter_context(PeerProcess(peer, keep_gc=self._plan.keep_gc))
        return self._processes[peer.name]
