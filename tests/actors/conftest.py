"""Every test of the runtime ends without a complaint of asyncio's, and without the runtime's own machinery failing."""

import gc
import logging
from collections.abc import Iterator

import pytest


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
