"""SimulationLoop: virtual time on which chance decides whose turn it is, wherever nobody may rely on an order.

Chance decides two things: which of the activations that are due comes next, one in each iteration of the loop; and
which comes first of the timers that are due together. asyncio's own callbacks keep their order, on which libraries
rely. Everything else follows from what runs: so the same chance gives the same run.

For that, nothing may come from elsewhere. The loop never looks for what other threads and files have to say, and
refuses them. And no order may depend on where objects happen to lie in memory: asyncio keeps tasks in sets, and cancels
those of a ``TaskGroup`` in the order of one; so the tasks made here have hashes that count them. The garbage collector,
which runs the finalizers of what it finds, is to be off, and is called after so many iterations.
"""

import asyncio
import gc
import itertools
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, Self, override

from pygents.testing.errors import LeftSimulationError
from pygents.testing.virtual_time import Events, Poll, VirtualTimeLoop

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["STAND_IN", "SimulationLoop"]

STAND_IN = "Give what is simulated a stand-in for it"
"""What to do about what is outside."""

_CLEAN_UP = 100_000  # iterations
_COLLECTION = 50_000  # iterations
_PLACES = 9  # of seconds: asyncio takes times that differ less for one


class SimulationLoop(VirtualTimeLoop):
    """An event loop on virtual time, for one thread, whose order chance decides.

    Args:
        chance: decides
        max_steps: iterations that a run may take

    """

    def __init__(self, chance: Random, max_steps: int) -> None:
        self.failure: BaseException | None = None
        """Why the run was ended before its time, if it was."""
        self.steps = 0
        """How many iterations there have been."""
        self._chance = chance
        self._most = max_steps
        self._due: list[Callable[[], object]] = []
        self._home = threading.get_ident()
        self._numbers = itertools.count()
        super().__init__()
        self.set_exception_handler(_end_with_what_is_reported)

    def activate_in_turn(self, activate: Callable[[], object]) -> None:
        """Call a function soon; of several, chance decides which comes first."""
        self._check_home("an actor was told something on another thread")
        self._due.append(activate)
        if len(self._due) == 1:
            self.call_soon(self._take_one)

    def _take_one(self) -> None:
        due = self._due
        chosen = int(self._chance.random() * len(due))
        due[chosen], due[-1] = due[-1], due[chosen]
        activate = due.pop()
        if due:
            self.call_soon(self._take_one)
        activate()

    def end_with(self, failure: BaseException) -> None:
        """Have the run end with a failure when the iteration is over; the first one counts."""
        if self.failure is None:
            self.failure = failure
            self._most = self.steps

    @override
    def give_up_soon(self) -> None:
        super().give_up_soon()
        self.set_exception_handler(None)
        self._most = self.steps + _CLEAN_UP

    def choose[T](self, options: Sequence[T]) -> T:
        """Return one of several things, by chance."""
        return options[int(self._chance.random() * len(options))]

    def number(self) -> int:
        """Return how many numbers were asked for before."""
        return next(self._numbers)

    # What asyncio asks of a loop.

    @override
    def create_task[T](
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None, **options: Any
    ) -> asyncio.Task[T]:
        if self.get_task_factory() is not None:
            return super().create_task(coro, name=name, context=context, **options)
        return _Task(coro, loop=self, name=None if name is None else str(name), context=context, **options)

    @override
    def call_at[*A](
        self, when: float, callback: Callable[[*A], object], *args: *A, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(_Moment(when, self._chance.random()), callback, *args, context=context)

    @override
    def call_soon_threadsafe[*A](
        self, callback: Callable[[*A], object], *args: *A, context: Context | None = None
    ) -> asyncio.Handle:
        self._check_home("something was called from another thread")
        return self.call_soon(callback, *args, context=context)

    @override
    def run_in_executor[T, *A](
        self, executor: "Executor | None", func: Callable[[*A], T], *args: *A
    ) -> asyncio.Future[T]:
        self.refuse("run_in_executor() was called, by asyncio.to_thread() perhaps")

    @override
    def add_reader[*A](self, fd: Any, callback: Callable[[*A], object], *args: *A) -> None:
        self.refuse("add_reader() was called")

    @override
    def add_writer[*A](self, fd: Any, callback: Callable[[*A], object], *args: *A) -> None:
        self.refuse("add_writer() was called")

    def refuse(self, what: str, advice: str = STAND_IN) -> NoReturn:
        """Have the run end because something has left it.

        Raises:
            LeftSimulationError: always

        """
        error = LeftSimulationError(what, advice)
        self.end_with(error)
        raise error

    def _check_home(self, what: str) -> None:
        if threading.get_ident() != self._home:
            self.refuse(what, "Have everything that it works with live in it")

    @override
    def _wait(self, timeout: float | None, poll: Poll) -> Events:
        self.steps += 1
        if self.steps > self._most:
            self._end()
        if self.steps % _COLLECTION == 0:
            gc.collect()
        return super()._wait(timeout, _nothing)

    def _end(self) -> NoReturn:
        """End the run, and let what is left clean up."""
        most = self._most
        self.give_up_soon()
        if self.failure is None:
            when = f"within {most} steps, at {self.time()} virtual seconds"
            self.failure = RuntimeError(
                f"the run has not ended {when}: something goes on for ever, or max_steps is too low"
            )
        raise self.failure


def _end_with_what_is_reported(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Have the run end with what asyncio would only log: an exception that nobody has caught."""
    if isinstance(loop, SimulationLoop):
        loop.end_with(context.get("exception") or RuntimeError(context["message"]))


def _nothing(_: float | None) -> Events:
    return []


class _Moment(float):
    """A time at which something is due, and its place among all that is due then."""

    _key: tuple[float, float]

    def __new__(cls, when: float, place: float) -> Self:
        moment = super().__new__(cls, when)
        moment._key = round(when, _PLACES), place
        return moment

    @override
    def __lt__(self, other: float) -> bool:
        return self._key < other._key if isinstance(other, _Moment) else float(self) < other


class _Task[T](asyncio.Task[T]):
    """A task whose place in a set is that in which it was made."""

    __slots__ = ("_number",)

    @override
    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            loop = self.get_loop()
            self._number: int = loop.number() if isinstance(loop, SimulationLoop) else id(self)
            return self._number
