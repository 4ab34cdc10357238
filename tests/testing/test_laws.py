"""The laws of a simulated system, each broken on purpose."""

from types import SimpleNamespace

import pytest
from pykka._envelope import Envelope

from pygents.actors.dead_letters import DeadLetter, DeadLetterReason
from pygents.actors.reply import Reply
from pygents.actors.statistics import Statistics
from pygents.testing.laws import Laws

EMPTY = SimpleNamespace(root=SimpleNamespace(nodes=list), statistics=Statistics)


class Child:
    """What the laws know of one."""

    def __init__(self, path="ann", activation="a task"):
        self.spec = SimpleNamespace(path=path)
        self.activation = activation
        self.control = None


@pytest.fixture
def broken():
    return []


@pytest.fixture
def laws(broken):
    return Laws(broken.append)


def letter(message, path="ann"):
    return DeadLetter(message=message, recipient=path, sender=None, reason=DeadLetterReason.CUT, at=0)


def test_a_message_that_is_handled_or_dead_or_answered_has_come_to_an_end(laws, broken):
    child, messages = Child(), [["handled"], ["dead"]]
    for message in messages:
        run = laws.begin(child, Envelope(message))
        laws.end(child, run, handled=message is messages[0])
    laws.bury(letter(["dead"]))
    laws.bury(letter(messages[1], "bob"))
    answered = Envelope("asked", reply_to=Reply())
    laws.end(child, laws.begin(child, answered), handled=False)
    answered.reply_to.set(1)
    laws.check_end(EMPTY)
    assert broken.pop() == "a message was told, and is neither handled nor a dead letter: ann with ['dead']"
    laws.bury(letter(messages[1]))
    laws.check_end(EMPTY)
    assert broken == []


def test_a_message_that_was_handled_is_not_handled_again(laws, broken):
    child, envelope = Child(), Envelope("tea")
    for _ in range(2):
        laws.end(child, laws.begin(child, envelope), handled=True)
    assert broken == ["a message is handled again that has been: ann with 'tea'"]


def test_one_that_was_cut_may_be(laws, broken):
    child, envelope = Child(), Envelope("tea")
    for handled in (False, True):
        laws.end(child, laws.begin(child, envelope), handled=handled)
    laws.check_end(EMPTY)
    assert broken == []


def test_what_an_abandoned_handler_does_is_nothing_to_them(laws, broken):
    child, envelope = Child(), Envelope("tea")
    late = laws.begin(child, envelope)
    child.activation = None
    laws.abandon("bob")
    assert laws.is_on(child, late)
    laws.abandon("ann")
    again = laws.begin(child, envelope)
    laws.end(child, late, handled=True)
    laws.end(child, again, handled=False)
    assert broken == []
    laws.check_end(EMPTY)
    assert "neither handled nor a dead letter" in broken[0]


def test_nothing_outlives_a_system(laws, broken):
    root = SimpleNamespace(nodes=lambda: [("ann", object())])
    laws.check_end(SimpleNamespace(root=root, statistics=lambda: Statistics(accepted=2, queued=2)))
    assert broken == ["an actor or a supervisor outlives its system: ann", "messages wait for ever: 2"]
