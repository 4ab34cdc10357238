"""What bounds an agent's mailbox: given, stored, restored, branched, and refused."""

import asyncio

import pytest

from pygents import Agent, AgentRegistry, Turn, tool
from pygents.actors import AsyncActor, MailboxPolicy, Overflow
from pygents.actors.system import ActorSystem

ONE = MailboxPolicy(capacity=1)
TWO = MailboxPolicy(capacity=2)


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


class TestStoring:
    async def test_brings_the_policy_back(self, note):
        policy = MailboxPolicy(capacity=3, overflow=Overflow.DROP_OLDEST, timeout=None)
        data = Agent("a", "Notes", [note], mailbox=policy).to_dict()
        assert data["mailbox"] == {"capacity": 3, "overflow": "drop_oldest", "timeout": None}
        AgentRegistry.clear()
        again = Agent.from_dict(data)
        assert again.ref.actor_inbox.policy == policy
        assert again.to_dict() == data

    def test_has_no_field_for_it_if_there_is_none(self, note):
        assert "mailbox" not in Agent("a", "Notes", [note]).to_dict()

    async def test_brings_more_turns_back_than_there_is_room_for(self, agent, note):
        data = agent.to_dict() | {"name": "b", "queue": [turn(text).to_dict() for text in "abc"]}
        again = Agent.from_dict(data)
        await again.put(turn("d"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(again.put(turn("e")), 1)
        assert await values(again) == ["a", "b", "c", "d"]

    async def test_is_refused_for_a_policy_with_a_function(self, note):
        policy = MailboxPolicy(capacity=1, overflow=Overflow.COALESCE, key=str)
        agent = Agent("a", "Notes", [note], mailbox=policy)
        with pytest.raises(TypeError, match=r"its key is a function: give it to spawn\(\), not to the agent"):
            agent.to_dict()
        async with ActorSystem("s") as system:
            other = Agent("b", "Notes", [note])
            system.spawn(other, mailbox=policy)
            assert "mailbox" not in other.to_dict()

    @pytest.mark.parametrize(
        ("stored", "kind", "text"),
        [
            ("full", TypeError, "field 'mailbox' must be Mapping or None, not 'full'"),
            (
                {},
                ValueError,
                "field 'mailbox' cannot be restored: MailboxPolicy.from_dict: field 'capacity' is missing",
            ),
            ({"capacity": 0, "overflow": "reject", "timeout": 1}, ValueError, "capacity must be an integer"),
            ({"capacity": "1", "overflow": "reject", "timeout": 1}, TypeError, "capacity must be an integer"),
            ({"capacity": 1, "overflow": "spill", "timeout": 1}, ValueError, "'spill' is not a valid Overflow"),
            ({"capacity": 1, "overflow": "coalesce", "timeout": 1}, ValueError, "needs a key"),
            ({"capacity": 1, "overflow": "reject", "timeout": "1"}, TypeError, "timeout must be a number"),
        ],
    )
    def test_names_a_wrong_field_and_makes_nothing(self, agent, stored, kind, text):
        data = agent.to_dict() | {"name": "b", "mailbox": stored}
        with pytest.raises(kind, match=text):
            Agent.from_dict(data)
        assert agent.ref.actor_class is not None
        with pytest.raises(KeyError):
            AgentRegistry.get("b")


async def test_a_branch_has_the_policy_and_all_the_turns(agent):
    await agent.put(turn("a"))
    branch = agent.branch("b")
    await branch.put(turn("b"))
    assert branch.ref.actor_inbox.policy is ONE
    assert await values(branch) == ["a", "b"]
    assert await values(agent) == ["a"]


class TestWrongInput:
    @pytest.mark.parametrize("wrong", [5, "full", MailboxPolicy, Overflow.REJECT, {"capacity": 1}])
    async def test_is_refused_wherever_a_policy_is_given(self, note, wrong):
        class Parent(AsyncActor):
            async def on_receive(self, message):
                self.spawn(AsyncActor, mailbox=wrong)

        with pytest.raises(TypeError, match="mailbox must be a MailboxPolicy, not"):
            Agent("a", "Notes", [note], mailbox=wrong)
        agent = Agent("a", "Notes", [note])  # nothing has taken the name
        async with ActorSystem("s") as system:
            for spawn in (system.spawn, system.supervisor("team").spawn):
                with pytest.raises(TypeError, match="mailbox must be a MailboxPolicy"):
                    spawn(AsyncActor, mailbox=wrong)
                with pytest.raises(TypeError, match="mailbox must be a MailboxPolicy"):
                    spawn(agent, mailbox=wrong)
            with pytest.raises(TypeError, match="mailbox must be a MailboxPolicy"):
                await system.spawn(Parent).ask_async("spawn")
            system.spawn(agent)
            with pytest.raises(TypeError, match="mailbox must be a MailboxPolicy"):
                agent.spawn(AsyncActor, mailbox=wrong)

    def test_a_policy_is_given_by_its_name(self, note):
        with pytest.raises(TypeError):
            Agent("a", "Notes", [note], ONE)


async def test_children_of_actors_and_agents_are_bounded_too(agent):
    class Parent(AsyncActor):
        def on_receive(self, message):
            return self.spawn(AsyncActor, mailbox=TWO)

    async with ActorSystem("s") as system:
        system.spawn(agent)
        child = await system.spawn(Parent).ask_async("spawn")
        assert child.actor_inbox.policy is TWO
        assert agent.spawn(AsyncActor, mailbox=TWO).actor_inbox.policy is TWO
