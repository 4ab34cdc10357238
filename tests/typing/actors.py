"""Actors and systems as type checkers see them: checked by mypy and basedpyright, never run."""

from types import TracebackType
from typing import Any, assert_type

import pykka

from pygents.actors import ActorProxy, ActorRef, ActorRegistry, AsyncActor, Reply

# The methods of an actor may be plain or async.


class Worker(AsyncActor):
    """Has async methods."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.total = start

    async def on_start(self) -> None:
        """Begin."""

    async def on_stop(self) -> None:
        """End."""

    async def on_failure(
        self, exception_type: type[BaseException], exception_value: BaseException, traceback: TracebackType | None
    ) -> None:
        """Note a failure."""

    async def on_restart(self, failure: BaseException | None) -> None:
        """Begin again."""

    async def on_receive(self, message: int) -> int:
        """Add."""
        self.total += message
        return self.total


class Plain(AsyncActor):
    """Has plain methods."""

    def on_start(self) -> None:
        """Begin."""
        self.stop()
        assert_type(self.actor_urn, str)

    def on_stop(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return something, which nobody gets."""
        self.unknown()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        return 1

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take what pykka's take."""

    def on_restart(self, failure: BaseException | None) -> None:
        """Begin again."""

    def on_receive(self, message: str) -> str:
        """Echo."""
        return message


async def use_refs() -> None:
    """Ask and stop actors, and look for them."""
    ref = Worker.start(1)
    assert_type(ref, ActorRef[Worker])
    assert_type(ref.actor_class, type[Worker])
    assert_type(await ref.ask_async(1), Any)
    assert_type(ref.ask(1, block=False), Reply[Any])
    assert_type(await ref.stop_async(), bool)
    assert_type(ref.proxy(), ActorProxy[Any])
    of_pykka: pykka.ActorRef[Any] = ref
    await ref.watch(Plain.start())
    assert_type(ActorRegistry.get_by_class(Worker), list[ActorRef[Worker]])
    assert_type(ActorRegistry.get_by_class(pykka.ThreadingActor), list[pykka.ActorRef[pykka.ThreadingActor]])
    ActorRegistry.broadcast("hello", target_class=Worker)
    assert_type(ActorRegistry.get_all(), list[pykka.ActorRef[Any]])
    _ = of_pykka
