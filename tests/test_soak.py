"""The soak: a short one on virtual time, and that each of its checks can fail."""

import asyncio

import pytest

from pygents.actors.ledger import Ledger
from pygents.actors.statistics import Statistics
from pygents.actors.transitions import Transitions
from pygents.testing import run
from soak.books import Books
from soak.crew import Worker
from soak.deeds import Deed
from soak.gauge import Reading, read_gauge
from soak.load import Stint
from soak.report import print_head, print_result, print_round
from soak.shift import Plan, work
from soak.verdict import complaints

SHORT = Plan(members=50, threads=0, customers=10, rounds=6, warm_up=3, messages=600, seconds=1e6)


def soak(plan=SHORT):
    return run(work(plan))


def reading(**changes):
    usual = {"memory": 100_000_000, "objects": 100_000, "tasks": 1, "threads": 2, "actors": 50}
    return Reading(**(usual | changes))


class TestWork:
    def test_a_short_soak_finds_nothing_wrong(self, capsys):
        outcome = soak()
        assert outcome.complaints == []
        assert len(outcome.rounds) == 6
        assert set(outcome.books.sent) == set(Deed)
        print_head(SHORT)
        print_round(outcome.rounds[0])
        print_result(outcome, SHORT)
        assert "nothing grew" in capsys.readouterr().out

    @pytest.mark.real_time
    async def test_so_does_one_on_real_time_with_threads(self):
        outcome = await work(Plan(members=20, threads=3, customers=5, rounds=1, warm_up=1, messages=200))
        assert outcome.complaints == []

    def test_sees_that_messages_are_kept(self, monkeypatch):
        kept, receive = [], Worker.on_receive

        async def keep(worker, message):
            kept.extend([message] for _ in range(20))
            return await receive(worker, message)

        monkeypatch.setattr(Worker, "on_receive", keep)
        assert "objects grew" in soak().complaints[0]

    def test_sees_that_a_dead_letter_is_not_counted(self, monkeypatch):
        monkeypatch.setattr(Ledger, "_write_off", lambda *_: None)
        assert "the system counts" in soak().complaints[0]

    def test_sees_that_a_message_vanishes(self, monkeypatch):
        monkeypatch.setattr(Ledger, "spend_failed", lambda ledger, envelope, _: ledger._inbox.done(envelope))
        assert "told, and neither handled nor dead letters" in "".join(soak().complaints)

    def test_sees_that_somebody_never_comes_to_rest(self, monkeypatch):
        async def forget(*_):
            """Leave a child suspended."""

        monkeypatch.setattr(Transitions, "_revive", forget)
        assert "asked, and never answered" in "".join(soak().complaints)

    def test_breaks_off_if_it_does_not_come_to_rest(self, monkeypatch):
        async def hang(worker, message):
            if message.deed is Deed.WAIT:
                await asyncio.Event().wait()

        monkeypatch.setattr(Worker, "on_receive", hang)
        (complaint, *_) = soak().complaints
        assert complaint.startswith("it broke off: AssertionError: <ActorSystem 'soak' open> was not idle within 30")

    def test_sees_what_the_loop_reports(self):
        async def main():
            plan = Plan(members=2, threads=0, customers=1, rounds=1, warm_up=1, messages=1)
            outcome = await work(plan)
            asyncio.get_running_loop().call_exception_handler({"message": "lost", "exception": KeyError(1)})
            return outcome

        assert run(main()).complaints == ["the loop reports: lost KeyError(1)"]


class TestVerdict:
    @pytest.mark.parametrize("name", ["memory", "objects", "tasks", "threads", "actors"])
    def test_a_quantity_that_grows_is_named(self, name):
        usual = getattr(reading(), name)
        readings = [reading(**{name: usual * (20 + step) // 10}) for step in range(0, 80, 10)]
        (complaint,) = complaints(readings)
        assert complaint.startswith(f"{name} grew from ")

    def test_one_that_goes_up_and_down_is_not(self):
        assert complaints([reading(objects=100_000 + 5_000 * (step % 2)) for step in range(12)]) == []

    def test_one_reading_says_nothing(self):
        assert complaints([reading()]) == []


class TestBooks:
    def test_agree_with_a_system_that_counts_right(self):
        books = Books()
        told, asked, dead, again = (books.task(Deed.WORK, asked=asked) for asked in (False, True, True, False))
        for task in (told, dead, again):
            books.told(task)
        books.asked(asked)
        books.handled(told)
        books.answered_with_error()
        books.refused(dead)
        books.died(again)
        books.told_again(again)
        books.handled(again)
        right = Statistics(accepted=4, handled=2, answered_with_error=1, dead_lettered=1)
        assert books.differences(right) == []

    def test_name_the_messages_that_are_lost(self):
        books = Books()
        for _ in range(7):
            books.told(books.task(Deed.WORK, asked=False))
        (complaint,) = books.differences(Statistics(accepted=7, handled=7))
        assert complaint.startswith("Task(number=1, deed=<Deed.WORK: 'work'>, asked=False), ")
        assert complaint.endswith(", ... (7 in all) were told, and neither handled nor dead letters")


async def test_a_stint_ends_with_its_messages_or_its_time():
    stint = Stint(seconds=10, messages=2)
    assert [stint.begin_message() for _ in range(3)] == [True, True, False]
    stint = Stint(seconds=10, messages=1e6)
    assert stint.begin_message()
    await asyncio.sleep(10)
    assert stint.is_over
    assert not stint.begin_message()


@pytest.mark.real_time
async def test_the_gauge_reads_what_the_process_holds():
    before = read_gauge()
    other = asyncio.create_task(asyncio.Event().wait())
    refs = [Worker.start(None) for _ in range(10)]
    after = read_gauge()
    assert before.memory > 1_000_000
    assert after.objects > before.objects
    assert (after.tasks, after.actors) == (before.tasks + 1, before.actors + 10)
    other.cancel()
    for ref in refs:
        await ref.stop_async()
