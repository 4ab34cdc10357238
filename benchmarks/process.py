"""The parent's side of a peer's process (`worker.py`): start it, ask it for a sample, end it.

Knows nothing of what a workload does.
"""

import json
import os
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from catalogue import Peer

WORKER = Path(__file__).with_name("worker.py")
ANSWER_LIMIT = 300
"""Seconds after which a process that has not answered is killed."""
EXIT_LIMIT = 10
"""Seconds after which a process that was told to end is killed."""


class PeerError(Exception):
    """Raised when a peer can't be measured: it isn't there, it failed, or it took too long."""


class PeerProcess:
    """One running `worker.py`; a context manager that ends it."""

    version: str
    """Version of what is measured."""
    python: str
    """Version of the interpreter it runs in."""

    def __init__(self, peer: Peer, *, keep_gc: bool) -> None:
        """Start the process; `keep_gc` leaves the cyclic garbage collector on while measuring.

        Raises:
            PeerError: if the peer's interpreter is unknown or can't be run.
        """
        self._process = _start(peer, keep_gc=keep_gc)
        self._name = peer.name

    def __enter__(self) -> Self:
        """Wait until the process has imported the peer.

        Raises:
            PeerError: if it can't.
        """
        try:
            hello = self._read()
        except BaseException:
            self.close()
            raise
        self.version, self.python = hello["version"], hello["python"]
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()

    def __repr__(self) -> str:
        """Name the peer and the process."""
        return f"<PeerProcess {self._name} pid={self._process.pid}>"

    def sample(self, workload: str, size: int) -> float:
        """Run `workload` with `size` operations and return its sample.

        Raises:
            PeerError: if the workload failed or took longer than `ANSWER_LIMIT`.
        """
        stdin = _pipe(self._process.stdin)
        try:
            stdin.write(json.dumps({"workload": workload, "size": size}) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise PeerError("its process has ended") from None
        return float(self._read()["sample"])

    def close(self) -> None:
        """End the process, by force if it doesn't end by itself."""
        with self._killed_after(EXIT_LIMIT):
            self._process.communicate()

    def _read(self) -> dict[str, Any]:
        with self._killed_after(ANSWER_LIMIT):
            line = _pipe(self._process.stdout).readline()
        if not line:
            raise PeerError(f"no answer: its process ended, or was killed after {ANSWER_LIMIT} s")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    @contextmanager
    def _killed_after(self, seconds: float) -> Generator[None]:
        watchdog = threading.Timer(seconds, self._process.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()


def _start(peer: Peer, *, keep_gc: bool) -> subprocess.Popen[str]:
    if peer.interpreter is None:
        raise PeerError(f"environment variable {peer.variable} is not set")
    environment = dict(os.environ)
    if peer.variable:
        environment.pop("PYTHONPATH", None)  # it could put our package in front of a peer with the same import name
    command = [peer.interpreter, str(WORKER), peer.module, *(["--gc"] if keep_gc else [])]
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    except OSError as error:
        raise PeerError(f"{peer.variable}: {error}") from error


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise PeerError("its process has no pipe")
    return stream
