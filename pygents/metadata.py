"""What a tool and a hook say of themselves: their name, what they do, and when they last ran."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["RunMetadata"]


@dataclass
class RunMetadata:
    """Name, description and run timing; the same object is updated at each run."""

    name: str
    """The name it is registered under."""
    description: str | None
    """Its docstring."""
    start_time: datetime | None = None
    """When the last run began, in local time."""
    end_time: datetime | None = None
    """When the last run that has ended ended, however it ended."""

    def dict(self) -> dict[str, str | None]:
        """Return the fields as plain values, times in ISO format."""
        return {
            "name": self.name,
            "description": self.description,
            "start_time": self.start_time.isoformat() if self.start_time else None,
            "end_time": self.end_time.isoformat() if self.end_time else None,
        }
