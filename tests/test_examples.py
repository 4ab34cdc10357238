"""The examples: each runs by itself, prints what it is to print, and is short enough to be read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

OUTPUTS = {
    "greeting": """\
Hello, Ada!
Hello, Grace!
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
audit: clerk for bob: Turn(tool='read', args=['notes.txt'], timeout=60) completed
audit: denied to bob: Turn(tool='delete', args=['notes.txt'], timeout=60)
refused: bob is not an admin
result: None
audit: clerk for ada: Turn(tool='delete', args=['notes.txt'], timeout=60) completed
left: plan.txt
""",
    "model_loop": """\
Turn(tool='population', kwargs={'city': 'Oslo'}, timeout=60)
717710
Turn(tool='population', kwargs={'city': 'Bergen'}, timeout=60)
291940
Turn(tool='add', kwargs={'a': 717710, 'b': 291940}, timeout=60)
1009650
1,009,650 people live in the two of them.
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
index stopped: True
fetcher stopped: True
""",
    "steered_chat": """\
> Tell me a story
chat: Once
chat: there
chat: (shorter!) was
chat: a
the model is let go
chat is paused
cancelled: True
Turn cancelled: that is enough
system
└── chat (paused, 1 queued, 0 restarts)
ended: killed
not told: Turn(tool='answer', args=['And another one'], timeout=60)
""",
    "supervised_team": """\
scout: Oslo, attempt 1
scout: Oslo, attempt 2
scout: Atlantis, attempt 1
scout: Atlantis, attempt 2
scout: restarted after KeyError('Atlantis')
scout: Rome, attempt 1
scout: Rome, attempt 2
weather
└── team [rest_for_one, 0 restarts]
    ├── clerk (running, 0 queued, 0 restarts)
    ├── scout (running, 0 queued, 1 restart)
    └── writer (running, 0 queued, 1 restart)
clerk: ['snow in Oslo', 'sun in Rome']
restarted: ['team/scout', 'team/writer']
dead letter: Turn(tool='look_up', args=['Atlantis'], timeout=60), failed: KeyError('Atlantis')
""",
    "from_sync_code": """\
one run: [212.0]
one of many: [32.0]
one of many: [68.0]
from threads: [-40.0, 98.6]
an actor: 42
the actor stopped: True
the agent stopped: True
""",
}


def run(name: str, *arguments: str | Path, cwd: Path) -> str:
    """Run an example, which must have no complaints, and return what it prints."""
    done = start(name, *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def start(name: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run an example with warnings as errors, where it can find nothing but the package."""
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_example_prints_what_it_is_to_print(name, tmp_path):
    assert run(name, cwd=tmp_path) == OUTPUTS[name]


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.iterdir() if path.is_file()} == {*OUTPUTS, "code_review"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_has_fewer_than_100_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 100


class TestCodeReview:
    def test_ranks_the_files_of_a_folder_and_tries_once_more_what_has_failed(self, tmp_path):
        folder = self.make_folder(tmp_path / "project")
        output = run("code_review", folder, cwd=tmp_path).splitlines()
        retried, broken, crashed, undecodable, heading, first, second, third, *problems = output
        assert retried == "the analyst's line is down at undecodable.py: try again"
        assert broken == "dead letter, sent again: '(' was never closed (broken.py, line 1)"
        assert crashed == "dead letter, sent again: the analyst has crashed at gone.py"
        assert undecodable.startswith("dead letter, sent again: (unicode error) 'utf-8' codec can't decode")
        assert heading == "longest body  functions  no docstring  file (top 3 of 3)"
        assert first.split() == ["4", "2", "2", "package/long.py"]
        assert second.split() == ["2", "3", "1", "short.py"]
        assert third.split() == ["0", "0", "0", "empty.py"]
        assert problems[0] == "failed again: '(' was never closed (broken.py, line 1)"
        assert problems[1].startswith("failed again: [Errno 2] No such file or directory: ")
        assert problems[2].startswith("failed again: (unicode error) 'utf-8' codec can't decode")
        assert problems[3:] == [
            "review",
            "└── team [one_for_one, 0 restarts]",
            "    ├── reader (running, 0 queued, 0 restarts)",
            "    ├── analyst (running, 0 queued, 1 restart)",
            "    └── reporter (running, 0 queued, 0 restarts)",
        ]

    def test_reviews_this_repository_unless_told_otherwise(self, tmp_path):
        lines = run("code_review", cwd=tmp_path).splitlines()
        (place,) = (index for index, line in enumerate(lines) if line.startswith("longest body"))
        heading, rows = lines[place], [line.split() for line in lines[place + 1 : lines.index("review")]]
        longest = [int(row[0]) for row in rows]
        assert re.search(r"\(top 10 of \d+\)$", heading)
        assert len(rows) == 10
        assert longest == sorted(longest, reverse=True)
        assert longest[-1] > 0
        assert all((EXAMPLES.parent / row[-1]).is_file() for row in rows)

    @pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
    def test_refuses_what_is_no_folder_with_python_files(self, tmp_path, name):
        (tmp_path / "file").touch()
        (tmp_path / "empty").mkdir()
        done = start("code_review", name, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.endswith(f"error: not a folder with Python files: {name}\n")

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
