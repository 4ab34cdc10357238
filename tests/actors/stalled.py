"""What the tests of stalls share: what blocks a loop until it is let go, and a watchdog whose looks the test takes.

So when something is told depends on the test alone, and not on how long anything takes.
"""

import asyncio
import threading

from pygents.actors import AsyncActor, LoopStalled
from pygents.actors.stalls import Stalls
from tests.actors.helpers import PATIENCE

__all__ = ["Block", "Blocked", "Watched", "stalls_in"]


class Block:
    """Blocks whoever enters it, until it is released."""

    def __init__(self, name="block"):
        self.name = name
        self.entered = threading.Event()
        self.released = threading.Event()

    def __repr__(self):
        return f"<{self.name}>"

    def enter(self):
        self.entered.set()
        assert self.released.wait(PATIENCE)


class Blocked(AsyncActor):
    """Enters what it is sent, or runs it in a task that it waits for."""

    async def on_receive(self, message):
        if callable(message):
            await asyncio.gather(message())
        else:
            message.enter()


async def stalls_in(events):
    """Return the stalls among the events of a system that has ended."""
    return [event async for event in events if isinstance(event, LoopStalled)]


class Watched:
    """A system on another thread's loop, which is watched by the looks that a test takes."""

    def __init__(self, system):
        self.system = system
        self.watchdog = Stalls(system, 1.0)
        self._events = system.events()

    def pass_by(self):
        """Wait until the loop has done what there was to do, and answered the watchdog."""
        passed = threading.Event()
        self.system.call(passed.set)
        assert passed.wait(PATIENCE)

    def begin(self):
        """Have a first beat answered, which tells the watchdog whose thread the loop's is."""
        self.look()
        self.pass_by()

    def look(self, times=1):
        for _ in range(times):
            self.watchdog.look()

    def look_into(self, block):
        """Look so often that a stall is told, as soon as the loop is in the block, and let it go on then."""
        assert block.entered.wait(PATIENCE)
        self.look(5)
        block.released.set()

    def told(self):
        """Return all that was told until now; no more will be."""
        self.system.news.close()
        return asyncio.run(stalls_in(self._events))
