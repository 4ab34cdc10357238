"""The lock that holds between event loops: mutual exclusion, fairness, and waiters that cannot take it."""

import asyncio
import gc
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygents.locks import CrossLoopLock
from pygents.testing import VirtualTimeLoop


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def lock():
    return CrossLoopLock()


@pytest.fixture
def order():
    return []


@pytest.fixture
def waiter(lock, order):
    """Start a task that takes the lock, notes its name and keeps the lock until it is told."""

    async def hold(name, until):
        async with lock:
            order.append(name)
            await until.wait()

    async def start(name, until=None):
        if until is None:
            until = asyncio.Event()
            until.set()
        task = asyncio.create_task(hold(name, until))
        await settle()
        return task

    return start


class TestLikeAsyncio:
    def test_is_an_asyncio_lock(self, lock):
        assert isinstance(lock, asyncio.Lock)
        for name in ("acquire", "release", "locked"):
            assert name in vars(CrossLoopLock), f"{name} would be that of a lock for one loop"

    async def test_is_taken_and_given_back(self, lock):
        assert not lock.locked()
        assert await lock.acquire() is True
        assert lock.locked()
        lock.release()
        assert not lock.locked()

    async def test_is_given_back_by_a_block_that_raises(self, lock):
        async def fail():
            async with lock:
                assert lock.locked()
                raise LookupError

        with pytest.raises(LookupError):
            await fail()
        assert not lock.locked()

    def test_cannot_be_given_back_when_nobody_has_it(self, lock):
        with pytest.raises(RuntimeError, match="not acquired"):
            lock.release()
        assert not lock.locked()

    async def test_tells_its_state_and_how_many_wait(self, lock, waiter):
        assert repr(lock) == "<CrossLoopLock unlocked, 0 waiting>"
        await lock.acquire()
        task = await waiter("a")
        assert repr(lock) == "<CrossLoopLock locked, 1 waiting>"
        lock.release()
        await task

    def test_can_be_made_and_used_in_loops_that_come_and_go(self, lock):
        async def use():
            async with lock:
                await asyncio.sleep(0)

        for _ in range(3):
            asyncio.run(use())
        assert not lock.locked()


class TestFairness:
    async def test_serves_in_the_order_of_arrival(self, lock, waiter, order):
        await lock.acquire()
        tasks = [await waiter(name) for name in "abc"]
        assert order == []
        lock.release()
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "c"]
        assert not lock.locked()

    async def test_lets_nobody_slip_in_before_one_who_waits(self, lock, waiter, order):
        await lock.acquire()
        first = await waiter("first")
        lock.release()
        assert lock.locked(), "it is handed over, not thrown open"
        async with lock:
            order.append("second")
        await first
        assert order == ["first", "second"]


class TestWaitersThatCannotTakeIt:
    async def test_a_cancelled_one_is_passed_over(self, lock, waiter, order):
        await lock.acquire()
        first, second = await waiter("first"), await waiter("second")
        first.cancel()
        await settle()
        assert repr(lock) == "<CrossLoopLock locked, 1 waiting>"
        lock.release()
        await second
        assert order == ["second"]
        assert first.cancelled()
        assert not lock.locked()

    async def test_one_that_is_cancelled_when_it_was_just_handed_the_lock_hands_it_on(self, lock, waiter, order):
        await lock.acquire()
        first, second = await waiter("first"), await waiter("second")
        lock.release()
        first.cancel()
        await second
        assert order == ["second"]
        assert not lock.locked()

    async def test_the_last_one_opens_the_lock_when_it_is_cancelled_with_it(self, lock, waiter, order):
        await lock.acquire()
        only = await waiter("only")
        lock.release()
        only.cancel()
        await settle()
        assert order == []
        assert not lock.locked()

    def test_one_whose_loop_is_closed_is_passed_over(self, lock, order):
        dead = wait_on_a_loop_that_closes(lock)

        async def use():
            async with lock:
                order.append("alive")

        async def main():
            later = asyncio.create_task(use())
            await settle()
            lock.release()
            await asyncio.wait_for(later, 10)

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())
        assert order == ["alive"]
        assert not lock.locked()
        throw_away(dead)

    def test_one_whose_loop_is_closed_opens_nothing_when_it_is_collected(self, lock):
        dead = wait_on_a_loop_that_closes(lock)
        lock.release()
        assert not lock.locked()
        asyncio.run(lock.acquire())
        throw_away(dead)
        assert lock.locked(), "somebody else has it by now"

    def test_one_whose_loop_closes_before_it_could_take_it_hands_it_on_when_it_is_collected(self, lock):
        loop, dead = wait_on_a_loop_of_its_own(lock)
        lock.release()
        loop.close()
        assert lock.locked(), "it was handed over to the one who waited"
        throw_away(dead)
        assert not lock.locked()

    async def test_a_holder_that_is_thrown_away_gives_it_back(self, lock):
        async def hold():
            async with lock:
                await asyncio.get_running_loop().create_future()

        coroutine = hold()
        coroutine.send(None)
        assert lock.locked()
        coroutine.close()
        assert not lock.locked()

    async def test_nothing_of_a_loops_is_made_while_the_mutex_is_held(self, lock, waiter, monkeypatch):
        # Making it may start the garbage collector, and that may end another waiter, which needs the mutex.
        await lock.acquire()
        loop, held = asyncio.get_running_loop(), []
        create_future = loop.create_future
        monkeypatch.setattr(loop, "create_future", lambda: held.append(lock._mutex.locked()) or create_future())
        task = await waiter("a")
        lock.release()
        await task
        assert held
        assert not any(held)


def wait_on_a_loop_of_its_own(lock: CrossLoopLock) -> tuple[asyncio.AbstractEventLoop, list[asyncio.Task]]:
    """Hold the lock and have a task of another loop, which stands still now, wait for it."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(lock.acquire())
    task = loop.create_task(lock.acquire())
    loop.run_until_complete(settle())
    assert not task.done()
    return loop, [task]


def wait_on_a_loop_that_closes(lock: CrossLoopLock) -> list[asyncio.Task]:
    loop, dead = wait_on_a_loop_of_its_own(lock)
    loop.close()
    return dead


def throw_away(dead: list[asyncio.Task]) -> None:
    dead[0]._log_destroy_pending = False
    dead.clear()
    gc.collect()


@pytest.mark.real_time
@pytest.mark.parametrize("threads", [2, 4])
def test_lets_one_in_at_a_time_between_loops_on_different_threads(lock, threads):
    inside, most, entered = 0, 0, 0
    start = threading.Barrier(threads)

    async def work():
        nonlocal inside, most, entered
        for _ in range(50):
            async with lock:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                entered += 1
                inside -= 1

    async def workers():
        await asyncio.gather(*(work() for _ in range(3)))

    def thread():
        start.wait()
        asyncio.run(workers())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        pool = [threading.Thread(target=thread) for _ in range(threads)]
        for one in pool:
            one.start()
        for one in pool:
            one.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert (most, entered) == (1, threads * 3 * 50)
    assert not lock.locked()


class Model:
    """What the lock should do: a queue whose first member has the lock."""

    def __init__(self) -> None:
        self.queue: list[int] = []
        self.served: list[int] = []

    def arrive(self, one: int) -> None:
        self.queue.append(one)
        self._serve()

    def leave(self, one: int) -> None:
        self.queue.remove(one)
        self._serve()

    def _serve(self) -> None:
        if self.queue and self.queue[0] not in self.served:
            self.served.append(self.queue[0])


@given(st.lists(st.tuples(st.sampled_from(["arrive", "release", "cancel"]), st.integers(0, 5)), max_size=30))
def test_behaves_like_a_queue_whatever_happens_to_those_who_wait(steps):
    async def play():
        lock, model, served, tasks, doors = CrossLoopLock(), Model(), [], {}, {}

        async def hold(one):
            async with lock:
                served.append(one)
                await doors[one].wait()

        for name, (verb, pick) in enumerate(steps):
            if verb == "arrive":
                doors[name] = asyncio.Event()
                tasks[name] = asyncio.create_task(hold(name))
                model.arrive(name)
            elif model.queue:
                one = model.queue[0 if verb == "release" else pick % len(model.queue)]
                end = doors[one].set if verb == "release" else tasks[one].cancel
                end()
                model.leave(one)
            await settle()
            assert served == model.served
            assert lock.locked() == bool(model.queue)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert not lock.locked()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
