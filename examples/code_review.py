"""A team of agents reviews a folder of Python files: `python examples/code_review.py [folder]`."""

import argparse
import ast
import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from pygents import Agent, Turn, tool


def python_files(folder: Path) -> Iterator[str]:
    """Find the Python files of a folder, except in hidden folders and virtual environments."""
    for parent, folders, files in folder.walk(on_error=print):
        folders[:] = sorted(name for name in folders if name[0] != "." and not (parent / name / "pyvenv.cfg").exists())
        yield from ((parent / name).relative_to(folder).as_posix() for name in sorted(files) if name.endswith(".py"))


@tool
async def read(folder: Path) -> AsyncIterator[str]:
    """Stream the names of the Python files in a folder, and send each to the analyst."""
    for name in python_files(folder):
        analyst.ref.tell(Turn(measure, [folder, name]))
        yield name


@tool
async def measure(folder: Path, name: str) -> None:
    """Send the reporter a file's longest function body in lines, its functions, and how many lack a docstring."""
    tree = ast.parse(await asyncio.to_thread((folder / name).read_bytes), "source")
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    longest = max(((node.end_lineno or 0) - node.body[0].lineno + 1 for node in functions), default=0)
    undocumented = sum(ast.get_docstring(node) is None for node in functions)
    reporter.ref.tell(Turn(note, [longest, len(functions), undocumented, name]))


@tool
async def note(longest: int, functions: int, undocumented: int, name: str) -> None:
    """Keep a row of the table."""
    rows.append((longest, functions, undocumented, name))


@tool
async def print_table(top: int) -> None:
    """Print the files with the longest function bodies."""
    print(f"longest body  functions  no docstring  file (top {min(top, len(rows))} of {len(rows)})")
    for longest, functions, undocumented, name in sorted(rows, reverse=True)[:top]:
        print(f"{longest:12}  {functions:9}  {undocumented:12}  {name}")


reader = Agent("reader", "Streams the Python files of a folder", [read])
analyst = Agent("analyst", "Measures one file per turn", [measure])
reporter = Agent("reporter", "Gathers what is measured, and ranks it", [note, print_table])
rows: list[tuple[int, int, int, str]] = []  # the reporter's state; it needs no lock, since one turn runs at a time


async def review(folder: Path) -> None:
    """Run the team; each file is measured before the next one is looked for."""
    reader.ref.tell(Turn(read, [folder]))
    unread = 0
    async for _, name in reader.run():
        try:
            async for _ in analyst.run():
                pass
        except (OSError, SyntaxError, RecursionError, MemoryError) as error:  # of reading and parsing
            print(f"{name}: {getattr(error, 'strerror', error)}")
            unread += 1
    reporter.ref.tell(Turn(print_table, [10]))
    async for _ in reporter.run():
        pass
    if unread:
        print(f"besides {unread} that could not be read")


parser = argparse.ArgumentParser(description="Review the Python files of a folder.")
parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
if not any(python_files(given := parser.parse_args().folder)):
    parser.error(f"not a folder with Python files: {given}")
asyncio.run(review(given))
