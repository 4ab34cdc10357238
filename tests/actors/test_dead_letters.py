"""Dead letters: kept, bounded, found, and sent again."""

import logging
import threading

import pytest

from pygents.actors.dead_letters import DeadLetter, DeadLetterReason, DeadLetters


def letter(message, recipient="team/a", reason=DeadLetterReason.STOPPED, **fields):
    return DeadLetter(message=message, recipient=recipient, sender=None, reason=reason, at=0.0, **fields)


@pytest.fixture
def sent():
    return []


@pytest.fixture
def letters(sent):
    return DeadLetters(3, lambda recipient, one: sent.append((recipient, one.message)))


def test_are_kept_in_order_up_to_their_capacity_and_what_is_dropped_is_counted_and_logged(letters, caplog):
    all_of_them = [letter(number) for number in range(5)]
    with caplog.at_level(logging.WARNING, "pygents.actors"):
        for one in all_of_them:
            letters.record(one)
    assert list(letters) == all_of_them[2:]
    assert (len(letters), letters.dropped) == (3, 2)
    assert repr(letters) == "<DeadLetters 3 kept, 2 dropped>"
    assert ["message=0" in record.getMessage() for record in caplog.records] == [True, False]


def test_are_found_by_recipient_and_reason(letters):
    a, b = letter(1), letter(2, "b", DeadLetterReason.FAILED, failure=ValueError())
    letters.record(a)
    letters.record(b)
    assert letters.where() == [a, b]
    assert letters.where(recipient="b") == [b]
    assert letters.where(reason=DeadLetterReason.STOPPED) == [a]
    assert letters.where(recipient="b", reason=DeadLetterReason.STOPPED) == []


async def test_are_handed_to_who_has_subscribed(letters):
    subscription = letters.subscribe()
    letters.record(letter(1))
    assert (await anext(subscription)).message == 1


def test_one_that_is_sent_again_is_no_longer_dead(letters, sent):
    one = letter(1)
    letters.record(one)
    letters.redrive(one)
    assert (sent, list(letters)) == ([("team/a", 1)], [])
    with pytest.raises(ValueError, match="is not among the dead letters"):
        letters.redrive(one)
    assert sent == [("team/a", 1)]


def test_all_are_sent_again_in_order_also_to_another(letters, sent):
    for number in range(3):
        letters.record(letter(number))
    assert letters.redrive_all(to="b") == 3
    assert sent == [("b", 0), ("b", 1), ("b", 2)]
    assert letters.redrive_all() == 0


def test_one_that_is_not_taken_stays_in_its_place_with_those_behind_it(sent):
    def deliver(recipient, one):
        if one.message == 1:
            raise LookupError(recipient)
        sent.append(one.message)

    letters = DeadLetters(3, deliver)
    all_of_them = [letter(number) for number in range(3)]
    for one in all_of_them:
        letters.record(one)
    with pytest.raises(LookupError):
        letters.redrive_all()
    assert (sent, list(letters)) == ([0], all_of_them[1:])
    letters.redrive(all_of_them[2])
    with pytest.raises(LookupError):
        letters.redrive(all_of_them[1])
    assert list(letters) == [all_of_them[1]]


def test_equal_letters_are_letters_of_their_own(letters, sent):
    twins = [letter("same"), letter("same")]
    for one in twins:
        letters.record(one)
    letters.redrive(twins[1])
    letters.redrive(twins[0])
    assert len(sent) == 2


def test_two_that_send_the_same_letter_at_once_send_it_once():
    begun, sent, refused = threading.Barrier(2), [], []

    def deliver(recipient, one):
        sent.append(one.message)

    def redrive():
        begun.wait(10)
        try:
            letters.redrive(one)
        except ValueError as error:
            refused.append(error)

    letters, one = DeadLetters(3, deliver), letter(1)
    letters.record(one)
    threads = [threading.Thread(target=redrive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sent, len(refused)) == ([1], 1)


@pytest.mark.parametrize(("error", "capacity"), [(ValueError, 0), (TypeError, 1.5), (TypeError, True)])
def test_a_capacity_that_is_none_is_refused(letters, error, capacity):
    for make in [lambda: DeadLetters(capacity, print), lambda: letters.subscribe(capacity=capacity)]:
        with pytest.raises(error, match=f"capacity must be an integer of at least 1, not {capacity}"):
            make()
