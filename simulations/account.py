"""The account of one simulation: what was sent, who did what and when, and what is wrong with it.

It is kept by those who send and handle, beside the runtime's own accounts, which are compared with it in the end. It
raises nothing before that: in a handler, it would be one more failure of an actor's.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pykka import ActorDeadError

from pygents.actors.ref import ActorRef
from pygents.actors.reply import Reply
from pygents.actors.system import ActorSystem
from pygents.errors import MailboxFullError
from pygents.turn import Turn

__all__ = ["Account", "Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What a message asks for."""

    sender: str
    """Who has sent it."""
    number: int
    """No other message has it, and later ones have a higher one."""
    item: int
    """What it is about."""


type _Wrap = Callable[[Job], object]


class Account:
    """What was sent in one simulation, and what has become of it."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._told: list[Job] = []
        self._asked: list[tuple[Job, Reply[Any]]] = []
        self._done: Counter[int] = Counter()
        self._cancelled: set[int] = set()
        self._busy: dict[str, Job] = {}
        self._latest: defaultdict[tuple[str, str], int] = defaultdict(lambda: -1)
        self._wrong: list[str] = []

    def tell(self, sender: str, ref: ActorRef[Any], item: int, wrap: _Wrap = lambda job: job) -> None:
        """Tell somebody to do something, unless they have ended."""
        job = Job(sender, next(self._numbers), item)
        try:
            ref.tell(wrap(job))
        except ActorDeadError:
            return
        self._told.append(job)

    async def send(self, sender: str, ref: ActorRef[Any], item: int) -> None:
        """Tell somebody to do something when there is room for it, unless they end before that."""
        job = Job(sender, next(self._numbers), item)
        try:
            await ref.tell_async(job)
        except ActorDeadError:
            return
        self._told.append(job)

    def ask(self, sender: str, ref: ActorRef[Any], item: int, wrap: _Wrap = lambda job: job) -> Reply[Any]:
        """Ask somebody to do something, and return the answer to come."""
        job = Job(sender, next(self._numbers), item)
        alive = not ref.actor_inbox.closed
        reply = ref.ask(wrap(job), block=False)
        if alive and not is_refused(reply):
            self._asked.append((job, reply))
        return reply

    async def cancel(self, ref: ActorRef[Any]) -> None:
        """Cancel what somebody has in hand: when that is said to be so, its handler has ended."""
        in_hand = ref.actor_inbox.in_hand
        if await ref.cancel_turn() and in_hand is not None:
            job = job_in(in_hand.message)
            self._cancelled.add(job.number)
            if job in self._busy.values():
                self._wrong.append(f"{job} is still being done although it was cancelled")

    @contextmanager
    def doing(self, who: str, job: Job) -> Generator[None]:
        """Note that somebody does a job, and that it is done unless something comes out of it."""
        if who in self._busy:
            self._wrong.append(f"{who} does {job} beside {self._busy[who]}")
        if job.number < self._latest[who, job.sender]:
            self._wrong.append(f"{who} does {job} after number {self._latest[who, job.sender]} from the same sender")
        self._latest[who, job.sender] = job.number
        self._busy[who] = job
        try:
            yield
            self._done[job.number] += 1
        finally:
            self._busy.pop(who, None)

    def check(self, system: ActorSystem) -> None:
        """Check, when nobody has anything to do any more, that every message has had its one outcome.

        Raises:
            AssertionError: if that is not so, or anything was wrong before

        """
        self._wrong += [*self._wrong_outcomes(system), *self._wrong_counts(system)]
        assert not self._wrong, "; ".join(self._wrong)

    def _wrong_outcomes(self, system: ActorSystem) -> Iterator[str]:
        dead = {job_in(letter.message).number for letter in system.dead_letters}
        for job in self._told:
            if not self._done[job.number] and job.number not in dead | self._cancelled:
                yield f"{job} was told, and is neither done nor cancelled nor a dead letter"
        for job, reply in self._asked:
            if not reply.done:
                yield f"{job} was asked, and is not answered"

    def _wrong_counts(self, system: ActorSystem) -> Iterator[str]:
        """Compare the counts, each of which comes from somewhere else here."""
        counts, letters = system.statistics(), [job_in(letter.message).number for letter in system.dead_letters]
        asked = {job.number for job, reply in self._asked if has_failed(reply)}
        failed = len(asked.difference(letters))
        known = {
            "accepted": len(self._told) + len(self._asked),
            "dead_lettered": len(letters),
            "answered_with_error": failed,
            "handled": len(self._told) + len(self._asked) - len(letters) - failed,
            "queued": 0,
        }
        for name, number in known.items():
            if getattr(counts, name) != number:
                yield f"{getattr(counts, name)} are counted as {name}, not {number}"


def job_in(message: object) -> Job:
    """Return the job of a message, or of a turn."""
    job: object = message.args[0] if isinstance(message, Turn) else message
    assert isinstance(job, Job)
    return job


def is_refused(reply: Reply[Any]) -> bool:
    """Return whether there was no room for what was asked."""
    try:
        if reply.done:
            reply.get(timeout=0)
    except MailboxFullError:
        return True
    except Exception:  # noqa: BLE001 (another answer)
        return False
    return False


def has_failed(reply: Reply[Any]) -> bool:
    """Return whether an answer is there that is an error."""
    if not reply.done:
        return False
    try:
        reply.get(timeout=0)
    except Exception:  # noqa: BLE001 (it is the answer)
        return True
    return False
