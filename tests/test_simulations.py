"""Whole systems from many seeds; and that with bugs put into the runtime the seeds soon find them."""

import sys

import pytest

from pygents import ToolRegistry
from pygents.actors.abandonment import abandon_handler
from pygents.actors.child import Child
from pygents.actors.ledger import Ledger
from pygents.actors.mailbox import Mailbox
from pygents.agent_child import AgentChild
from pygents.testing import SimulationFailedError, simulate
from simulations import __main__ as entry
from simulations import pipeline, team
from simulations.account import Account
from simulations.catalogue import CASES
from tests.actors.helpers import Echo

SEEDS = range(100)
"""How many a bug may take is more: see the end."""


@pytest.fixture(autouse=True)
def stage(caplog):
    """Have the tools that each test begins without, and no tracebacks of failures that are meant."""
    for tool in (pipeline.price, team.file):
        ToolRegistry.register(tool)
    caplog.set_level(100)


@pytest.mark.parametrize("name", CASES)
def test_a_hundred_seeds_find_nothing_wrong(name):
    CASES[name].simulate_many(SEEDS)


class TestWhatHappensInThem:
    def test_is_that_items_are_late_in_a_pipeline(self):
        seconds = {CASES["pipeline"].simulate(seed).seconds for seed in range(10)}
        assert len(seconds) == 10

    def test_is_that_workers_of_a_pool_end_and_its_queues_grow(self):
        traces = [CASES["pool"].simulate(seed).trace for seed in range(10)]
        texts = [f"{record.kind} {record.text}" for trace in traces for record in trace]
        assert any("Ended.KILLED" in text for text in texts)
        assert any("DeadLetterReason.STOPPED" in text for text in texts)
        assert sum("DeadLetterRecorded" in text for text in texts) > 20

    def test_is_that_a_team_fails_in_every_way(self):
        traces = [CASES["team"].simulate(seed).trace for seed in range(30)]
        text = "\n".join(f"{record.kind} {record.text}" for trace in traces for record in trace)
        kinds = ["ActorRestarted", "SupervisorFailed", "TurnFailed", "DeadLetterRecorded", "fault is cancelled"]
        kinds.append("TurnCancelledError('cancel_turn() was called')")
        reasons = ["FAILED", "POISON", "STOPPED"]
        assert [kind for kind in kinds if text.count(kind) < 10] == []
        assert [reason for reason in reasons if f"DeadLetterReason.{reason}" not in text] == []


class TestBugsThatAreFound:
    """Each within 500 seeds, as it is put into the runtime on purpose."""

    def seed_that_finds(self, name):
        with pytest.raises(SimulationFailedError) as caught:
            CASES[name].simulate_many(range(500))
        return caught.value

    def test_a_message_is_dropped_at_a_restart(self, monkeypatch):
        def drop(ledger, envelope, *_):
            ledger._inbox.done(envelope)
            return True

        monkeypatch.setattr(Ledger, "go_back", drop)
        assert self.seed_that_finds("team").seed < 50

    def test_two_messages_are_handled_at_once(self, monkeypatch):
        # a restart does not wait until the handler that it has cancelled has cleaned up
        monkeypatch.setattr("pygents.actors.transitions.cut", abandon_handler)
        monkeypatch.setattr("pygents.testing.simulated_system.cut", abandon_handler)
        error = self.seed_that_finds("team")
        assert error.seed < 50
        assert " beside " in error.reason

    def test_a_cancel_does_not_wait_for_the_end_of_the_handler(self, monkeypatch):
        for kind in (Child, AgentChild):
            monkeypatch.setattr(kind, "interrupt", lambda child, _: abandon_handler(child) and True)
        assert self.seed_that_finds("team").seed < 50

    def test_a_message_goes_back_to_the_end_of_the_queue(self, monkeypatch):
        def put_back(inbox, item):
            with inbox._lock:
                if inbox._closed or inbox.in_hand is not item:
                    return False
                inbox.in_hand = None
                inbox._taken -= 1
                inbox._items.append(item)
                return True

        monkeypatch.setattr(Mailbox, "put_back", put_back)
        error = self.seed_that_finds("team")
        assert error.seed < 50
        assert "from the same sender" in error.reason

    @pytest.mark.parametrize("name", CASES)
    def test_the_claim_is_given_back_too_soon(self, monkeypatch, name):
        def release(inbox):
            with inbox._lock:
                inbox._claimed = False
                return True

        monkeypatch.setattr(Mailbox, "release", release)
        assert self.seed_that_finds(name).seed < 50

    def test_one_who_waits_for_room_in_a_full_mailbox_is_forgotten(self, monkeypatch):
        vacate = Mailbox._vacate

        def forget(inbox, item, told):
            vacate(inbox, item, told)
            told.clear()

        monkeypatch.setattr(Mailbox, "_vacate", forget)
        assert self.seed_that_finds("pool").seed < 50

    def test_a_kill_forgets_what_is_queued(self, monkeypatch):
        def clear_queued(ledger):
            ledger._inbox.clear_queued()
            return lambda: None

        monkeypatch.setattr(Ledger, "clear_queued", clear_queued)
        assert self.seed_that_finds("pool").seed < 50


class TestTheAccount:
    def test_sees_what_is_lost_and_what_is_not_answered(self, monkeypatch):
        async def scenario(system):
            account = Account()
            account.tell("me", system.spawn(Echo), 1)
            account.ask("me", system.spawn(Echo), 2)
            await system.wait_idle()
            account.check(system)

        monkeypatch.setattr("pygents.actors.cell.answer", lambda *_: None)
        with pytest.raises(SimulationFailedError) as caught:
            simulate(scenario, seed=0)
        assert "number=0, item=1) was told, and is neither done nor cancelled nor a dead letter" in caught.value.reason
        assert "number=1, item=2) was asked, and is not answered" in caught.value.reason

    def test_sees_a_count_that_is_wrong(self):
        async def scenario(system):
            account = Account()
            system.spawn(Echo).tell(1)
            await system.wait_idle()
            account.check(system)

        with pytest.raises(SimulationFailedError, match="1 are counted as accepted, not 0"):
            simulate(scenario, seed=0)

    def test_is_not_told_of_what_is_sent_to_the_dead(self):
        async def scenario(system):
            account = Account()
            ref = system.spawn(Echo)
            await ref.stop_async()
            account.tell("me", ref, 1)
            assert account.ask("me", ref, 1).done
            account.check(system)

        simulate(scenario, seed=0)


class TestTheEntry:
    def run(self, monkeypatch, *arguments):
        monkeypatch.setattr(sys, "argv", ["simulations", *arguments])
        monkeypatch.setattr(entry.logging, "disable", lambda _: None)
        return entry.main()

    def test_reports_what_it_has_done(self, monkeypatch, capsys):
        assert self.run(monkeypatch, "3", "--first", "5") == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(" in ")[0] for line in lines] == [f"{name}: 3 seeds from 5" for name in CASES]

    def test_shows_what_is_wrong(self, monkeypatch, capsys):
        monkeypatch.setattr(Mailbox, "release", lambda _: True)
        assert self.run(monkeypatch, "10", "--only", "pool") == 1
        assert capsys.readouterr().out.startswith("pool fails: ")

    def test_refuses_what_it_cannot_do(self, monkeypatch, capsys):
        with pytest.raises(SystemExit):
            self.run(monkeypatch, "0")
        assert "there is a seed at least" in capsys.readouterr().err
