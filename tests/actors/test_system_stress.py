"""Eight threads tell and ask supervised actors that fail, on loops and on threads: every message is counted."""

import random
import sys
import threading
from collections import Counter

import pytest

from pygents.actors import ActorDeadError, AsyncActor, Directive, Strategy, Supervision, ThreadDispatcher
from pygents.actors.system import ActorSystem
from tests.actors.helpers import PATIENCE

SENDERS = 8
MESSAGES = 300


class Flaky(AsyncActor):
    def __init__(self) -> None:
        super().__init__()
        self._last = {}

    async def on_receive(self, message):
        sender, number, fails = message
        assert number > self._last.get(sender, -1), "in the order sent"
        self._last[sender] = number
        if fails:
            raise fails(message)
        return number


class OnThread(Flaky):
    dispatcher = ThreadDispatcher


@pytest.fixture(autouse=True)
def switch_often(caplog):
    caplog.set_level("CRITICAL", "pygents.actors")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def outcome(reply):
    try:
        reply.get(timeout=PATIENCE)
    except ActorDeadError as error:
        return "refused" if "takes no more messages" in str(error) else "failed"
    except (KeyError, ValueError):
        return "failed"
    return "answered"


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("ending", ["drained", "killed", "stopped"])
def test_every_message_is_counted_once(strategy, ending):
    policy = Supervision(strategy=strategy, max_restarts=100_000, decide={KeyError: Directive.RESUME})
    accepted = [0] * SENDERS
    replies = [[] for _ in range(SENDERS)]

    def send(index, refs):
        chance = random.Random(index)
        for number in range(MESSAGES):
            ref = refs[chance.randrange(len(refs))]
            fails = chance.choice([None] * 20 + [KeyError] * 3 + [ValueError])
            try:
                if chance.random() < 0.5:
                    ref.tell((index, number, fails))
                    accepted[index] += 1
                else:
                    replies[index].append(ref.ask((index, number, fails), block=False))
            except ActorDeadError:
                continue
            if ending == "killed" and index == 0 and number == MESSAGES // 2:
                refs[0].kill()
            if ending == "stopped" and index == 0 and number == MESSAGES // 2:
                refs[1].stop(block=False)

    with ActorSystem("s", supervision=policy) as system:
        refs = [system.spawn(kind) for kind in [Flaky, OnThread, Flaky, OnThread]]
        threads = [threading.Thread(target=send, args=(index, refs)) for index in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    outcomes = Counter(outcome(reply) for some in replies for reply in some)
    refused = outcomes["refused"]
    counts = system.statistics()
    asked = sum(map(len, replies))
    assert counts.queued == 0
    assert counts.accepted == sum(accepted) + asked - refused
    assert counts.accepted == counts.handled + counts.answered_with_error + counts.dead_lettered
    assert outcomes.total() == asked, "everybody who asked is answered"
    if ending == "drained":
        assert refused == 0
        assert counts.accepted == SENDERS * MESSAGES
