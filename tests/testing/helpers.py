"""What the tests of what is for tests share."""

import asyncio

from pygents.testing import run

__all__ = ["now", "standing"]


def now():
    return asyncio.get_running_loop().time()


def standing(test):
    """Run a test with time standing still."""

    def run_it(self):
        run(test(self), auto_advance=False)

    return run_it
