"""What only a process of its own can show: the end of the program, and a fork."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PRELUDE = """
import asyncio, os, sys, threading, time
from pygents.actors import ActorDeadError, ActorRegistry, AsyncActor, ThreadDispatcher

class Talks(AsyncActor):
    async def on_receive(self, message):
        if message == "hang":
            entered.set()
            await asyncio.Event().wait()
        if message == "in a thread":
            return await asyncio.to_thread(str, message)
        return message

    async def on_stop(self):
        await asyncio.sleep(0)
        print("stopped", flush=True)

class OnThread(Talks):
    dispatcher = ThreadDispatcher

entered = threading.Event()
"""


def run(program):
    """Run a program in a new interpreter with every warning shown; return its exit code, output and complaints."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", PRELUDE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    return done.returncode, done.stdout.split(), done.stderr


class TestTheProgramEnds:
    def test_cleanly_with_idle_actors_on_the_background_loop(self):
        assert run("""
            refs = [Talks.start() for _ in range(3)]
            assert [ref.ask(1) for ref in refs] == [1] * 3
            assert refs[0].ask("in a thread") == "in a thread"
        """) == (0, ["stopped"] * 3, "")

    def test_cleanly_in_the_middle_of_a_handler(self):
        assert run("""
            ref = Talks.start()
            reply = ref.ask("hang", block=False)
            assert entered.wait(10)
        """) == (0, ["stopped"], "")

    def test_cleanly_after_the_actors_were_stopped(self):
        assert run("""
            Talks.start()
            OnThread.start()
            assert ActorRegistry.stop_all() == [True, True]
        """) == (0, ["stopped", "stopped"], "")

    def test_cleanly_with_actors_of_a_loop_that_has_ended(self):
        assert run("""
            async def main():
                ref = Talks.start()
                await ref.ask_async(1)
                return ref
            ref = asyncio.run(main())
            try:
                ref.tell(1)
            except ActorDeadError:
                print("dead")
        """) == (0, ["stopped", "dead"], "")

    def test_with_the_code_that_it_exits_with(self):
        assert run("""
            Talks.start().ask(1)
            sys.exit(3)
        """) == (3, ["stopped"], "")

    def test_without_waiting_for_ever_for_a_handler_that_blocks(self):
        assert run("""
            from pygents.actors import loops
            class Blocks(AsyncActor):
                def on_receive(self, message):
                    entered.set()
                    threading.Event().wait()
            loops._EXIT_PATIENCE = 0.01
            Blocks.start().tell("block")
            assert entered.wait(10)
        """) == (0, [], "")

    def test_cleanly_with_actors_that_have_threads_of_their_own(self):
        assert run("""
            OnThread.start().ask(1)
        """) == (0, ["stopped"], "")

    def test_cleanly_after_the_background_loop_was_killed(self):
        code, output, complaints = run("""
            class Kills(AsyncActor):
                async def on_receive(self, message):
                    asyncio.get_running_loop().call_soon(sys.exit, 3)
                    await asyncio.Event().wait()
            try:
                Kills.start().ask("kill")
            except ActorDeadError:
                print("dead")
        """)
        assert (code, output) == (0, ["dead"])
        assert "atexit" not in complaints


def test_many_threads_that_start_the_first_actors_at_once_share_one_background_loop():
    assert run("""
        def start():
            barrier.wait()
            loops.append(Talks.start().serving_loop)
        barrier, loops = threading.Barrier(8), []
        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        names = [thread.name for thread in threading.enumerate()]
        print(len(loops), len(set(loops)), names.count("pygents-background"))
        ActorRegistry.stop_all()
    """) == (0, ["8", "1", "1", *["stopped"] * 8], "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
class TestAForkedChild:
    def test_starts_actors_of_its_own_and_disturbs_no_one_elses(self):
        code, output, _ = run("""
            ref = Talks.start()
            assert ref.ask("parent") == "parent"
            child = os.fork()
            if child == 0:
                print(Talks.start().ask("child"), flush=True)
                os._exit(0 if Talks.start().stop() else 1)
            _, status = os.waitpid(child, 0)
            print(ref.ask("parent"), os.waitstatus_to_exitcode(status))
        """)
        assert code == 0
        assert output == ["child", "stopped", "parent", "0", "stopped"]

    def test_finds_its_parents_actors_dead_whatever_runs_them_and_whatever_they_are_doing(self):
        code, output, _ = run("""
            from pygents.actors import CallerDispatcher
            class Drained(Talks):
                dispatcher = CallerDispatcher
            idle, busy, thread, drained = Talks.start(), Talks.start(), OnThread.start(), Drained.start()
            idle.ask(1), thread.ask(1)
            drained._dispatcher.loop = asyncio.new_event_loop()
            asked = busy.ask("hang", block=False)
            queued = busy.ask("behind", block=False)
            assert entered.wait(10)
            child = os.fork()
            if child == 0:
                for reply in [asked, queued]:
                    try:
                        reply.get()
                    except ActorDeadError:
                        print("answered", flush=True)
                for ref in [idle, busy, thread, drained]:
                    for send in [ref.tell, ref.ask, lambda message: asyncio.run(ref.ask_async(message))]:
                        try:
                            send("late")
                        except ActorDeadError:
                            print("dead", flush=True)
                    assert ref.stop() is False
                    assert not ref.is_alive()
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert asked.done is False
            print(os.waitstatus_to_exitcode(status), flush=True)
            os._exit(0)
        """)
        assert code == 0
        assert output == ["answered"] * 2 + ["dead"] * 12 + ["0"]

    def test_is_not_kept_waiting_by_locks_that_a_thread_of_its_parent_held(self):
        code, output, _ = run("""
            from pygents.actors import CallerDispatcher, flag, loops
            class Undrained(Talks):
                dispatcher = CallerDispatcher
            def hold():
                locks = [flag._lock, loops._loops_lock, ActorRegistry._actor_refs_lock]
                locks += [ref.actor_inbox._lock, undrained.actor_inbox._lock, reply._lock]
                for lock in locks:
                    lock.acquire()
                held.set()
                let_go.wait(10)
            ref, undrained = Talks.start(), Undrained.start()
            ref.actor_inbox.claim()
            reply = ref.ask("asked", block=False)
            held, let_go = threading.Event(), threading.Event()
            threading.Thread(target=hold).start()
            assert held.wait(10)
            child = os.fork()
            if child == 0:
                assert ref.stop() is False
                undrained.tell(1)
                print(undrained.is_alive(), undrained.stop(), Talks.start().stop(), flush=True)
                try:
                    reply.get()
                except ActorDeadError:
                    os._exit(0)
            _, status = os.waitpid(child, 0)
            let_go.set()
            print(os.waitstatus_to_exitcode(status), flush=True)
            os._exit(0)
        """)
        assert (code, output) == (0, ["stopped", "True", "True", "True", "0"])

    def test_may_stop_all_and_exit_like_any_program_since_its_parents_actors_are_dead_to_it(self):
        code, output, _ = run("""
            Talks.start().ask("parent")
            child = os.fork()
            if child == 0:
                Talks.start().ask("child")
                print(ActorRegistry.stop_all()[0], flush=True)
                sys.exit(0)
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status))
        """)
        assert code == 0
        assert output == ["stopped", "True", "0", "stopped"]

    def test_leaves_its_parents_systems_at_once_and_finds_them_dead(self):
        code, output, complaints = run("""
            from pygents.actors.system import ActorSystem
            with ActorSystem("s") as system:
                team = system.supervisor("team")
                ref = team.spawn(Talks, name="talks")
                ref.ask("parent")
                child = os.fork()
                if child == 0:
                    acts = [
                        lambda: system.spawn(Talks), lambda: team.spawn(Talks), lambda: team.stop("talks").get(),
                        lambda: system.supervisor("other"), lambda: system.statistics(), lambda: system.tree(),
                        lambda: asyncio.run(system.shutdown()), lambda: asyncio.run(system.wait_idle()),
                        lambda: system.events(), lambda: ref.tell("late"), lambda: ref.ask("late"),
                    ]
                    for act in acts:
                        try:
                            act()
                        except ActorDeadError:
                            print("dead", flush=True)
                    ref.kill()
                    assert asyncio.run(ref.wait_stopped()).value == "loop_closed"
                    assert (ref.stop(), ref.is_alive(), ref.statistics().accepted) == (False, False, 1)
                    with ActorSystem("own") as own:
                        print(own.spawn(Talks).ask("child"), flush=True)
                else:
                    _, status = os.waitpid(child, 0)
                    print(os.waitstatus_to_exitcode(status), flush=True)
            if child == 0:
                print("left", flush=True)
                os._exit(0)
        """)
        assert code == 0, complaints
        assert [word for word in output if word != "stopped"] == [*["dead"] * 11, "child", "left", "0"]

    def test_can_make_the_agents_that_its_parent_has(self):
        code, output, complaints = run("""
            from pygents import ActorSystem, Agent
            with ActorSystem("s") as system:
                system.spawn(Agent("agent", "Works", []))
                child = os.fork()
                if child == 0:
                    print(Agent("agent", "Works", []).name, flush=True)
                    os._exit(0)
                _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status))
        """)
        assert (code, output) == (0, ["agent", "0"]), complaints

    def test_leaves_a_system_on_a_running_loop_at_once(self):
        code, output, complaints = run("""
            from pygents.actors.system import ActorSystem
            async def main():
                async with ActorSystem("s") as system:
                    ref = system.spawn(Talks, name="talks")
                    await ref.ask_async("parent")
                    ref.tell("hang")
                    await asyncio.sleep(0)
                    child = os.fork()
                    if child == 0:
                        return child
                    _, status = await asyncio.to_thread(os.waitpid, child, 0)
                    print(os.waitstatus_to_exitcode(status), flush=True)
                    await system.shutdown(drain=False)
                    return child
            loop = asyncio.new_event_loop()
            child = loop.run_until_complete(main())
            if child == 0:
                print("left", flush=True)
                os._exit(0)
            loop.close()
        """)
        assert code == 0, complaints
        assert [word for word in output if word != "stopped"] == ["left", "0"]

    def test_is_not_kept_waiting_by_a_lock_of_a_system_that_a_thread_of_its_parent_held(self):
        code, output, complaints = run("""
            from pygents.actors.system import ActorSystem
            def hold():
                with system.lock:
                    held.set()
                    let_go.wait(10)
            held, let_go = threading.Event(), threading.Event()
            with ActorSystem("s") as system:
                ref = system.spawn(Talks, name="talks")
                ref.ask("parent")
                threading.Thread(target=hold).start()
                assert held.wait(10)
                child = os.fork()
                if child == 0:
                    try:
                        system.statistics()
                    except ActorDeadError:
                        print("dead", ref.is_alive(), flush=True)
                    os._exit(0)
                _, status = os.waitpid(child, 0)
                let_go.set()
            print(os.waitstatus_to_exitcode(status))
        """)
        assert code == 0, complaints
        assert [word for word in output if word != "stopped"] == ["dead", "False", "0"]
