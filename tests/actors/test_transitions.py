"""Transitions of several children: none is undone by another below or above, and none ends in the midst of one."""

import asyncio

import pytest
from pykka import ActorRegistry

from pygents.actors import ActorFailedError, AsyncActor, Backoff, Directive, Ended, Restart, Strategy, Supervision
from pygents.actors.child import Child
from pygents.actors.system import ActorSystem
from pygents.errors import SystemFailedError
from tests.actors.helpers import Life, Worker, boom, hang


async def test_a_restart_of_a_group_below_does_not_take_back_that_one_above_holds_it():
    log = []
    everybody = Supervision(strategy=Strategy.ONE_FOR_ALL)
    async with ActorSystem("s", supervision=everybody) as system:
        team = system.supervisor("team", everybody)
        inner = team.spawn(Worker, log, "inner")
        outer = system.spawn(Worker, log, "outer")
        await system.wait_idle()
        inner.tell(ValueError("below"))
        outer.tell(ValueError("above"))
        await asyncio.sleep(0)
        inner.tell("message")
        await system.wait_idle()
        assert "restart inner ValueError('above')" in log
        assert log.index(("inner", "message")) > log.index("restart inner ValueError('above')")


@pytest.mark.parametrize("steps", range(12))
async def test_a_supervisor_that_fails_while_one_above_restarts_it_is_restarted_by_that_one_alone(steps):
    log = []
    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        outer = system.spawn(Worker, log, "outer")
        team = system.supervisor("team")
        inner = team.supervisor("inner", Supervision(max_restarts=0)).spawn(Worker, log, "inner")
        await system.wait_idle()
        inner.tell(ValueError("below"))
        inner.tell("message")
        for _ in range(steps):  # of the loop, until the other fails
            await asyncio.sleep(0)
        outer.tell(ValueError("above"))
        await system.wait_idle()
        restarted = [index for index, line in enumerate(log) if line == "restart inner ValueError('above')"]
        failed = next(index for index, line in enumerate(log) if isinstance(line, tuple) and line[0] == "outer")
        handled = log.index(("inner", "message"))
        assert not restarted or not failed < handled < restarted[0], "nothing is handled between the two"


async def test_a_supervisor_that_is_stopped_by_two_is_counted_once():
    system = ActorSystem("s")
    async with system:
        team = system.supervisor("team")
        team.spawn(Life, [], name="a").tell(lambda: asyncio.sleep(2))
        await asyncio.sleep(1)
        system.root.stop("team")  # takes a second, and meanwhile the system is shut down
        await asyncio.sleep(0.5)
        await system.shutdown(drain=False)
    assert system.statistics().accepted == 1


async def test_a_restarted_actor_counts_its_childrens_restarts_anew():
    class Parent(Worker):
        supervision = Supervision(max_restarts=1, within=1_000.0)

        def on_start(self):
            super().on_start()
            self.spawn(Worker, log, "child", name="child")

    log = []
    async with ActorSystem("s") as system:
        system.spawn(Parent, log, "p", name="p")
        await system.wait_idle()
        for _ in range(2):
            system.whereis("p/child").tell(boom())
            await system.wait_idle()
        assert log.count("start p") == 2, "the child has failed once too often"
        system.whereis("p/child").tell(boom())
        await system.wait_idle()
        assert log.count("start p") == 2, "once is not too often"


class SlowToStop(Worker):
    async def on_stop(self):
        super().on_stop()
        await hang()


async def test_an_actor_that_is_cut_and_then_slow_to_stop_is_restarted_once_and_handles_one_message_at_a_time():
    log, busy, runs = [], [], []

    async def slow():
        assert not busy, "two at once"
        busy.append(1)
        runs.append(1)
        try:
            await (hang() if len(runs) == 1 else asyncio.sleep(100))
        finally:
            busy.pop()

    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        first = system.spawn(Worker, log, "a", name="a", shutdown=1.0)
        second = system.spawn(SlowToStop, log, "b", name="b", shutdown=1.0)
        asked = second.ask(slow, block=False)
        second.tell(slow)
        await asyncio.sleep(1)
        first.tell(boom())
        await asked
        await system.wait_idle()
        assert log.count("start b") == 2
        assert system.statistics().handled == 2
        report = await system.shutdown()
    assert report.abandoned == ()


async def test_a_child_that_is_revived_while_it_still_retires_from_a_failed_start_starts_again():
    class Parent(Worker):
        async def on_start(self):
            starts.append(1)
            if len(starts) == 2:
                self.spawn(Worker, [], "child")  # which takes a moment to stop
                raise OSError

    starts = []
    policy = Supervision(strategy=Strategy.ONE_FOR_ALL, decide={KeyError: Directive.ESCALATE})
    async with ActorSystem("s") as system:
        ref = system.supervisor("team", policy).spawn(Parent, [], "p")
        ref.tell(KeyError())
        await system.wait_idle()
        assert len(starts) == 3
        assert await ref.ask_async("hello") == (1, "hello")


async def test_an_actor_that_waits_for_a_child_whose_supervisor_has_failed_is_cut_and_fails():
    class Kid(AsyncActor):
        def on_receive(self, message):
            raise ValueError(message)

    class Parent(AsyncActor):
        supervision = Supervision(max_restarts=0)

        async def on_receive(self, message):
            if message != "delegate":
                return message
            kid = self.spawn(Kid, name="kid")
            kid.tell("fails, and its supervisor with it")
            return await kid.ask_async("waits for that to be up again")

    async with ActorSystem("s", supervision=Supervision(max_restarts=10, max_attempts=2)) as system:
        parent = system.spawn(Parent, name="p", shutdown=1.0)
        with pytest.raises(ActorFailedError, match="cut in each of its 2 runs"):
            await parent.ask_async("delegate")
        assert await parent.ask_async("hello") == "hello"
        await system.wait_idle()
        assert system.statistics().queued == 0


async def test_one_that_ignores_being_cut_for_that_is_abandoned_and_a_fresh_actor_goes_on():
    class Parent(Worker):
        supervision = Supervision(max_restarts=0)

        def on_start(self):
            super().on_start()
            self.spawn(Worker, [], "kid", name="kid")

    async def stubborn():
        runs.append(1)
        while len(runs) == 1 and not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return "again"

    log, runs, released = [], [], asyncio.Event()
    async with ActorSystem("s") as system:
        parent = system.spawn(Parent, log, "p", name="p", shutdown=1.0)
        asked = parent.ask(stubborn, block=False)
        await asyncio.sleep(1)
        system.whereis("p/kid").tell(boom())
        assert await asked == "again"
        assert log.count("start p") == 2
        assert (await system.shutdown()).abandoned == ("p",)
        released.set()


class Hangs(Worker):
    """Hangs in each start but the first."""

    def on_restart(self, failure):
        return hang()


@pytest.mark.parametrize("ends", ["stop", "shutdown"])
async def test_a_start_that_hangs_in_a_groups_restart_keeps_nobody_from_ending_it(ends):
    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        system.spawn(Hangs, [], "hangs", name="hangs", start_timeout=1_000.0, shutdown=1.0)
        system.spawn(Worker, [], "fails").tell(boom())
        await asyncio.sleep(5)
        began = asyncio.get_running_loop().time()
        if ends == "stop":
            assert await system.root.stop("hangs")
        else:
            await system.shutdown(drain=False)
        assert asyncio.get_running_loop().time() - began <= 2


async def test_stopping_a_child_by_name_does_not_wait_for_the_backoff_of_its_group():
    log = []
    policy = Supervision(strategy=Strategy.ONE_FOR_ALL, backoff=Backoff(initial=100.0, maximum=100.0, jitter=0.0))
    async with ActorSystem("s", supervision=policy) as system:
        first, second = (system.spawn(Worker, log, name, name=name) for name in "ab")
        first.tell(boom())
        await asyncio.sleep(5)
        assert await system.root.stop("b")
        assert asyncio.get_running_loop().time() == 5
        assert await first.ask_async("hello") == (1, "hello")
        assert asyncio.get_running_loop().time() == 100, "the other has waited"
        assert not second.is_alive()


async def test_a_permanent_actor_that_stops_itself_twice_is_restarted_once():
    class Stops(Worker):
        def on_receive(self, message):
            self.stop()
            self.stop()

    log = []
    async with ActorSystem("s", supervision=Supervision(max_restarts=1)) as system:
        ref = system.spawn(Stops, log, "a", restart=Restart.PERMANENT)
        ref.tell("now")
        await system.wait_idle()
        assert log.count("start a") == 2
        assert system.statistics().queued == 0


async def test_a_child_that_is_up_handles_messages_while_a_younger_one_of_its_group_still_starts():
    class Slow(Worker):
        async def on_start(self):
            await asyncio.sleep(1)
            super().on_start()

    log = []
    async with ActorSystem("s", supervision=Supervision(strategy=Strategy.ONE_FOR_ALL)) as system:
        a, b, c = (system.spawn(Slow, log, name, name=name) for name in "abc")
        await system.wait_idle()
        b.tell(boom())
        for ref in (c, b, a):
            ref.tell("behind")
        await system.wait_idle()
    started = log[log.index("stop a") :]
    assert [line for line in started if line in {"start a", "start b", "start c"} or isinstance(line, tuple)] == [
        *("start a", ("a", "behind")),
        *("start b", ("b", "behind")),
        *("start c", ("c", "behind")),
    ]


class TestAPermanentActor:
    @pytest.mark.parametrize("where", ["handler", "task", "thread"])
    async def test_is_started_again_if_its_own_code_stops_it_by_its_ref(self, where):
        class Stops(AsyncActor):
            async def on_receive(self, message):
                if message == "task":
                    await asyncio.create_task(self.stop_by_ref())
                elif message == "thread":
                    await asyncio.to_thread(self.actor_ref.stop, block=False)
                elif message == "handler":
                    self.actor_ref.stop(block=False)
                return self

            async def stop_by_ref(self):
                self.actor_ref.stop(block=False)

        async with ActorSystem("s") as system:
            ref = system.spawn(Stops, restart=Restart.PERMANENT)
            first = await ref.ask_async(where)
            assert await ref.ask_async("hello") is not first
            assert "1 restart" in system.tree()

    @pytest.mark.parametrize("how", ["another", "all"])
    async def test_is_not_if_another_one_stops_it_or_all_are_stopped(self, how):
        class Stops(AsyncActor):
            def on_receive(self, message):
                ActorRegistry.stop_all(block=False) if message is self.actor_ref else message.stop(block=False)

        async with ActorSystem("s") as system:
            one, other = (system.spawn(Stops, restart=Restart.PERMANENT) for _ in range(2))
            one.tell(other if how == "another" else one)
            assert await other.wait_stopped() is Ended.STOPPED
            if how == "all":
                assert await one.wait_stopped() is Ended.STOPPED


async def test_children_that_an_actor_spawns_in_its_end_do_not_outlive_it():
    class Parent(Worker):
        def on_start(self):
            super().on_start()
            self.spawn(Worker, log, "kid", name="kid")

        def on_failure(self, *failure):
            self.spawn(Worker, log, "late", name="kid")

    log = []
    async with ActorSystem("s") as system:
        ref = system.spawn(Parent, log, "p", name="p")
        ref.tell(boom())
        await ref.ask_async("hello")
        await system.wait_idle()
        assert log.count("stop late") == 1
        assert log.index("stop late") < log.index("restart p ValueError('boom')")


@pytest.mark.parametrize("kind", [Life, AsyncActor])
async def test_a_child_that_is_killed_before_it_is_started_ends(kind, monkeypatch):
    def start(child):
        child.ref.kill()
        original(child)

    original = Child.start
    monkeypatch.setattr(Child, "start", start)
    async with ActorSystem("s") as system:
        ref = system.spawn(kind, *([[]] if kind is Life else []))
        assert await ref.wait_stopped() is Ended.KILLED
        assert ref not in ActorRegistry.get_all()
        assert system.root.nodes() == []


@pytest.mark.parametrize("at", ["root", "team"])
async def test_stopping_all_children_does_not_lose_a_failure_that_has_come_up(at):
    async def all_of_it():
        async with ActorSystem("s", supervision=Supervision(max_restarts=0)) as system:
            supervisor = system.root if at == "root" else system.supervisor("team", Supervision(max_restarts=0))
            slow, failing = (supervisor.spawn(Worker, [], name, name=name) for name in ("slow", "failing"))
            slow.tell(lambda: asyncio.sleep(4))
            await asyncio.sleep(1)
            stopping = supervisor.stop("slow")  # takes its turn
            failing.tell(boom())
            await asyncio.sleep(1)
            assert supervisor.transitions.failing
            await supervisor.stop_all()
            await stopping
            await asyncio.sleep(100)

    with pytest.raises(SystemFailedError):
        await all_of_it()


async def test_stopping_all_children_is_no_restart_of_their_supervisor():
    async with ActorSystem("s") as system:
        team = system.supervisor("team")
        ref = team.spawn(Life, [])
        await team.stop_all()
        assert not ref.is_alive()
        assert system.tree().endswith("team [one_for_one, 0 restarts]")
        assert await team.spawn(Worker, [], "next").ask_async("hello") == (1, "hello")


async def test_a_temporary_child_that_escalates_is_not_started_again_although_another_restart_overtakes_that():
    class SlowAgain(Worker):
        async def on_restart(self, failure):
            await asyncio.sleep(5)

    class Escalates(AsyncActor):
        def on_start(self):
            log.append("start")
            raise KeyError

        def on_restart(self, failure):
            log.append("restart")

    log, everybody = [], Supervision(strategy=Strategy.ONE_FOR_ALL)
    async with ActorSystem("s", supervision=everybody) as system:
        failing = system.spawn(SlowAgain, [], "a")
        team = system.supervisor("team", Supervision(decide={KeyError: Directive.ESCALATE}))
        failing.tell(ValueError("above"))
        await asyncio.sleep(1)  # the team is down, and waits for its turn to start again
        ref = team.spawn(Escalates, restart=Restart.TEMPORARY)
        assert await ref.wait_stopped() is Ended.FAILED
        await system.wait_idle()
    assert log == ["start"]
