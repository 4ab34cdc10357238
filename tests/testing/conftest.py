"""What the tests of what is for tests get."""

import pytest


@pytest.fixture
def quiet(caplog):
    """Don't keep the tracebacks of thousands of failures that are meant."""
    caplog.set_level(100, "pygents")
