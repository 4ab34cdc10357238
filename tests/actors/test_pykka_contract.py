"""The underscores of pykka that the runtime stands on: a version of pykka that changes one of them fails here."""

import inspect
import queue
import threading
import weakref
from importlib.metadata import version
from uuid import UUID

import pytest
from pykka import Actor, ActorRef, ActorRegistry, Future, ThreadingActor, ThreadingFuture
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from pygents.actors import AsyncActor, Mailbox, Reply
from pygents.actors.registry import RefSet
from tests.actors.helpers import Echo


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_the_version_is_one_that_we_know():
    major, minor = (int(part) for part in version("pykka").split(".")[:2])
    assert (major, minor) >= (4, 4)
    assert major < 5


def test_an_actor_is_made_by_three_methods():
    assert Actor.__abstractmethods__ == {"_create_actor_inbox", "_create_future", "_start_actor_loop"}
    assert isinstance(AsyncActor._create_actor_inbox(), Mailbox)
    assert isinstance(AsyncActor._create_future(), Reply)


def test_start_registers_the_actor_and_then_starts_its_loop():
    class Looks(Echo):
        def _start_actor_loop(self):
            assert self.actor_ref in ActorRegistry.get_all()
            super()._start_actor_loop()
            started.append(self)

    started = []
    ref = Looks.start()
    assert [actor.actor_ref for actor in started] == [ref]


def test_an_actor_carries_what_we_use():
    actor = Echo()
    plain = ThreadingActor()
    assert vars(actor).keys() == vars(plain).keys() == {"actor_urn", "actor_inbox", "actor_stopped", "_actor_ref"}
    for urn in [actor.actor_urn, plain.actor_urn]:
        assert UUID(urn).version == 4
        assert UUID(urn).urn == urn
    assert isinstance(actor.actor_stopped, threading.Event)
    for name in ["on_start", "on_stop", "on_failure", "on_receive", "_handle_receive"]:
        assert callable(getattr(Actor, name))
    assert parameters(Actor._handle_receive) == ["self", "message"]
    assert parameters(Actor.on_failure) == ["self", "exception_type", "exception_value", "traceback"]


def test_handle_receive_serves_the_proxies_and_returns_what_the_method_returns():
    class Handles(Echo):
        attribute = 1

        async def method(self, value, *, more):
            return value + more

    actor = Handles()
    coroutine = actor._handle_receive(ProxyCall(attr_path=("method",), args=(1,), kwargs={"more": 2}))
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value == 3
    assert actor._handle_receive(ProxyGetAttr(attr_path=("attribute",))) == 1
    assert actor._handle_receive(ProxySetAttr(attr_path=("attribute",), value=2)) is None
    assert actor.attribute == 2
    assert actor._handle_receive("message") == "message"


def test_a_ref_knows_its_actor_weakly_and_shares_its_inbox():
    actor = Echo()
    ref = ActorRef(actor)
    assert isinstance(ref._actor_weakref, weakref.ref)
    assert ref._actor_weakref() is actor
    assert ref.actor_inbox is actor.actor_inbox
    assert ref.actor_stopped is actor.actor_stopped
    assert (ref.actor_class, ref.actor_urn) == (Echo, actor.actor_urn)


def test_a_ref_of_pykkas_own_reaches_our_actors_too():
    ref = ActorRef(Echo.start()._actor_weakref())
    assert ref.ask(1) == 1
    assert ref.proxy().actor_urn.get() == ref.actor_urn
    assert ref.stop() is True
    assert ref.stop() is False


def test_an_envelope_is_a_message_and_where_to_reply():
    envelope = Envelope("message", reply_to="reply")
    assert (envelope.message, envelope.reply_to) == ("message", "reply")
    assert Envelope("message").reply_to is None
    assert Envelope.__slots__ == ["message", "reply_to"]


def test_a_stop_is_a_message():
    assert isinstance(_ActorStop(), tuple)
    assert _ActorStop() == ()


def test_a_future_has_a_get_hook_that_get_calls_once():
    future = Future()
    assert future._get_hook is None
    calls = []
    future.set_get_hook(lambda timeout: calls.append(timeout) or 5)
    assert [Future.get(future, timeout=3), Future.get(future)] == [5, 5]
    assert calls == [3]


@pytest.mark.parametrize("name", [name for name in vars(Future) if not name.startswith("_")])
def test_a_reply_has_every_method_of_a_future_with_the_same_parameters(name):
    assert parameters(getattr(Reply, name)) == parameters(getattr(Future, name))


def test_a_future_that_is_set_twice_says_queue_full():
    future = ThreadingFuture()
    future.set(1)
    with pytest.raises(queue.Full):
        future.set(2)


def test_the_registry_is_a_list_under_a_reentrant_lock():
    assert isinstance(ActorRegistry._actor_refs, RefSet)
    assert ActorRegistry.__annotations__["_actor_refs"].startswith("ClassVar[list[")
    with ActorRegistry._actor_refs_lock, ActorRegistry._actor_refs_lock:
        pass


def test_the_registry_uses_no_more_of_a_list_than_we_offer():
    """Runs every method of the registry on a table that has nothing else."""
    refs = [Echo.start() for _ in range(3)]
    first, *others = refs
    assert ActorRegistry.get_all() == refs
    assert ActorRegistry.get_by_class(Echo) == refs
    assert ActorRegistry.get_by_class_name("Echo") == refs
    assert ActorRegistry.get_by_urn(first.actor_urn) is first
    ActorRegistry.broadcast("hello", target_class=Echo)
    ActorRegistry.unregister(first)
    ActorRegistry.unregister(first)
    assert ActorRegistry.get_all() == others
    ActorRegistry.register(first)
    assert ActorRegistry.get_all() == [*others, first]
    assert ActorRegistry.stop_all() == [True] * 3
    public = {name for name in vars(ActorRegistry) if not name.startswith("_")}
    assert public == {
        "broadcast",
        "get_all",
        "get_by_class",
        "get_by_class_name",
        "get_by_urn",
        "register",
        "stop_all",
        "unregister",
    }
