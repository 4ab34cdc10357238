"""pykka's registry with our two changes: refs removed in constant time, and a stop_all that cannot hang a loop."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pykka import ActorRegistry, ThreadingActor

from pygents.actors import ThreadDispatcher, WouldDeadlockError, registry
from pygents.actors.registry import RefSet, adapt_registry
from tests.actors.helpers import Echo, Life, in_thread

steps = st.lists(st.tuples(st.sampled_from(["append", "remove"]), st.integers(0, 4)))


class TestRefSet:
    @settings(deadline=None)
    @given(steps)
    def test_behaves_like_the_list_that_it_replaces(self, steps):
        refs = [object() for _ in range(5)]
        model, real = [], RefSet()
        for verb, number in steps:
            ref = refs[number]
            if verb == "append" and ref not in model:  # pykka registers an actor once
                model.append(ref)
                real.append(ref)
            elif verb == "remove":
                outcomes = [outcome(lambda each=each, ref=ref: each.remove(ref)) for each in (model, real)]
                assert outcomes[0] is outcomes[1]
            assert list(real) == model
            assert real[:] == model
            assert real[1:3] == model[1:3]
            assert [real[index] for index in range(-len(model), len(model))] == model * 2
            assert len(real) == len(model)
            assert bool(real) is bool(model)
            assert [each in real for each in refs] == [each in model for each in refs]
        assert list(RefSet(model)) == model
        assert repr(real) == f"<RefSet of {len(model)}>"

    def test_says_what_is_not_there(self):
        with pytest.raises(ValueError, match="'nobody' is not registered"):
            RefSet().remove("nobody")
        with pytest.raises(IndexError):
            RefSet()[0]

    def test_may_change_while_somebody_looks(self):
        refs = RefSet(range(3))
        seen = []
        for ref in refs:
            seen.append(ref)
            refs.remove(ref)
        assert seen == [0, 1, 2]
        assert len(refs) == 0


def outcome(function):
    try:
        return function()
    except ValueError as error:
        return type(error)


class TestStopAll:
    def test_stops_the_youngest_first(self):
        class Named(Life):
            def on_stop(self):
                self._log.append(self.actor_urn)

        log = []
        refs = [Named.start(log) for _ in range(3)]
        assert ActorRegistry.stop_all() == [True] * 3
        assert log[-3:] == [ref.actor_urn for ref in refs[::-1]]
        assert ActorRegistry.get_all() == []
        assert ActorRegistry.stop_all() == []

    @pytest.mark.parametrize("wrong", [-1, "soon"])
    def test_refuses_what_is_no_time_and_stops_none(self, wrong):
        ref = Echo.start()
        with pytest.raises((TypeError, ValueError)):
            ActorRegistry.stop_all(timeout=wrong)
        assert ref.is_alive()

    def test_stops_ours_and_pykkas(self):
        refs = [kind.start() for kind in [Echo, ThreadingActor, Echo]]
        assert ActorRegistry.stop_all(timeout=10) == [True] * 3
        assert [ref.is_alive() for ref in refs] == [False] * 3

    async def test_is_awaited_on_a_loop(self):
        refs = [Echo.start(), ThreadingActor.start(), Echo.start()]
        youngest, plain, oldest = ActorRegistry.stop_all(block=False)
        assert await asyncio.gather(youngest, oldest) == [True, True]
        assert plain.get() is True
        assert [ref.is_alive() for ref in refs] == [False] * 3

    async def test_refuses_to_block_a_loop_that_has_to_stop_some_and_stops_none(self):
        ref = Echo.start()
        others = [in_thread(Echo.start)(), ThreadingActor.start()]
        with pytest.raises(WouldDeadlockError) as caught:
            ActorRegistry.stop_all()
        assert (caught.value.waiting, caught.value.target) == ("Code outside any actor", str(ref))
        assert [each.is_alive() for each in [ref, *others]] == [True] * 3
        assert await ref.ask_async("alive") == "alive"

    async def test_names_the_actor_that_would_wait(self):
        class Stops(Echo):
            def on_receive(self, message):
                return ActorRegistry.stop_all()

        ref = Stops.start()
        with pytest.raises(WouldDeadlockError) as caught:
            await ref.ask_async("stop them")
        assert (caught.value.waiting, caught.value.target) == (str(ref), str(ref))

    @pytest.mark.real_time
    async def test_blocks_a_loop_that_has_nothing_to_stop(self):
        class OnThread(Echo):
            dispatcher = ThreadDispatcher

        refs = [OnThread.start(), in_thread(Echo.start)()]
        assert ActorRegistry.stop_all() == [True, True]
        assert [ref.is_alive() for ref in refs] == [False, False]

    @pytest.mark.real_time
    async def test_on_another_thread_it_waits_for_this_one(self):
        log = []
        Life.start(log).tell("first")
        assert await asyncio.to_thread(ActorRegistry.stop_all) == [True]
        assert log == ["start", "first", "stop"]


def test_adapting_it_again_changes_nothing():
    ref = Echo.start()
    refs, stop_all = ActorRegistry._actor_refs, ActorRegistry.stop_all
    adapt_registry()
    assert ActorRegistry._actor_refs is refs
    assert ActorRegistry.stop_all is stop_all
    assert ActorRegistry.get_all() == [ref]


def test_actors_that_were_registered_before_are_kept(monkeypatch):
    monkeypatch.setattr(ActorRegistry, "_actor_refs", ["an older actor"])
    monkeypatch.setattr(ActorRegistry, "stop_all", registry._pykka_stop_all)
    adapt_registry()
    assert isinstance(ActorRegistry._actor_refs, RefSet)
    assert ActorRegistry.get_all() == ["an older actor"]
    assert ActorRegistry.stop_all is registry._stop_all
