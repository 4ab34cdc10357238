"""What actors and agents are tested with: virtual time, a system's rest, and probes that stand in for actors.

It is imported by itself, and knows nothing of any test framework.
"""

from pygents.testing.probe import Probe
from pygents.testing.rest import wait_idle
from pygents.testing.virtual_time import VirtualTimeLoop, advance, run

__all__ = ["Probe", "VirtualTimeLoop", "advance", "run", "wait_idle"]
