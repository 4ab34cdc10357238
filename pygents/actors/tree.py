"""Tree: a system's actors as text, for people."""

from typing import TYPE_CHECKING, Any

from pygents.actors.child import Child
from pygents.actors.child_spec import Phase

if TYPE_CHECKING:
    from pygents.actors.supervisor import Supervisor

__all__ = ["draw", "state_of"]


def draw(name: str, root: "Supervisor") -> str:
    """Return the tree with the state, queue length and restarts of each actor."""
    return "\n".join([name, *_below(root, "")])


def _below(supervisor: "Supervisor", indent: str) -> list[str]:
    lines: list[str] = []
    nodes = supervisor.nodes()
    for number, (name, node) in enumerate(nodes, 1):
        head, deeper = ("└── ", "    ") if number == len(nodes) else ("├── ", "│   ")
        if isinstance(node, Child):
            state = f"({state_of(node)}, {len(node.inbox)} queued, {_restarts(node.restarts)})"
            below = node.children
        else:
            state = f"[{node.supervision.strategy.value}, {_restarts(node.restarts)}]"
            below = node
        lines.append(f"{indent}{head}{name} {state}")
        if below is not None:
            lines += _below(below, indent + deeper)
    return lines


def state_of(child: "Child[Any]") -> str:
    """Return where a child is in its life, in a word or two."""
    if child.comeback.rests:
        return "backing off"
    return "paused" if child.inbox.paused and child.course.phase is Phase.RUNNING else child.course.phase.value


def _restarts(count: int) -> str:
    return "1 restart" if count == 1 else f"{count} restarts"
