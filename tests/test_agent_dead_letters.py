"""Turns that are dead letters, and sent again: what was decided when they were put still holds."""

import pytest

from pygents import ActorSystem, Agent, AgentHook, Replace, Skip, Turn, hook, tool
from pygents.actors import AsyncActor


@pytest.fixture
def paid():
    return []


@pytest.fixture
def pay(paid):
    @tool
    async def pay(amount):
        if amount > 0 and not paid:
            paid.append("nothing: the line is down")
            raise ConnectionError
        paid.append(amount)

    return pay


@hook(AgentHook.BEFORE_PUT)
async def cap(agent, turn):
    """Let nobody pay more than 100, and nothing at all for a negative amount."""
    return Skip("paid nothing") if turn.args[0] < 0 else Replace(args=[min(turn.args[0], 100)])


@pytest.mark.parametrize("to", [None, "other"])
async def test_a_turn_that_is_sent_again_takes_along_what_was_decided_when_it_was_put(pay, paid, to):
    payer, other = Agent("payer", "Pays", [pay]), Agent("other", "Pays too", [pay])
    payer.hooks.append(cap)
    async with ActorSystem("s") as system:
        system.spawn(payer)
        system.spawn(other)
        await payer.put(Turn(pay, [1_000_000]))
        payer.ref.tell(Turn(pay, [0]))  # without put hooks
        await system.wait_idle()
        assert system.dead_letters.redrive_all(to=to) == 1
        await system.wait_idle()
        assert paid[1:] == [0, 100]


async def test_so_does_one_that_was_skipped_and_that_is_sent_again_twice(pay, paid):
    payers = [Agent(f"payer {number}", "Pays", [pay]) for number in range(3)]
    payers[0].hooks.append(cap)
    turn = Turn(pay, [-1])
    async with ActorSystem("s") as system:
        refs = [system.spawn(payer) for payer in payers]
        await payers[0].put(turn)
        refs[0].kill()
        for payer, ref in zip(payers[1:], refs[1:], strict=True):
            (letter,) = system.dead_letters
            system.dead_letters.redrive(letter, to=payer.name)
            if payer is payers[1]:
                ref.kill()
        await system.wait_idle()
        assert (turn.output, paid) == ("paid nothing", [])


async def test_what_is_no_turn_or_goes_to_no_agent_is_sent_as_it_is(pay):
    class Clerk(AsyncActor):
        def on_receive(self, message):
            seen.append(message)

    seen = []
    payer, turn = Agent("payer", "Pays", [pay]), Turn(pay, [5])
    payer.hooks.append(cap)
    async with ActorSystem("s") as system:
        ref = system.spawn(payer)
        system.spawn(Clerk, name="clerk")
        await payer.put(turn)
        ref.tell("hello")
        ref.kill()
        assert system.dead_letters.redrive_all(to="clerk") == 2
        await system.wait_idle()
        assert seen == [turn, "hello"]
