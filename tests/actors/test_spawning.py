"""What a child can be made of: what ``spawn`` refuses, at the call and with nothing changed."""

import re

import pytest

from pygents import Agent
from pygents.actors import ActorDeadError, ActorRegistry, AsyncActor, CallerDispatcher
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


class Often(Echo):
    supervision = "often"


class OftenAsked(Agent):
    supervision = 3


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Often, r"Often\.supervision must be a Supervision, not 'often'"),
        (lambda: OftenAsked("a", "Asks", []), r"OftenAsked\.supervision must be a Supervision, not 3"),
    ],
    ids=["class", "agent"],
)
async def test_a_class_whose_policy_for_children_is_none_is_refused(make, text):
    async with ActorSystem("s") as system:
        kind = make()
        with pytest.raises(TypeError, match=text):
            system.spawn(kind)
        assert system.root.nodes() == []


async def test_an_attribute_of_the_instance_is_its_own_affair():
    class Named(AsyncActor):
        def on_start(self):
            self.supervision = "often"
            self.spawn(Echo, name="child")

    async with ActorSystem("s") as system:
        system.spawn(Named, name="named")
        await system.wait_idle()
        assert system.whereis("named/child") is not None


class TestAClassWithoutAConstructor:
    @pytest.mark.parametrize(
        ("args", "kwargs", "given"),
        [((), {"restrat": "permanent"}, "restrat;"), ((1, 2), {"x": 3}, "argument 1, argument 2, x;")],
    )
    async def test_takes_no_arguments(self, args, kwargs, given):
        async with ActorSystem("s") as system:
            with pytest.raises(TypeError, match=given):
                system.spawn(Echo, *args, **kwargs)
            assert system.root.nodes() == []

    async def test_but_a_new_of_its_own_does(self):
        class Made(Echo):
            def __new__(cls, *args):
                made.append(args)
                return super().__new__(cls)

        made = []
        async with ActorSystem("s") as system:
            system.spawn(Made, 1)
            assert made == [(1,)]

    async def test_is_started_outside_a_system_as_pykkas_are(self):
        ref = Echo.start(1, x=2)
        assert await ref.ask_async("hello") == "hello"


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_an_actor_that_has_stopped_takes_no_children(supervised, end):
    class Parent(AsyncActor):
        def on_receive(self, message):
            return self

    async with ActorSystem("s") as system:
        ref = system.spawn(Parent, name="parent") if supervised else Parent.start()
        parent = await ref.ask_async("yourself")
        if end == "stop":
            await ref.stop_async()
        else:
            ref.kill()
            with pytest.raises(ActorDeadError, match="has stopped and takes no more children"):
                parent.spawn(Echo)
        await ref.wait_stopped()
        with pytest.raises(ActorDeadError, match=re.escape(f"{ref} has stopped and takes no more children")):
            parent.spawn(Echo)
