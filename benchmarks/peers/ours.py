"""pygents itself, as this interpreter imports it."""

from importlib.metadata import PackageNotFoundError, version

from peers import async_messages, async_population, bounded, supervised, turns

WORKLOADS = (
    turns.WORKLOADS | bounded.WORKLOADS | async_messages.WORKLOADS | async_population.WORKLOADS | supervised.WORKLOADS
)


def _version() -> str:
    try:
        return version("pygents")
    except PackageNotFoundError:
        return "a checkout that isn't installed"


VERSION = _version()
