"""Agents with bounded mailboxes, drained by a consumer and in a system."""

import asyncio
import gc

import pytest

from pygents import Agent, AgentHook, AgentRegistry, Replace, Turn, current_agent, hook, tool
from pygents.actors import ActorDeadError, MailboxFullError, MailboxPolicy, Overflow, Timeout
from pygents.actors.system import ActorSystem
from tests.actors.helpers import in_thread, messages_of, until

ONE = MailboxPolicy(capacity=1)


@pytest.fixture
def note():
    @tool
    async def note(text):
        return text

    return note


@pytest.fixture
def agent(note):
    return Agent("a", "Notes", [note], mailbox=ONE)


def turn(text):
    return Turn("note", [text])


async def values(agent):
    return [value async for _, value in agent.run()]


def waiting_at(agent):
    room = agent.ref.actor_inbox._room
    return 0 if room is None else len(room.line)


async def begun(agent, work):
    """Return a task that has come to wait for room."""
    task = asyncio.create_task(work)
    await until(lambda: waiting_at(agent))
    return task


class TestAConsumer:
    async def test_makes_room_for_puts_in_their_order(self, agent):
        puts = [asyncio.create_task(agent.put(turn(text))) for text in "abc"]
        await until(lambda: waiting_at(agent) == 2)
        assert await values(agent) == ["a", "b", "c"]
        await asyncio.gather(*puts)

    async def test_may_run_in_another_loop_than_who_waits(self, agent):
        await agent.put(turn("first"))
        putting = in_thread(lambda: asyncio.run(agent.put(turn("second"))))
        await until(lambda: waiting_at(agent))
        seen = await values(agent)
        putting()
        assert seen + await values(agent) == ["first", "second"]

    @pytest.mark.parametrize("where", ["consumer", "tool", "generator", "hook"])
    async def test_and_its_tools_and_hooks_do_not_wait_for_themselves(self, where):
        async def put_from(place):
            if place == where and not refused:
                for put in (agent.put, agent.ref.tell_async):
                    with pytest.raises(MailboxFullError):
                        await put(turn("more"))
                refused.append(place)

        @tool
        async def note(text):
            await put_from("tool")
            return text

        @tool
        async def generate():
            await put_from("generator")
            yield "generated"

        @hook(AgentHook.AFTER_TURN)
        async def after(agent, turn):
            await put_from("hook")

        refused = []
        agent = Agent("a", "Notes", [note, generate], mailbox=ONE)
        agent.hooks = [after] if where == "hook" else []
        await agent.put(Turn("generate") if where == "generator" else turn("first"))
        fill = await begun(agent, agent.put(turn("second")))
        async for _ in agent.run():
            await put_from("consumer")
        await fill
        assert refused == [where]

    @pytest.mark.parametrize("closes", [True, False])
    def test_and_its_hooks_do_not_wait_either_when_somebody_else_closes_the_run(self, note, closes):
        @hook(AgentHook.AFTER_TURN)
        async def after(agent, turn):
            with pytest.raises(MailboxFullError):
                await agent.put(Turn("note", ["more"]))
            refused.append(turn.args[0])

        async def leave():
            await agent.put(turn("first"))
            fill = await begun(agent, agent.put(turn("second")))
            run = agent.run()
            await anext(run)
            await fill
            if closes:
                await asyncio.create_task(run.aclose())
            else:
                runs.append(run)  # the end of the loop closes it

        refused, runs = [], []
        agent = Agent("a", "Notes", [note], mailbox=ONE)
        agent.hooks = [after]
        asyncio.run(leave())
        assert refused == ["first"]

    async def test_gets_a_returned_turn_though_the_mailbox_is_full(self):
        @tool
        async def note(text):
            return turn(text[1:]) if len(text) > 1 else text

        agent = Agent("a", "Notes", [note], mailbox=ONE)
        await agent.put(turn("12"))
        other = await begun(agent, agent.put(turn("b")))
        seen = [value async for _, value in agent.run()]
        await other
        assert [value for value in seen if isinstance(value, str)] == ["b", "2"]

    async def test_that_nobody_can_be_any_more_keeps_nobody_waiting(self, note):
        agent = Agent("a", "Notes", [note], mailbox=ONE)
        ref = agent.ref
        await agent.put(turn("first"))
        telling = asyncio.create_task(ref.tell_async(turn("second")))
        await until(lambda: ref.actor_inbox._room.line)
        AgentRegistry.clear()
        del agent
        gc.collect()
        with pytest.raises(ActorDeadError):
            await telling


class TestPut:
    async def test_waits_with_its_hooks_run_once_and_around_the_wait(self, agent):
        @hook([AgentHook.BEFORE_PUT, AgentHook.AFTER_PUT])
        async def see(agent, turn):
            seen.append((turn.args[0], agent.ref.actor_inbox.contents()[1][-1:] != []))

        seen = []
        await agent.put(turn("first"))
        agent.hooks.append(see)
        putting = await begun(agent, agent.put(turn("second")))
        assert [text for text, _ in seen] == ["second"]
        assert await values(agent) == ["first", "second"]
        await putting
        assert [text for text, _ in seen] == ["second", "second"]

    async def test_that_is_cancelled_takes_the_turn_back(self, agent):
        await agent.put(turn("first"))
        putting = await begun(agent, agent.put(turn("second")))
        assert [stored["args"] for stored in agent.to_dict()["queue"]] == [["first"]]
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert await values(agent) == ["first"]

    async def test_to_another_agent_by_its_name_waits_too(self, agent, note):
        sender = Agent("sender", "Sends", [note])
        await agent.put(turn("first"))
        sending = await begun(agent, sender.send_turn("a", turn("second")))
        assert await values(agent) == ["first", "second"]
        await sending

    async def test_ends_when_the_agent_stops(self, agent):
        await agent.put(turn("first"))
        putting = await begun(agent, agent.put(turn("second")))
        await agent.stop()
        with pytest.raises(ActorDeadError, match="Agent 'a' has stopped and takes no more turns"):
            await putting
        assert [stored["args"] for stored in agent.to_dict()["queue"]] == [["first"]]

    @pytest.mark.parametrize("hooks", [False, True])
    async def test_is_refused_by_a_policy_that_has_nobody_wait(self, note, hooks):
        @hook(AgentHook.AFTER_PUT)
        async def see(agent, turn):
            pass

        agent = Agent("a", "Notes", [note], mailbox=MailboxPolicy(capacity=1, overflow=Overflow.REJECT))
        agent.hooks = [see] if hooks else []
        await agent.put(turn("first"))
        with pytest.raises(MailboxFullError, match="the mailbox of Agent 'a' is full"):
            await agent.put(turn("second"))
        assert await values(agent) == ["first"]

    async def test_drops_by_the_policy_and_logs_it(self, note, caplog):
        agent = Agent("a", "Notes", [note], mailbox=MailboxPolicy(capacity=1, overflow=Overflow.DROP_OLDEST))
        for text in "ab":
            await agent.put(turn(text))
        assert await values(agent) == ["b"]
        (message,) = messages_of(caplog, "dropped")
        assert message.startswith("The mailbox of Agent 'a' is full, which has dropped Turn(tool='note', args=['a']")

    async def test_coalesces_turns_by_a_key_of_theirs(self, note):
        policy = MailboxPolicy(capacity=2, overflow=Overflow.COALESCE, key=lambda turn: turn.args[0][0])
        agent = Agent("a", "Notes", [note], mailbox=policy)
        for text in ("a1", "b1", "a2"):
            await agent.put(turn(text))
        assert await values(agent) == ["a2", "b1"]


class TestInASystem:
    async def test_put_and_ask_wait_for_room(self, agent):
        async with ActorSystem("s") as system:
            agent.pause()
            system.spawn(agent)
            await agent.put(turn("first"))
            putting = asyncio.create_task(agent.put(turn("second")))
            asking = asyncio.create_task(agent.ask(turn("third")))
            await until(lambda: waiting_at(agent) == 2)
            agent.resume()
            assert await asking == "third"
            await putting

    async def test_the_time_of_an_ask_is_for_both_its_waits(self, agent):
        async with ActorSystem("s") as system:
            agent.pause()
            system.spawn(agent)
            await agent.put(turn("first"))
            with pytest.raises(MailboxFullError):
                await agent.ask(turn("second"), timeout=3)
            assert asyncio.get_running_loop().time() == pytest.approx(3)
            asking = await begun(agent, agent.ask(turn("third"), timeout=3))
            agent.resume()
            assert await asking == "third"
            agent.pause()
            with pytest.raises(Timeout):
                await agent.ask(turn("fourth"), timeout=3)
            agent.resume()

    @pytest.mark.real_time
    async def test_a_tell_waits_on_a_thread_without_a_loop_and_nowhere_else(self, agent):
        async with ActorSystem("s") as system:
            agent.pause()
            system.spawn(agent)
            agent.tell(turn("first"))
            with pytest.raises(MailboxFullError):
                agent.tell(turn("refused"))
            telling = in_thread(lambda: agent.tell(turn("second")))
            await until(lambda: waiting_at(agent))
            agent.resume()
            await asyncio.to_thread(telling)
            await system.wait_idle()
            assert agent.ref.statistics().handled == 2

    @pytest.mark.real_time
    async def test_so_does_a_turn_that_is_sent_again_with_what_was_decided_of_it(self, agent, note):
        @hook(AgentHook.BEFORE_PUT)
        async def replace(agent, turn):
            return Replace(args=["replaced"])

        other = Agent("other", "Notes", [note])
        other.hooks = [replace]
        async with ActorSystem("s") as system:
            agent.pause()
            system.spawn(agent)
            ref, sent_again = system.spawn(other), turn("second")
            other.pause()
            await other.put(sent_again)
            ref.kill()
            agent.tell(turn("first"))
            redriving = in_thread(lambda: system.dead_letters.redrive_all(to="a"))
            await until(lambda: waiting_at(agent))
            agent.resume()
            assert await asyncio.to_thread(redriving) == 1
            await system.wait_idle()
        assert sent_again.output == "replaced"

    @pytest.mark.parametrize("where", ["tool", "hook", "on_start"])
    async def test_its_own_code_does_not_wait_for_itself(self, where):
        async def put(agent):
            with pytest.raises(MailboxFullError):
                await agent.put(turn("more"))
            refused.append(where)

        class Starts(Agent):
            async def on_start(self):
                if where == "on_start":
                    await self.put(turn("fits"))
                    await put(self)

        @tool
        async def note(text):
            if where == "tool" and text == "first":
                await current_agent().put(turn("fits"))
                await put(current_agent())
            return text

        @hook(AgentHook.AFTER_TURN)
        async def after(agent, turn):
            if where == "hook" and turn.output == "first":
                await agent.put(Turn("note", ["fits"]))
                await put(agent)

        refused = []
        agent = Starts("a", "Notes", [note], mailbox=ONE)
        agent.hooks.append(after)
        async with ActorSystem("s") as system:
            system.spawn(agent)
            await system.wait_idle()
            agent.tell(turn("first"))
        assert refused == [where]
        assert agent.ref.statistics().handled == 2

    async def test_the_policy_of_the_spawn_is_in_the_place_of_the_agents_own(self, agent):
        async with ActorSystem("s") as system:
            await agent.put(turn("first"))
            putting = await begun(agent, agent.put(turn("second")))
            agent.pause()
            system.spawn(agent, mailbox=MailboxPolicy(capacity=3, overflow=Overflow.REJECT))
            await putting  # there is room now
            await agent.put(turn("third"))
            with pytest.raises(MailboxFullError):
                await agent.put(turn("fourth"))
            assert agent.to_dict()["mailbox"]["capacity"] == 1  # its own
            agent.resume()
        assert agent.ref.statistics().handled == 3

    async def test_without_one_its_own_stays_and_what_is_dropped_is_a_dead_letter(self, note):
        agent = Agent("a", "Notes", [note], mailbox=MailboxPolicy(capacity=1, overflow=Overflow.DROP_NEWEST))
        async with ActorSystem("s") as system:
            agent.pause()
            system.spawn(agent)
            first, second = turn("first"), turn("second")
            agent.tell(first)
            agent.tell(second)
            assert [letter.message for letter in system.dead_letters] == [second]
            agent.resume()

    async def test_what_was_queued_before_it_was_bounded_is_run_and_takes_no_room(self, note):
        agent = Agent("a", "Notes", [note])
        for text in "abc":
            await agent.put(turn(text))
        async with ActorSystem("s") as system:
            agent.pause()
            system.spawn(agent, mailbox=MailboxPolicy(capacity=1, overflow=Overflow.DROP_OLDEST))
            for text in "de":
                await agent.put(turn(text))
            assert [letter.message.args for letter in system.dead_letters] == [["d"]]
            agent.resume()
        assert agent.ref.statistics().handled == 4

    async def test_a_restart_keeps_the_policy(self, caplog):
        @tool
        async def note(text):
            if text == "fails":
                raise ValueError
            return text

        agent = Agent("a", "Notes", [note], mailbox=ONE)
        caplog.set_level("CRITICAL", "pygents.actors")
        async with ActorSystem("s") as system:
            system.spawn(agent)
            await asyncio.gather(*(agent.put(turn(text)) for text in ("fails", "b", "c")))
            await system.wait_idle()
            assert agent.ref.actor_inbox.policy is ONE
            assert agent.ref.statistics().handled == 2
