"""pykka's proxies over our actors, and broadcasts to a mix of ours and pykka's."""

import asyncio
import threading

import pykka
import pytest
from pykka import ThreadingActor

from pygents.actors import ActorDeadError, ActorProxy, ActorRegistry, AsyncActor, Reply, WouldDeadlockError, get_all
from tests.actors.helpers import PATIENCE, Life, in_thread, until_idle


@pykka.traversable
class Playlist:
    def __init__(self):
        self.songs = []

    def add(self, song):
        self.songs.append(song)
        return len(self.songs)

    async def add_slowly(self, song):
        await asyncio.sleep(0)
        return self.add(song)


class Player(AsyncActor):
    volume = 5

    def __init__(self):
        super().__init__()
        self.playlist = Playlist()
        self.failed = threading.Event()
        self._secret = "hidden"  # noqa: S105

    def louder(self, by, *, twice=False):
        self.volume += by * (2 if twice else 1)
        return self.volume

    async def slowly(self, value):
        await asyncio.sleep(0)
        return value

    def where(self):
        return threading.get_ident()

    async def fails(self):
        await asyncio.sleep(0)
        raise KeyError("no such song")

    def on_failure(self, exception_type, exception_value, traceback):
        assert exception_type is KeyError
        self.failed.set()


class TestBlocking:
    @pytest.fixture
    def proxy(self):
        return Player.start().proxy()

    def test_reads_attributes(self, proxy):
        assert isinstance(proxy, ActorProxy)
        assert isinstance(proxy.volume, Reply)
        assert proxy.volume.get() == 5

    def test_calls_plain_and_coroutine_methods(self, proxy):
        assert proxy.louder(2).get() == 7
        assert proxy.louder(1, twice=True).get() == 9
        assert proxy.slowly("done").get() == "done"

    def test_runs_them_on_the_actors_loop(self, proxy):
        assert proxy.where().get() != threading.get_ident()

    def test_sets_attributes(self, proxy):
        proxy.volume = 11
        assert proxy.volume.get() == 11

    def test_goes_through_traversable_attributes(self, proxy):
        assert proxy.playlist.add("one").get() == 1
        assert proxy.playlist.add_slowly("two").get() == 2
        assert proxy.playlist.songs.get() == ["one", "two"]

    def test_defers_a_call_whose_result_nobody_wants(self, proxy):
        assert proxy.slowly.defer(1) is None
        assert proxy.louder.defer(1) is None
        assert proxy.volume.get() == 6

    def test_hands_a_failure_over_and_the_actor_lives(self, proxy):
        with pytest.raises(KeyError, match="no such song"):
            proxy.fails().get()
        assert proxy.volume.get() == 5

    def test_a_deferred_failure_stops_the_actor(self, proxy):
        actor = proxy.actor_ref._actor_weakref()
        proxy.fails.defer()
        assert actor.failed.wait(PATIENCE)
        assert not proxy.actor_ref.is_alive()

    def test_gets_several_at_once(self, proxy):
        assert get_all([proxy.louder(1), proxy.slowly(2), proxy.volume]) == [6, 2, 6]

    def test_hides_what_is_private_and_what_is_not_there(self, proxy):
        with pytest.raises(AttributeError):
            proxy._secret  # noqa: B018
        with pytest.raises(AttributeError):
            proxy.nothing  # noqa: B018

    def test_of_a_dead_actor_is_refused_and_an_old_one_fails(self, proxy):
        proxy.actor_ref.stop()
        with pytest.raises(ActorDeadError):
            proxy.actor_ref.proxy()
        with pytest.raises(ActorDeadError):
            proxy.volume.get()
        with pytest.raises(ActorDeadError):
            proxy.louder.defer(1)


class TestAwaited:
    async def test_reads_calls_and_derives(self):
        proxy = Player.start().proxy()
        assert await proxy.volume == 5
        assert await proxy.louder(2) == 7
        assert await proxy.slowly("done") == "done"
        assert await proxy.volume.join(proxy.louder(1)).map(sum) == 15
        with pytest.raises(KeyError):
            await proxy.fails()

    async def test_setting_an_attribute_would_block_so_a_message_is_sent_instead(self):
        ref = Player.start()
        with pytest.raises(WouldDeadlockError):
            ref.proxy().volume = 11
        assert await ref.proxy().volume == 5
        await ref.ask_async(pykka.messages.ProxySetAttr(attr_path=["volume"], value=11))
        assert await ref.proxy().volume == 11

    @pytest.mark.real_time
    async def test_an_attribute_may_be_set_from_another_thread(self):
        proxy = Player.start().proxy()
        await asyncio.to_thread(setattr, proxy, "volume", 11)
        assert await proxy.volume == 11


async def test_a_proxy_to_itself_schedules_work_behind_what_is_queued():
    class Worker(AsyncActor):
        def __init__(self):
            super().__init__()
            self.steps = []

        async def on_start(self):
            self._later = self.actor_ref.proxy()

        async def work(self, steps):
            self.steps.append(steps)
            if steps > 1:
                self._later.work.defer(steps - 1)

        def note(self, text):
            self.steps.append(text)

    ref = Worker.start()
    proxy = ref.proxy()
    proxy.work.defer(3)
    proxy.note.defer("between")
    await until_idle(ref)
    assert await proxy.steps == [3, "between", 2, 1]


class Plain(ThreadingActor):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_receive(self, message):
        self.seen.append(message)
        return message


class TestBroadcast:
    def test_reaches_ours_and_pykkas(self):
        log = []
        ours, plain = Life.start(log), Plain.start()
        ActorRegistry.broadcast("all")
        ActorRegistry.broadcast("ours", target_class=Life)
        ActorRegistry.broadcast("plain", target_class="Plain")
        assert plain.proxy().seen.get() == ["all", "plain"]
        assert ours.stop() is True
        assert log == ["start", "all", "ours", "stop"]

    def test_the_registry_knows_ours_by_class_name_and_urn(self):
        ref = Player.start()
        assert ActorRegistry.get_by_class(AsyncActor) == [ref]
        assert ActorRegistry.get_by_class_name("Player") == [ref]
        assert ActorRegistry.get_by_urn(ref.actor_urn) is ref
        ref.stop()
        assert ActorRegistry.get_by_urn(ref.actor_urn) is None


def test_actors_of_ours_and_pykkas_ask_each_other():
    class Relay(AsyncActor):
        async def on_receive(self, message):
            other, text = message
            return f"relayed {await Reply.wrap(other.ask(text, block=False))}"

    class BlockingRelay(ThreadingActor):
        def on_receive(self, message):
            other, text = message
            return f"relayed {other.ask(text)}"

    plain, relay = Plain.start(), Relay.start()
    assert relay.ask((plain, "hello")) == "relayed hello"
    assert BlockingRelay.start().ask((relay, (plain, "hello"))) == "relayed relayed hello"
    assert in_thread(relay.proxy().actor_urn.get)() == relay.actor_urn
