# mypy: disable-error-code="import-not-found, misc, untyped-decorator"
# pyright: basic, reportMissingImports=false
# (the type checkers' environment has no AutoGen)
"""AutoGen's actor core: a request to an agent on its single-threaded runtime."""

import asyncio
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler

from peers.checks import expect

VERSION = version("autogen-core")


@dataclass
class Request:
    """A message to `Echo`, and its answer."""

    value: int


class Echo(RoutedAgent):
    """Answers with the message."""

    @message_handler
    async def on_request(self, message: Request, ctx: MessageContext) -> Request:  # noqa: ARG002 -- the name is AutoGen's
        """Return `message`."""
        return message


def ask(size: int) -> float:
    """Send a message and await its answer."""
    return asyncio.run(_ask(size))


async def _ask(size: int) -> float:
    runtime = SingleThreadedAgentRuntime()
    await Echo.register(runtime, "echo", lambda: Echo("echoes"))
    runtime.start()
    echo, total = AgentId("echo", "default"), 0
    begin = perf_counter()
    for value in range(size):
        total += (await runtime.send_message(Request(value), echo)).value
    seconds = perf_counter() - begin
    await runtime.stop_when_idle()
    expect("sum of answers", total, sum(range(size)))
    return seconds / size


WORKLOADS = {"ask": ask}
