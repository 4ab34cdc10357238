"""The laws of a state machine's world: what is seen in it, and what must hold.

Nothing here raises when a law is broken: it would be one more failure of an actor's. It is written down in `problems`.
"""

import asyncio
import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from pygents import Agent, TurnDeniedError
from pygents.actors import ActorFailed, SupervisorFailed, TooManyRestartsError
from pygents.actors.supervision import Directive, Restart
from pygents.actors.system import ActorSystem
from pygents.actors.watch import Terminated
from tests.actors.helpers import cell_of

ATTEMPTS = 3

NOTE = "a note"


class Resume(Exception):  # noqa: N818 (each is named for what is decided about it)
    pass


class Retry(Exception):  # noqa: N818 (likewise)
    pass


class Stop(Exception):  # noqa: N818 (likewise)
    pass


class Escalate(Exception):  # noqa: N818 (likewise)
    pass


class Grave(BaseException):
    """No ``Exception``."""


DECIDE = {
    Resume: Directive.RESUME,
    Retry: Directive.RETRY,
    Stop: Directive.STOP,
    Escalate: Directive.ESCALATE,
}

AS_IT_IS = (Resume, Retry)
"""After these, the actor goes on as it is."""


@dataclass
class Job:
    """A message's text: who sent it, which one of all it is, and what is to be done."""

    sender: str
    number: int
    what: object
    asked: object = None
    accepted: bool = True
    begun: int = 0
    returned: bool = False
    cancelled: bool = False


@dataclass
class Failed:
    """The first failure of something, with an exception."""

    error: BaseException
    name: str
    moment: int
    time: float


class Laws:
    """What was sent, what was seen, and whether that is right."""

    def __init__(self, system: ActorSystem) -> None:
        self.system = system
        self.problems: list[str] = []
        self.refs = {}
        self.kinds: dict[str, type] = {}
        self.restart_types: dict[str, Restart] = {}
        self.parents: dict[str, object] = {}
        self.jobs: list[Job] = []
        self.accepted = 0
        # what each actor, by its name, is at
        self.busy: set[str] = set()
        self.up: set[str] = set()
        self.paused: set[str] = set()
        self.lives = Counter()
        self.spoiled: dict[str, int] = {}  # the life that failed with its message
        self.first: dict[str, Job] = {}  # the job that has to come before any other
        self.latest: dict[tuple[str, str], int] = {}
        # failures, by their ids: kept, so that no other has its id
        self.moments = itertools.count()
        self.spawned_at: dict[str, int] = {}
        self.begun_at: dict[str, int] = {}
        self.failed: dict[int, Failed] = {}
        self.restarted_by = Counter()
        self.failed_above = Counter()
        self.windows: dict[object, list[float]] = defaultdict(list)
        self.own_stops = Counter()  # by the path, and by that of the supervisor
        self.asked: dict[object, list[float]] = defaultdict(list)
        # watches
        self.watching: set[tuple[str, str]] = set()
        self.watched_dead = Counter()
        self.terminated = Counter()
        self._subscription = system.events(capacity=1)  # or nothing would be published
        stream = system.news._stream
        self._publish, stream.publish = stream.publish, self.note_event

    def check(self, holds: object, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def note_event(self, event: object) -> None:
        """See what the system tells about itself, at once."""
        name = event.path.rpartition("/")[2]
        if isinstance(event, ActorFailed):
            error = event.failure
            self.check(not isinstance(error, (TypeError, TurnDeniedError)), f"{error!r} is taken for a failure")
            self.failed.setdefault(id(error), Failed(error, name, next(self.moments), self.now()))
            if not isinstance(error, AS_IT_IS) or event.message is None:
                self.spoiled[name] = self.lives[name]
                self.asked[self.window_of(name, event.path)].append(self.now())
        elif isinstance(event, SupervisorFailed):
            self.failed_above[event.path, id(event.failure)] += 1
            once = self.failed_above[event.path, id(event.failure)] == 1
            self.check(once, f"{event.path} fails twice with {event.failure!r}")
            self.failed_above[self.window_at(event.path)] += 1
            once = event.path == self.system.name or self.failed_above[self.window_at(event.path)] == 1
            self.check(once, f"{event.path} fails again, with {event.failure!r}, before it was restarted")
            self.check_too_many(event.path, event.failure)
            above = self.window_at(event.path.rpartition("/")[0])
            self.asked[above].append(math.inf)  # it asks when its children have stopped, which may take long
            self.failed.setdefault(id(event.failure), Failed(event.failure, name, next(self.moments), self.now()))
        self._publish(event)

    def note_up(self, name: str) -> None:
        self.up.add(name)
        self.lives[name] += 1

    def note_down(self, name: str) -> None:
        self.check(name not in self.busy, f"{name} is taken down in the midst of a message")
        self.up.discard(name)

    def note_restart(self, name: str, failure: BaseException | None) -> None:
        self.check(self.restart_types[name] is not Restart.TEMPORARY, f"{name} is temporary, and restarted")
        ended = name not in self.up or issubclass(self.kinds[name], Agent)  # an agent has no on_failure
        self.check(ended, f"{name} is restarted without having ended")
        self.up.discard(name)
        for child in self.children_of(name):
            self.check(self.has_ended(child), f"{child} outlives the restart of its parent {name}")
        if failure is None:
            return
        failed = self.failed[id(failure)]
        self.restarted_by[name, id(failure)] += 1
        self.check(self.restarted_by[name, id(failure)] == 1, f"{name} is restarted twice for {failure!r}")
        if isinstance(failure, (Escalate, TooManyRestartsError)):  # it has come from a supervisor
            return
        late = self.spawned_at[name] > failed.moment
        held = late or self.begun_at.get(name, -1) <= failed.moment
        self.check(held, f"{name} has begun a message between {failure!r} and its restart for it")
        if failed.name == name:
            self.check_window(name, failed.time)

    def children_of(self, name: str) -> list[str]:
        ref = self.refs[name]
        parents = self.parents.items()
        return [child for child, one in parents if getattr(one, "actor_ref", getattr(one, "ref", None)) is ref]

    def has_ended(self, name: str) -> bool:
        return self.refs[name]._watches.ended is not None

    def window_of(self, name: str, path: str) -> object:
        """Return what a restart is counted for: the actor alone, or the supervisor above since it was restarted."""
        own = name in self.refs and cell_of(self.refs[name]).spec.supervision is not None
        return path if own else self.window_at(path.rpartition("/")[0])

    def window_at(self, path: str) -> object:
        return path, self.system.root.find(path.split("/")).restarts if path else 0

    def check_too_many(self, path: str, error: BaseException) -> None:
        """Check that a supervisor has failed of so many restarts only if they were asked for."""
        cause = error.__cause__
        if id(error) in self.failed or not isinstance(error, TooManyRestartsError) or id(cause) not in self.failed:
            return  # it is another's, or no restart after a failure
        name = self.failed[id(cause)].name
        window = self.window_of(name, f"{path}/{name}")
        recent = sum(self.now() - time <= error.within for time in self.asked[window])
        recent += self.own_stops[window if isinstance(window, str) else path]  # they come whenever it is their turn
        self.check(recent > error.max_restarts, f"{path} fails, but only {recent} restarts were asked for")

    def check_window(self, name: str, time: float) -> None:
        """Check that a restart because of a failure at that time is put up with."""
        child = cell_of(self.refs[name])
        above = child.parent
        if child.spec.supervision is not None:
            policy, key = child.spec.supervision, name
        else:
            renewed = above.restarts if above._owner is None else above._owner.restarts
            policy, key = above.supervision, (above, renewed)
        times = self.windows[key]
        times.append(time)
        recent = sum(time - policy.within <= other <= time for other in times)
        self.check(recent <= policy.max_restarts, f"{recent} restarts of {key}, by {name}, are too many")

    def note_terminated(self, name: str, message: Terminated) -> None:
        other = next(other for other, ref in self.refs.items() if ref is message.ref)
        self.terminated[name, other] += 1
        self.check(name in self.up, f"{name} is told of an end although it is not up")

    def note_own_stop(self, name: str) -> None:
        """See that it will end by itself, at a time to come, which a permanent one is restarted after."""
        path = cell_of(self.refs[name]).spec.path
        self.own_stops[path] += 1
        self.own_stops[path.rpartition("/")[0]] += 1

    def expect_again(self, name: str, job: Job) -> None:
        if job.begun < ATTEMPTS:
            self.first[name] = job

    def note_begun(self, name: str, job: Job) -> None:
        self.check(name not in self.busy, f"{name} handles two messages at once")
        self.check(name in self.up, f"{name} handles {job} although it is not up")
        self.check(name not in self.paused, f"{name} begins {job} although it is paused")
        self.check(not job.cancelled, f"{job} is run again although it was cancelled")
        self.check(not job.returned, f"{job} is run again after its end")
        latest = self.latest.get((name, job.sender), -1)
        self.check(job.number > latest or (job.number == latest and job.begun), f"{job} comes out of order")
        self.check(self.lives[name] > self.spoiled.get(name, 0), f"{name} has failed, and handles {job} as it is")
        expected = self.first.pop(name, job)
        self.check(expected is job, f"{name} begins {job} before it runs {expected} again")
        job.begun += 1
        self.check(job.begun <= ATTEMPTS, f"{job} is run too often")
        self.busy.add(name)
        self.latest[name, job.sender] = job.number
        self.begun_at[name] = next(self.moments)

    def check_counts(self) -> None:
        counts = self.system.statistics()
        parts = counts.handled, counts.answered_with_error, counts.dead_lettered, counts.queued
        self.check(counts.accepted == self.accepted, f"{counts}, but {self.accepted} were accepted")
        self.check(min(parts) >= 0, f"{counts}: negative")
        self.check(sum(parts) == counts.accepted, f"{counts}: the sum is wrong")
        letters = len([letter for letter in self.system.dead_letters if letter.message is not NOTE])
        self.check(counts.dead_lettered == letters, f"{counts}, but there are {letters} dead letters")
        waiting = sum(job.asked is not None and not job.asked.done for job in self.jobs)
        self.check(waiting <= counts.queued, f"{counts}, but {waiting} wait for an answer")

    def check_terminated(self, name: str) -> None:
        """Check what an idle actor was told."""
        for pair in self.watching | set(self.watched_dead):
            if pair[0] == name:
                due = self.watched_dead[pair] + (pair in self.watching and self.has_ended(pair[1]))
                self.check(self.terminated[pair] == due, f"{pair}: told {self.terminated[pair]} times, not {due}")

    def check_outcomes(self) -> None:
        """Check, when nothing is queued any more, that each message has had exactly one outcome."""
        messages = [letter.message for letter in self.system.dead_letters]
        letters = Counter(job_of(message).number for message in messages if message is not NOTE)
        counts = self.system.statistics()
        self.check(max(letters.values(), default=0) <= 1, "a message is a dead letter twice")
        failed = 0
        for job in [job for job in self.jobs if job.accepted]:
            dead = letters[job.number]
            error = None
            if job.asked is not None:
                self.check(job.asked.done, f"{job} is not answered")
                error = outcome_of(job.asked)
                self.check(not dead or isinstance(error, BaseException), f"{job} is dead, but was answered {error!r}")
            wrong = isinstance(error, BaseException)
            failed += wrong and not dead
            self.check(error != "late", f"{job} is answered with what came after it was abandoned")
            self.check(job.returned or job.cancelled or job.what == "deny" or dead or wrong, f"{job} has vanished")
        self.check(counts.queued == 0, f"{counts}: something is queued")
        self.check(counts.answered_with_error == failed, f"{counts}, but {failed} got an error")


def job_of(message: object) -> Job:
    return message if isinstance(message, Job) else message.args[0][0]


def outcome_of(reply) -> object:
    try:
        return reply.get(timeout=0)
    except BaseException as error:  # noqa: BLE001 (it is the outcome)
        return error
