"""The published package that has our import name, in an interpreter that has it and not ours."""

from importlib.metadata import version

from peers import turns

VERSION = version("pygents")
WORKLOADS = turns.WORKLOADS

if VERSION != "0.3.3":
    raise ImportError(f"this interpreter has pygents {VERSION}, not the published 0.3.3")
