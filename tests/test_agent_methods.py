"""What an agent's own methods may do in a system: ``on_message``, ``on_start``, ``on_restart`` and ``on_stop``."""

import pytest

from pygents import ActorSystem, Agent, SafeExecutionError, Turn, tool


@pytest.fixture
def call():
    @tool
    async def call(functions):  # in a list: a function by itself would be a dynamic argument
        return await functions[0]()

    return call


class Keeper(Agent):
    """Keeps what has come to its methods as its attributes."""

    def on_start(self):
        self.started = True

    def on_restart(self, failure):
        self.failure = failure

    def on_message(self, message):
        self.message = message

    async def on_stop(self):
        self.stopped = True


@pytest.mark.parametrize("end", ["agent.stop", "ref.stop", "supervisor.stop", "shutdown"])
async def test_attributes_can_be_set_wherever_no_turn_is_in_hand(call, end):
    async def fail():
        with pytest.raises(SafeExecutionError):
            keeper.seen = True
        raise ConnectionError

    async with ActorSystem("s") as system:
        keeper = Keeper("keeper", "Keeps", [call])
        ref = system.spawn(keeper)
        ref.tell(Turn(call, [[fail]]))
        await ref.ask_async("hello")
        if end == "shutdown":
            await system.shutdown()
        else:
            stops = {"agent.stop": keeper.stop, "ref.stop": ref.stop_async}
            await stops.get(end, lambda: system.root.stop("keeper"))()
        assert keeper.started
        assert keeper.message == "hello"
        assert isinstance(keeper.failure, ConnectionError)
        assert keeper.stopped
        assert not hasattr(keeper, "seen")
