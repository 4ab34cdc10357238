"""Every way to fail, in every place, under every strategy, for every restart type: what is to come of it.

`outcome` is the specification. Each case has it in its name: ``tool_raises-one_for_all-permanent-restarts``.
"""

import asyncio
from collections.abc import Callable

import pytest

from pygents import Agent, AgentHook, ToolHook, Turn, TurnHook, hook, tool
from pygents.actors import AsyncActor, DeadLetterReason, Directive, Ended, Restart, Strategy, Supervision
from pygents.actors.system import ActorSystem
from tests.actors.helpers import hang

FAILURES = ["raises", "is_cancelled", "hangs"]
OWN = ["on_start", "on_stop", "on_restart"]
HOOKS = {
    **{f"hook_{kind.value}": kind for kind in (AgentHook.BEFORE_TURN, AgentHook.ON_TURN_VALUE, AgentHook.AFTER_TURN)},
    **{f"hook_{kind.value}": kind for kind in (TurnHook.BEFORE_RUN, TurnHook.AFTER_RUN, ToolHook.BEFORE_INVOKE)},
}
LATE_HOOKS = {  # those that run while another failure, of the tool, is handled
    f"hook_{kind.value}": kind for kind in (AgentHook.ON_TURN_ERROR, TurnHook.ON_ERROR, AgentHook.ON_TURN_TIMEOUT)
}
RETURNING = {  # those of a turn that returns another one, while that is put
    "hook_before_put": AgentHook.BEFORE_PUT,
    "hook_after_put": AgentHook.AFTER_PUT,
    "hook_after_turn_that_returns_another": AgentHook.AFTER_TURN,
}
ACTOR = [*OWN, "on_receive"]
AGENT = [
    *(f"agents_{place}" for place in [*OWN, "on_message"]),
    *("tool", "stream", "timed_tool", *HOOKS, *LATE_HOOKS, *RETURNING),
]
BOUNDED = {"on_start", "on_restart", "agents_on_start", "agents_on_restart", "timed_tool"}  # in time, if not by itself


def outcome(how: str, place: str, restart: Restart, directive: Directive = Directive.RESTART) -> str:
    """Return what comes of the first failure, of which there is one, or two if it is in `on_restart`."""
    if place.endswith("on_stop"):
        return "goes_on"  # it fails when it is stopped, and ends like any other
    if how == "hangs" and place not in BOUNDED:
        return "hangs"  # until it is stopped
    if directive in {Directive.RESUME, Directive.RETRY} and not place.endswith(("on_start", "on_restart")):
        return "resumes" if directive is Directive.RESUME else "retries"
    if directive is Directive.ESCALATE:
        return "ends_and_its_team_restarts" if restart is Restart.TEMPORARY else "restarts_with_its_team"
    if directive is Directive.STOP or restart is Restart.TEMPORARY:
        return "ends"
    return "restarts_twice" if place.endswith("on_restart") else "restarts"


LIVES = {
    "goes_on": "start",
    "resumes": "start",
    "retries": "start",
    "ends": "start failure",
    "ends_and_its_team_restarts": "start failure",
    "restarts": "start failure restart start",
    "restarts_with_its_team": "start failure restart start",
    "restarts_twice": "start failure restart failure restart start",
}
"""What the one that fails goes through."""


def returned(place: str, expected: str) -> int:
    """Return how many turns have been put that the first one has returned: it has as many as it has runs."""
    if place not in RETURNING:
        return 0
    if expected == "hangs":
        return int(place == "hook_after_put")
    return int(place != "hook_before_put") + int(expected == "retries")


def fate(place: str, expected: str) -> list[DeadLetterReason]:
    """Return what becomes of the one message, and of what it has returned: it is handled, or a dead letter."""
    if place in RETURNING and expected.startswith("ends"):
        return [DeadLetterReason.FAILED, *[DeadLetterReason.STOPPED] * returned(place, expected)]
    if place in RETURNING and expected == "hangs":
        return [*[DeadLetterReason.STOPPED] * returned(place, expected), DeadLetterReason.CUT]
    if place.endswith("on_start"):
        return [DeadLetterReason.STOPPED] if expected.startswith("ends") else []
    if place.endswith("on_stop") or expected == "retries":
        return []
    return [DeadLetterReason.CUT if expected == "hangs" else DeadLetterReason.FAILED]


def restarts_of_siblings(strategy: Strategy, expected: str) -> tuple[int, int]:
    """Return how often those before and after the one that fails are restarted."""
    if expected.endswith(("team_restarts", "with_its_team")):
        return 1, 1
    before = {"restarts": 1, "restarts_twice": 2}.get(expected, 0)
    after = min(before, 1)  # the second failure comes before their turn to start again has
    return before * (strategy is Strategy.ONE_FOR_ALL), after * (strategy is not Strategy.ONE_FOR_ONE)


class Plan(dict[str, str]):
    """How to fail, by the place at which to fail: once at each."""

    def __init__(self, how: str, place: str) -> None:
        super().__init__({place: how})
        self.of_returned: list[str] = []
        """What has been run that the first turn has returned."""
        if place == "hook_on_turn_timeout":
            self["timed_tool"] = "hangs"
        elif place in LATE_HOOKS:
            self["tool"] = "raises"
        elif place.endswith("on_restart"):
            self["on_receive" if place in ACTOR else "tool"] = "raises"  # or it would not be restarted

    async def come_to(self, place: str) -> None:
        how = self.pop(place, None)
        if how == "raises":
            raise ValueError(place)
        if how == "is_cancelled":
            raise asyncio.CancelledError
        if how == "hangs":
            await hang()


class Sibling(AsyncActor):
    """Writes down what it goes through."""

    def __init__(self, lives: list) -> None:
        super().__init__()
        self.lives = lives
        self._fresh = True

    async def on_start(self):
        self.lives.append("start" if self._fresh else "start as it is")
        self._fresh = False

    async def on_receive(self, message):
        return message

    async def on_stop(self):
        self.lives.append("stop")

    def on_failure(self, kind, error, traceback):
        self.lives.append("failure")

    async def on_restart(self, failure):
        self.lives.append("restart")


class Fails(Sibling):
    """Fails as planned."""

    def __init__(self, lives: list, plan: Plan) -> None:
        super().__init__(lives)
        self._come_to = plan.come_to

    async def on_start(self):
        await super().on_start()
        await self._come_to("on_start")

    async def on_receive(self, message):
        await self._come_to("on_receive")
        return message

    async def on_stop(self):
        await self._come_to("on_stop")

    async def on_restart(self, failure):
        await super().on_restart(failure)
        await self._come_to("on_restart")


class FailsAsAgent(Agent):
    """Fails as planned; it has no ``on_failure``."""

    plan: Plan
    lives: list

    async def on_start(self):
        self.lives.append("start")
        await self.plan.come_to("agents_on_start")

    async def on_message(self, message):
        await self.plan.come_to("agents_on_message")
        return message

    async def on_stop(self):
        await self.plan.come_to("agents_on_stop")

    async def on_restart(self, failure):
        self.lives.append("restart")
        await self.plan.come_to("agents_on_restart")


type Send = Callable[[str], object]


def make_agent(lives: list, plan: Plan, place: str) -> tuple[Agent, Send]:
    """Return an agent that fails as planned, and what makes a message for it that comes to the place."""
    kind = (HOOKS | LATE_HOOKS | RETURNING).get(place)
    hooks = []
    if kind is not None:

        async def fail(*args, **kwargs):
            await plan.come_to(place)

        hooks.append(hook(kind)(fail))

    @tool(hooks=hooks if isinstance(kind, ToolHook) else None)
    async def work(value):
        await plan.come_to("tool")
        await plan.come_to("timed_tool")
        if value == "returned":
            plan.of_returned.append(value)
        return Turn("work", ["returned"]) if place in RETURNING and value == "first" else value

    @tool()
    async def stream(value):
        yield value
        await plan.come_to("stream")

    def message(value):
        if place == "agents_on_message":
            return value
        timeout = 3 if "time" in place else None
        of_the_turn = hooks if isinstance(kind, TurnHook) else None
        return Turn(stream if place == "stream" else work, [value], timeout=timeout, hooks=of_the_turn)

    agent = FailsAsAgent("fails", "Fails", [work, stream])
    agent.plan, agent.lives = plan, lives
    agent.hooks = hooks if isinstance(kind, AgentHook) else []
    return agent, message


def cases(places: list[str]) -> list:
    return [
        pytest.param(
            how,
            place,
            strategy,
            restart,
            id=f"{place}_{how}-{strategy.value}-{restart.value}-{outcome(how, place, restart)}",
        )
        for how in FAILURES
        for place in places
        for strategy in Strategy
        for restart in Restart
    ]


@pytest.mark.parametrize(("how", "place", "strategy", "restart"), [*cases(ACTOR), *cases(AGENT)])
async def test_what_comes_of_a_failure(how, place, strategy, restart):
    expected = outcome(how, place, restart)
    await play(how, place, Supervision(strategy=strategy), restart, expected)


def decides_nothing(failure):
    raise KeyError(failure)


DECIDE = {
    **{f"{directive.value}_by_mapping": {Exception: directive} for directive in Directive},
    **{f"{directive.value}_by_function": lambda _, directive=directive: directive for directive in Directive},
    "raising": decides_nothing,
    "odd": lambda _: "resume",
}
DECISIONS = [
    pytest.param(
        place,
        decide,
        strategy,
        restart,
        expected := outcome(
            "raises", place, restart, next((d for d in Directive if name.startswith(d.value)), Directive.RESTART)
        ),
        id=f"{place}_raises-decide_{name}-{strategy.value}-{restart.value}-{expected}",
    )
    for place in ["on_start", "on_receive", "tool", "hook_after_turn", *RETURNING]
    for name, decide in DECIDE.items()
    for strategy in Strategy
    for restart in Restart
]


@pytest.mark.parametrize(("place", "decide", "strategy", "restart", "expected"), DECISIONS)
async def test_what_is_decided_about_a_failure(place, decide, strategy, restart, expected):
    await play("raises", place, Supervision(strategy=strategy, decide=decide), restart, expected)


async def play(how: str, place: str, policy: Supervision, restart: Restart, expected: str) -> None:
    """Have one of three siblings fail on its way to a message or with it, and check what comes of it."""
    plan = Plan(how, place)
    lives: dict[str, list] = {name: [] for name in ["before", "fails", "after"]}
    options = {"restart": restart, "start_timeout": 2.0, "shutdown": 1.0}
    async with ActorSystem("s") as system:
        team = system.supervisor("team", policy)
        before = team.spawn(Sibling, lives["before"], name="before")
        if place in ACTOR:
            message = str
            ref = team.spawn(Fails, lives["fails"], plan, name="fails", **options)
        else:
            agent, message = make_agent(lives["fails"], plan, place)
            ref = team.spawn(agent, **options)
        after = team.spawn(Sibling, lives["after"], name="after")
        ref.tell(message("first"))
        if expected == "hangs":
            await asyncio.sleep(100)
            assert system.statistics().queued == 1 + returned(place, expected)
            report = await system.shutdown(drain=False)
            assert [letter.reason for letter in report.cut] == fate(place, expected)
            assert system.statistics().dead_lettered == len(report.cut)
            return
        await system.wait_idle()
        if expected.startswith("ends"):
            assert await ref.wait_stopped() is Ended.FAILED
        else:
            assert await ref.ask_async(message("next")) == (["next"] if place == "stream" else "next")
        assert [letter.reason for letter in system.dead_letters] == fate(place, expected)
        assert lives["fails"] == [line for line in LIVES[expected].split() if place in ACTOR or line != "failure"]
        for name, times in zip(["before", "after"], restarts_of_siblings(policy.strategy, expected), strict=True):
            assert lives[name] == ["start", *["stop", "restart", "start"] * times]
        assert await before.ask_async(1) == await after.ask_async(1) == 1
        counts = system.statistics()
        assert counts.accepted == counts.handled + counts.dead_lettered
        assert counts.dead_lettered == len(system.dead_letters)
        assert len(plan.of_returned) == (0 if expected.startswith("ends") else returned(place, expected))
        assert await ref.stop(block=False) is not expected.startswith("ends")
    assert system.statistics().queued == 0
    assert "stop" not in lives["fails"]
    assert not plan or (place.endswith("on_restart") and expected == "ends"), "it has failed as planned"
