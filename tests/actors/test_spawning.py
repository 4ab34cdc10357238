"""What a child can be made of: what ``spawn`` refuses, at the call and with nothing changed."""

import pytest

from pygents import Agent
from pygents.actors import ActorRegistry, AsyncActor, CallerDispatcher
from pygents.actors.system import ActorSystem
from tests.actors.helpers import Echo


class Drained(Echo):
    dispatcher = CallerDispatcher


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda: Echo, {"dispatcher": CallerDispatcher}),
        (lambda: Drained, {}),
        (lambda: Agent("a", "Waits", []), {"dispatcher": CallerDispatcher}),
    ],
    ids=["the option's", "the class's", "an agent's"],
)
async def test_a_dispatcher_on_which_nobody_would_drain_the_child_is_refused(make, options):
    async with ActorSystem("s") as system:
        kind = make()
        registered = ActorRegistry.get_all()
        with pytest.raises(ValueError, match=r"nobody would run .* on a CallerDispatcher"):
            system.spawn(kind, **options)
        assert system.root.nodes() == []
        assert ActorRegistry.get_all() == registered
        system.spawn(kind, dispatcher=AsyncActor.dispatcher)
