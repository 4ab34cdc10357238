"""Actors that ask each other, for the tests of who waits for whom."""

import asyncio
from inspect import isawaitable

from pygents.actors import AsyncActor, Directive, Reply, Supervision
from tests.actors.helpers import cell_of

__all__ = ["CARELESS", "WAYS", "Does", "ask_async", "asking", "done", "idle_waits_for_nobody", "spawn"]

CARELESS = Supervision(decide=lambda _: Directive.RESUME)
"""A failure is the asker's alone, so that a test sees the error and nothing of what follows from it."""


class Does(AsyncActor):
    """Does what a message says: a function of the actor."""

    async def on_receive(self, message):
        result = message(self)
        return await result if isawaitable(result) else result

    async def do(self, message):
        return await self.on_receive(message)


def asking(*rest, ask=None):
    """Return a message whose recipient asks the first to ask the second, and so on."""

    async def handle(actor):
        if not rest:
            return "the end"
        ref, *others = rest
        return await (ask or ask_async)(ref, asking(*others, ask=ask))

    return handle


async def ask_async(ref, message):
    return await ref.ask_async(message)


WAYS = {
    "ask_async": ask_async,
    "ask_async, in time": lambda ref, message: ref.ask_async(message, timeout=1e6),
    "await": lambda ref, message: ref.ask(message, block=False),
    "get_async": lambda ref, message: ref.ask(message, block=False).get_async(timeout=1e6),
    "wait_for": lambda ref, message: asyncio.wait_for(ref.ask_async(message), 1e6),
    "proxy": lambda ref, message: ref.proxy().do(message),
    "map": lambda ref, message: ref.ask(message, block=False).map(str),
    "join": lambda ref, message: done().join(ref.ask(message, block=False)),
    "reduce": lambda ref, message: ref.ask(message, block=False).reduce(lambda all_, one: all_ + one, ""),
}


def done():
    reply = Reply()
    reply.set("done")
    return reply


def spawn(system, names="abc", **options):
    return [system.spawn(Does, name=name, **options) for name in names]


async def idle_waits_for_nobody(system, *refs):
    await system.wait_idle()
    return all(cell_of(ref).waits_for is None for ref in refs if ref.is_alive())
