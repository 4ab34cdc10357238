"""Books: an account of every message that is kept beside the runtime's own, by whoever sends, handles and asks.

The runtime derives what has been handled from what it has given out, so its own accounts always add up. These are
kept elsewhere, and a message that vanishes, or is counted twice, makes the two differ. Sending and closing happen on
the loop; `handled` may be called on any thread: it is one step of a dict.
"""

import itertools
from collections import Counter
from collections.abc import Collection

from pygents.actors.statistics import Statistics
from soak.deeds import Deed, Task

__all__ = ["Books"]

SHOWN = 5
"""Messages that a complaint names at the most."""


class Books:
    """What was sent, and how it ended."""

    def __init__(self) -> None:
        self.sent: Counter[Deed] = Counter()
        self.letters = 0
        self.sent_again = 0
        self._unanswered: list[Task] = []
        self._numbers = itertools.count(1)
        self._told: dict[int, Task] = {}
        self._failed = 0
        self._letters_of_asks = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.accepted} messages, {len(self._told)} of them open>"

    @property
    def accepted(self) -> int:
        """How many messages were taken."""
        return self.sent.total() + self.sent_again

    def task(self, deed: Deed, *, asked: bool) -> Task:
        """Return a new message; it counts when it is `told` or `asked`."""
        return Task(next(self._numbers), deed, asked)

    def told(self, task: Task) -> None:
        """Note a message that is about to be told, or somebody might handle it before."""
        self.sent[task.deed] += 1
        self._told[task.number] = task

    def refused(self, task: Task) -> None:
        """Strike a message off that its recipient did not take."""
        self.sent[task.deed] -= 1
        self._told.pop(task.number, None)

    def asked(self, task: Task) -> None:
        """Note a message that is about to be asked."""
        self.sent[task.deed] += 1

    def answered_with_error(self) -> None:
        """Note that whoever asked has an error."""
        self._failed += 1

    def unanswered(self, task: Task) -> None:
        """Note that whoever asked has given up."""
        self._unanswered.append(task)

    def told_again(self, task: Task) -> None:
        """Note a dead letter that is about to be sent again: nobody waits for it now."""
        task.asked = False
        self.sent_again += 1
        self._told[task.number] = task

    def handled(self, task: Task) -> None:
        """Note that a handler is at its end, or that there is to be none; on any thread, and more than once."""
        self._told.pop(task.number, None)

    def died(self, task: Task) -> None:
        """Note a dead letter."""
        self.letters += 1
        self._letters_of_asks += task.asked
        self._told.pop(task.number, None)

    def differences(self, counts: Statistics) -> list[str]:
        """Compare with the runtime's accounts, when nothing is under way; return what is wrong."""
        errors = self._failed - self._letters_of_asks
        expected = Statistics(
            accepted=self.accepted,
            handled=self.accepted - errors - self.letters,
            answered_with_error=errors,
            dead_lettered=self.letters,
        )
        wrong = [] if counts == expected else [f"the system counts {counts}, but it was {expected}"]
        if self._told:
            wrong.append(f"{_some(self._told.values())} told, and neither handled nor dead letters")
        if self._unanswered:
            wrong.append(f"{_some(self._unanswered)} asked, and never answered")
        return wrong


def _some(tasks: Collection[Task]) -> str:
    shown = ", ".join(map(repr, itertools.islice(tasks, SHOWN)))
    return f"{shown}{', ...' if len(tasks) > SHOWN else ''} ({len(tasks)} in all) were"
