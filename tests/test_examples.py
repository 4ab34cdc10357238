"""The examples: each runs by itself, prints what it is to print, and is short enough to be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

SEED = """\
import asyncio
from pygents import Agent, Turn, tool

@tool()
async def greet(name: str) -> str:
    return f"Hello, {name}!"

async def main():
    agent = Agent("greeter", "Greets people", [greet])
    await agent.put(Turn("greet", kwargs={"name": "World"}))
    await agent.put(Turn("greet", args=["World"]))

    async for turn, value in agent.run():
        print(value)  # Hello, World!

asyncio.run(main())
"""

OUTPUTS = {
    "greeting": """\
Hello, World!
Hello, World!
""",
    "streaming": """\
-- all of it
tool yields 2
consumer has 2
tool yields 1
consumer has 1
tool has ended
-- the first is enough
tool yields 1000000
consumer has 1000000
tool has ended
the turn was cancelled
-- a time limit
consumer has well...
Turn timed out after 0.1s
""",
    "audit_hooks": """\
result: buy milk
audit: clerk for bob: Turn(tool='read', timeout=60) completed
audit: clerk for bob: Turn(tool='delete', timeout=60) bob is not an admin
refused: bob is not an admin
result: None
audit: clerk for ada: Turn(tool='delete', timeout=60) completed
left: plan.txt
""",
    "snapshot": """\
1 squared is 1
crashing
worker ended with status 1
2 squared is 4
3 squared is 9
worker ended with status 0
""",
    "mixed_actors": """\
/: 4 words so far
/about: 7 words so far
/empty: 7 words so far
stopped: True
stopped: True
""",
    "from_sync_code": """\
one run: [212.0]
one of many: [32.0]
one of many: [68.0]
from threads: [-40.0, 98.6]
an actor: 42
stopped: True True
""",
}


def run(name: str, *arguments: str | Path, cwd: Path) -> str:
    """Run an example with warnings as errors, where it can find nothing but the package; it must have no complaints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_example_prints_what_it_is_to_print(name, tmp_path):
    assert run(name, cwd=tmp_path) == OUTPUTS[name]


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.iterdir() if path.is_file()} == {*OUTPUTS, "code_review"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_has_fewer_than_80_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80


def test_the_first_example_is_the_first_program_to_the_letter():
    def code_of(program: str) -> str:
        return "\n".join(line for line in program.splitlines() if line)

    assert code_of(SEED) in code_of((EXAMPLES / "greeting.py").read_text(encoding="utf-8"))


class TestCodeReview:
    def test_ranks_the_files_of_a_folder_and_reports_what_it_cannot_read_or_parse(self, tmp_path):
        folder = self.make_folder(tmp_path / "project")
        *problems, heading, first, second, third = run("code_review", folder, cwd=tmp_path).splitlines()
        assert [problem.partition(": ")[0] for problem in problems] == ["broken.py", "gone.py", "undecodable.py"]
        assert "never closed" in problems[0]
        assert "No such file" in problems[1]
        assert "can't decode" in problems[2]
        assert heading == "longest body  functions  no docstring  file"
        assert first.split() == ["4", "2", "2", "package/long.py"]
        assert second.split() == ["2", "3", "1", "short.py"]
        assert third.split() == ["0", "0", "0", "empty.py"]

    def test_reviews_this_repository_unless_told_otherwise(self, tmp_path):
        heading, *rows = (line.split() for line in run("code_review", cwd=tmp_path).splitlines())
        longest = [int(row[0]) for row in rows]
        assert heading[-1] == "file"
        assert len(rows) == 10
        assert longest == sorted(longest, reverse=True)
        assert longest[-1] > 0
        assert all((EXAMPLES.parent / row[-1]).is_file() for row in rows)

    def test_says_that_there_is_no_such_folder(self, tmp_path):
        problem, heading = run("code_review", "nowhere", cwd=tmp_path).splitlines()
        assert "nowhere" in problem
        assert heading.endswith("file")

    @staticmethod
    def make_folder(folder: Path) -> Path:
        short = 'def f():\n    """Do."""\n    return 1\n\nclass C:\n    def g(self): pass\n    def h(self): "Do."\n'
        sources = {
            "package/long.py": "def f(a,\n  b):\n    def g():\n        return a\n\n    return g\n\n",
            "short.py": short,
            "empty.py": "",
            "broken.py": "print(\n",
            "notes.txt": "print(",
            ".hidden/left_out.py": short,
            "venv/pyvenv.cfg": "",
            "venv/lib/left_out.py": short,
        }
        for name, source in sources.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        (folder / "undecodable.py").write_bytes(b"name = '\xff'\n")
        (folder / "gone.py").symlink_to("nowhere")
        return folder
