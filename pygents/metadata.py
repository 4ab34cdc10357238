"""What a tool and a hook say of themselves: their name, what they do, and when they last ran."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, overload

__all__ = ["Moment", "RunMetadata"]


class Moment:
    """An attribute that is a local time, or None.

    The framework notes seconds since the epoch in the owner's ``__dict__``, which costs a quarter of making a
    ``datetime`` of them; that is done when somebody looks.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: object, kind: type) -> datetime | None: ...
    def __get__(self, owner: Any, kind: type) -> datetime | Self | None:
        if owner is None:
            return self
        moment: datetime | float | None = owner.__dict__.get(self._name)
        if moment is None or isinstance(moment, datetime):
            return moment
        return datetime.fromtimestamp(moment)  # noqa: DTZ006 (local time)

    def __set__(self, owner: Any, moment: datetime | None) -> None:
        owner.__dict__[self._name] = moment


@dataclass(init=False)
class RunMetadata:
    """Name, description and run timing; the same object is updated at each run."""

    name: str
    """The name it is registered under."""
    description: str | None
    """Its docstring."""
    start_time: Moment = Moment()
    """When the last run began, in local time."""
    end_time: Moment = Moment()
    """When the last run that has ended ended, however it ended."""

    def __init__(
        self,
        name: str,
        description: str | None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.start_time = start_time
        self.end_time = end_time

    def dict(self) -> dict[str, str | None]:
        """Return the fields as plain values, times in ISO format."""
        return {
            "name": self.name,
            "description": self.description,
            "start_time": self.start_time.isoformat() if self.start_time else None,
            "end_time": self.end_time.isoformat() if self.end_time else None,
        }
