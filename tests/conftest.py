"""What every test gets: async tests on virtual time, empty registries, and no actor or thread left behind."""

import asyncio
import gc
import inspect
import threading
from collections.abc import Iterator

import pytest
from pykka import ActorRegistry

from pygents.registry import AgentRegistry, HookRegistry, ToolRegistry
from pygents.testing import run


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async def`` test: on virtual time, or on real time if it is marked ``real_time``."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    real = pyfuncitem.get_closest_marker("real_time") is not None
    (asyncio.run if real else run)(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """Begin and end with empty registries; at the end no actor is alive, and no thread of ours but the shared one."""
    _clear()
    gc.freeze()  # what is here already (the tests, what Hypothesis remembers) is left out of this test's collection
    yield
    _clear()
    gc.collect()
    stopping = ActorRegistry.stop_all(block=False)
    try:
        for reply in stopping:
            reply.get(timeout=5)
        assert ActorRegistry.get_all() == []
    finally:
        for ref in ActorRegistry.get_all():  # so that one test's failure is not that of all that follow
            ActorRegistry.unregister(ref)
    for thread in threading.enumerate():
        if thread.name.startswith(("pygents-actor", "pygents-stalls", "pygents-wait")):
            thread.join(10)
            assert not thread.is_alive(), f"{thread.name} was left running"


def _clear() -> None:
    AgentRegistry.clear()
    HookRegistry.clear()
    ToolRegistry._table.clear()
