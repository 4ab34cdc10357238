"""Every test of the runtime ends without a complaint of asyncio's, and without the runtime's own machinery failing."""

import gc
import logging
from collections.abc import Iterator

import pytest

from pygents.actors.system import ActorSystem
from tests.actors.stalled import Block, Watched


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if a task was destroyed while pending, or its exception never looked at."""
    yield
    gc.collect()
    complaints = [
        record.getMessage()
        for record in caplog.get_records("call")
        if (record.name == "asyncio" and record.levelno >= logging.ERROR) or record.levelno >= logging.CRITICAL
    ]
    assert complaints == []


@pytest.fixture
def block() -> Iterator[Block]:
    """Return what blocks a loop, until the test is over at the latest."""
    block = Block()
    yield block
    block.released.set()


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Return a system on a loop thread that is watched by the looks that the test takes."""
    with ActorSystem("s", stall_after=None) as system:
        watched = Watched(system)
        watched.begin()
        yield watched
