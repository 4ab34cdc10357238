"""What a mailbox policy may be made of."""

import dataclasses
import math

import pytest

from pygents.actors import MailboxPolicy, Overflow


def test_without_more_than_a_capacity_senders_wait_five_seconds():
    policy = MailboxPolicy(capacity=3)
    assert policy == MailboxPolicy(capacity=3, overflow=Overflow.BACKPRESSURE, timeout=5.0, key=None)


def test_a_policy_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MailboxPolicy(capacity=3).capacity = 4


def test_a_thread_may_wait_without_limit():
    assert MailboxPolicy(capacity=1, timeout=None).timeout is None


def test_each_overflow_has_a_value_to_be_stored():
    assert [one.value for one in Overflow] == ["backpressure", "reject", "drop_newest", "drop_oldest", "coalesce"]


async def of_a_message(message):
    return message


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        ({}, TypeError, "capacity"),
        ({"capacity": 0}, ValueError, "capacity must be an integer of at least 1, not 0"),
        ({"capacity": -5}, ValueError, "capacity"),
        ({"capacity": True}, TypeError, "capacity must be an integer of at least 1, not True"),
        ({"capacity": 1.0}, TypeError, "capacity"),
        ({"capacity": None}, TypeError, "capacity"),
        ({"capacity": 1, "overflow": "reject"}, TypeError, "overflow must be a Overflow, not 'reject'"),
        ({"capacity": 1, "overflow": None}, TypeError, "overflow"),
        ({"capacity": 1, "timeout": 0}, ValueError, "timeout must be a number of seconds above zero"),
        ({"capacity": 1, "timeout": -1.5}, ValueError, "timeout"),
        ({"capacity": 1, "timeout": math.nan}, ValueError, "timeout"),
        ({"capacity": 1, "timeout": math.inf}, ValueError, "timeout"),
        ({"capacity": 1, "timeout": True}, TypeError, "timeout"),
        ({"capacity": 1, "timeout": "5"}, TypeError, "timeout"),
        ({"capacity": 1, "overflow": Overflow.COALESCE}, ValueError, "Overflow.COALESCE needs a key"),
        ({"capacity": 1, "overflow": Overflow.COALESCE, "key": "id"}, TypeError, "key must be a plain function"),
        (
            {"capacity": 1, "overflow": Overflow.COALESCE, "key": of_a_message},
            TypeError,
            "key must be a plain function",
        ),
        ({"capacity": 1, "key": str}, ValueError, "Overflow.BACKPRESSURE takes no key: only Overflow.COALESCE does"),
        ({"capacity": 1, "overflow": Overflow.REJECT, "key": str}, ValueError, "Overflow.REJECT takes no key"),
    ],
)
def test_what_is_wrong_is_refused_at_once_and_named(fields, kind, text):
    with pytest.raises(kind, match=text):
        MailboxPolicy(**fields)


def test_fields_are_given_by_their_names():
    with pytest.raises(TypeError):
        MailboxPolicy(3)
