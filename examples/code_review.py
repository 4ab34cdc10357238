"""A supervised team of agents reviews a folder of Python files: `python examples/code_review.py [folder]`."""

import argparse
import ast
import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

from pygents import ActorSystem, Agent, Turn, tool
from pygents.actors import Directive, Supervision

logging.getLogger("pygents.actors").addHandler(logging.NullHandler())  # or failures go to stderr, with tracebacks
tried: list[str] = []


def python_files(folder: Path) -> Iterator[str]:
    """Find the Python files of a folder, except in hidden folders and virtual environments."""
    for parent, folders, files in folder.walk(on_error=print):
        folders[:] = sorted(name for name in folders if name[0] != "." and not (parent / name / "pyvenv.cfg").exists())
        yield from ((parent / name).relative_to(folder).as_posix() for name in sorted(files) if name.endswith(".py"))


@tool
async def read(folder: Path) -> None:
    """Tell the analyst of each Python file in a folder."""
    for name in python_files(folder):
        analyst.tell(Turn(measure, [folder, name]))


@tool
async def measure(folder: Path, name: str) -> None:
    """Tell the reporter a file's longest function body in lines, its functions, and how many lack a docstring."""
    tried.append(name)
    if len(tried) == 3:  # made up, as is the line that is down
        raise RuntimeError(f"the analyst has crashed at {name}")
    if len(tried) in {5, 50, 500}:
        print(f"the analyst's line is down at {name}: try again")
        raise ConnectionError
    tree = ast.parse(await asyncio.to_thread((folder / name).read_bytes), name)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    longest = max(((node.end_lineno or 0) - node.body[0].lineno + 1 for node in functions), default=0)
    reporter.tell(Turn(note, [longest, len(functions), sum(not ast.get_docstring(node) for node in functions), name]))


@tool
async def note(longest: int, functions: int, undocumented: int, name: str) -> None:
    """Keep a row of the table."""
    rows.append((longest, functions, undocumented, name))


@tool
async def rank(top: int) -> str:
    """Make a table of the files with the longest function bodies."""
    heading = f"longest body  functions  no docstring  file (top {min(top, len(rows))} of {len(rows)})"
    return "\n".join([heading, *("{:12}  {:9}  {:12}  {}".format(*row) for row in sorted(rows, reverse=True)[:top])])


reader = Agent("reader", "Finds the Python files of a folder", [read])
analyst = Agent("analyst", "Measures one file per turn", [measure])
reporter = Agent("reporter", "Gathers what is measured, and ranks it", [note, rank])
rows: list[tuple[int, int, int, str]] = []  # the reporter's state; it needs no lock, since one turn runs at a time

policy = Supervision(
    decide={ConnectionError: Directive.RETRY, OSError: Directive.RESUME, SyntaxError: Directive.RESUME},
    max_restarts=5,  # an agent that crashes more often in a minute will not recover by itself
    within=60,
)


async def review(folder: Path) -> None:
    """Have the team review a folder, and what failed once more."""
    async with ActorSystem("review") as system:
        team = system.supervisor("team", policy)
        for agent in (reader, analyst, reporter):
            team.spawn(agent)
        reader.tell(Turn(read, [folder]))
        await system.wait_idle()
        for letter in system.dead_letters:
            print(f"dead letter, sent again: {letter.failure}")
            system.dead_letters.redrive(letter)
        await system.wait_idle()
        failed = (f"failed again: {letter.failure}" for letter in system.dead_letters)
        print(await reporter.ask(Turn(rank, [10])), *failed, system.tree(), sep="\n")


parser = argparse.ArgumentParser(description="Review the Python files of a folder.")
parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
if not any(python_files(given := parser.parse_args().folder)):
    parser.error(f"not a folder with Python files: {given}")
asyncio.run(review(given))
