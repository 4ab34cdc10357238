"""The README and the docs: their code runs and prints what they show, and what they name is there.

Sybil finds the blocks and runs them. Its own collection for pytest makes an item of each block, which a random order
would shuffle, so here a document is one test.
"""

import ast
import asyncio
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from pygents import Agent, AgentHook, Turn, hook, tool
from tests.test_seed import SEED

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


class Blocks:
    """Runs a document's blocks in order, in one namespace.

    Python runs, unless it is an example or an excerpt of one: that must be there to the letter. Shell runs where it
    runs an example. What either prints must be the block of text that follows.
    """

    whole = re.compile(r'--8<-- "(examples/\w+\.py)"\n')

    excerpt = re.compile(r"# from (examples/\w+\.py)\n")
    example = re.compile(r"^python (examples/\w+\.py.*)$", re.MULTILINE)

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._evaluate = PythonEvaluator()

    def of(self, path: Path) -> Iterator[Example]:
        evaluators = {"python": self._python, "sh": self._shell, "text": self._text}
        parsers = [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
        yield from Sybil(parsers).parse(path)

    def end(self) -> None:
        assert self._capsys.readouterr().out == "", "printed, but not shown"

    def _python(self, block: Example) -> None:
        self.end()
        if found := self.whole.fullmatch(block.parsed):
            assert (ROOT / found[1]).is_file()
        elif found := self.excerpt.match(block.parsed):
            source = read(found[1])
            assert all(piece.strip() in source for piece in block.parsed[found.end() :].split("\n...\n"))
        else:
            self._evaluate(block)

    def _shell(self, block: Example) -> None:
        self.end()
        for found in self.example.finditer(block.parsed):
            sys.stdout.write(run_python(*found[1].split()))

    def _text(self, block: Example) -> None:
        assert self._capsys.readouterr().out == block.parsed


def block_with(document: str, words: str) -> str:
    """Return the one block of Python in a document that has these words."""
    blocks = re.findall(r"^```python\n(.*?)^```", read(document), re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if words in block)
    return found


def run_python(*arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_the_code_of_a_document_runs_and_prints_what_is_shown(path, capsys):
    blocks = Blocks(capsys)
    for block in blocks.of(path):
        block.evaluate()
    blocks.end()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_code_of_a_document_goes_unnoticed(path):
    fences = re.findall(r"^ *(?:```|~~~)(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(fences[::2]) <= {"python", "sh", "text", "plaintext"}
    assert set(fences[1::2]) <= {""}


def test_the_examples_page_has_every_example():
    shown = re.findall(r'--8<-- "(examples/\w+\.py)"', read("docs/examples.md"))
    assert sorted(shown) == sorted(map(name_of, (ROOT / "examples").glob("*.py")))


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_inside_the_repository_lead_somewhere(path):
    for target, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]*))?\)", path.read_text(encoding="utf-8")):
        linked = path.parent / target
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


class TestSetUp:
    def test_the_test_command_is_what_ci_runs(self):
        command = read(".ci/run").splitlines()[-1]
        assert command == "python3 -m pip install tox && python3 -m tox"
        assert f"```sh\n{command}\n```" in read("README.md")
        assert f"```sh\n{command}\n```" in read("CONTRIBUTING.md")

    def test_the_demo_command_runs_the_example_that_is_shown(self):
        assert "```sh\npython3 -m pip install tox && python3 -m tox -e demo\n```" in read("README.md")
        tox = ConfigParser()
        tox.read_string(read("tox.ini"))
        assert tox["testenv:demo"]["commands"] == "python examples/code_review.py {posargs}"
        assert "# from examples/code_review.py\n" in read("README.md")

    def test_nobody_is_told_to_install_the_other_package_of_that_name(self):
        name = tomllib.loads(read("pyproject.toml"))["project"]["name"]
        for path in DOCUMENTS:
            assert not re.search(rf"install [^\n|]*\b{name}\b", path.read_text(encoding="utf-8"))


def test_the_readme_has_the_program_that_agents_were_first_used_in():
    program = block_with("README.md", "agent.run()")
    assert ast.dump(ast.parse(program)) == ast.dump(ast.parse(SEED))


def test_each_program_of_the_readme_and_the_index_runs_by_itself():
    for document in ("README.md", "docs/index.md"):
        for program in re.findall(r"^```python\n(?!# from)(.*?)^```", read(document), re.MULTILINE | re.DOTALL):
            run_python("-c", program)


class TestTheTeamOfTheAgentsPage:
    """`work()`, which people copy, in the cases that its page speaks of."""

    @pytest.fixture
    def work(self):
        names = {"asyncio": asyncio, "Agent": Agent}
        exec(block_with("docs/concepts/agents.md", "async def work("), names)  # noqa: S102 (our own page)
        return names["work"]

    @pytest.fixture
    def team(self):
        @tool
        async def note(number):
            self.noted.append(number)

        @tool
        async def pass_on_silently(number):
            self.bob.ref.tell(Turn("note", [number]))
            if not number:
                yield

        @tool
        async def fail():
            await asyncio.sleep(1)
            raise RuntimeError

        @tool
        async def take_longer():
            await asyncio.sleep(2)
            self.noted.append("longer")

        self.noted = []
        self.alice, self.bob = (
            Agent(name, "", [note, pass_on_silently, fail, take_longer]) for name in ("alice", "bob")
        )
        yield self.alice, self.bob
        for agent in (self.alice, self.bob):
            queue, current = map(agent.to_dict().get, ("queue", "current_turn"))
            assert (queue, current) == ([], None)

    async def test_runs_what_a_tool_that_gives_no_value_tells(self, work, team):
        self.alice.ref.tell(Turn("pass_on_silently", [1]))
        await work(*team)
        assert self.noted == [1]

    async def test_runs_what_a_hook_behind_the_last_value_tells(self, work, team):
        @hook(AgentHook.AFTER_TURN)
        async def pass_on(_agent, turn):
            self.bob.ref.tell(Turn("note", [turn.args[0] + 1]))

        self.alice.hooks.append(pass_on)
        self.alice.ref.tell(Turn("note", [1]))
        await work(*team)
        assert self.noted == [1, 2]

    async def test_runs_a_turn_in_hand(self, work, team):
        self.alice.ref.tell(Turn("take_longer"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work(*team), 1)
        assert self.alice.to_dict()["current_turn"] is not None
        await work(*team)
        assert self.noted == ["longer"]

    async def test_leaves_the_others_alone_when_a_turn_fails(self, work, team, capsys):
        self.alice.ref.tell(Turn("fail"))
        self.alice.ref.tell(Turn("note", [1]))
        self.bob.ref.tell(Turn("take_longer"))
        await work(*team)
        assert capsys.readouterr().out == "alice failed: RuntimeError()\n"
        assert self.noted == [1, "longer"]


class TestSemantics:
    def test_each_guarantee_names_a_test(self):
        guarantees = re.split(r"^- ", read("docs/semantics.md"), flags=re.MULTILINE)[1:]
        assert len(guarantees) > 50
        for guarantee in guarantees:
            assert re.match(r".*\.\n +`[\w/]+\.py(::\w+)+`\n(\n|\Z)?", guarantee), guarantee

    def test_each_test_that_is_named_is_there(self):
        named = re.findall(r"`([\w/]+\.py(?:::\w+)+)`", read("docs/semantics.md"))
        assert sorted(set(named) - set(node_ids(ROOT / "tests"))) == []


def node_ids(folder: Path) -> Iterator[str]:
    for path in folder.rglob("test_*.py"):
        module = ast.parse(path.read_text(encoding="utf-8"))
        yield from names_in(module, path.relative_to(folder).as_posix())


def names_in(node: ast.Module | ast.ClassDef, outer: str) -> Iterator[str]:
    for inner in node.body:
        match inner:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                yield f"{outer}::{name}"
            case ast.ClassDef(name=name):
                yield from names_in(inner, f"{outer}::{name}")
            case _:
                pass


@pytest.mark.parametrize("path", sorted((ROOT / "pygents").rglob("[a-z]*.py")), ids=name_of)
def test_the_architecture_page_names_every_module(path):
    indent = "  " * (len(path.relative_to(ROOT / "pygents").parts) - 1)
    assert re.search(rf"^{indent}{path.stem} +\S", read("docs/architecture.md"), re.MULTILINE)


@pytest.mark.parametrize("package", ["pygents", "pygents.actors", "pygents.testing"])
def test_the_api_page_has_every_public_name(package):
    page = read("docs/api.md")
    module = importlib.import_module(package)
    shown = re.findall(rf"^::: {package}\.(?:\w+\.)?(\w+)$", page, re.MULTILINE) + re.findall(r"`(\w+)`", page)
    assert set(module.__all__) <= set(shown)
