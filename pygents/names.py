"""What can be the name of a tool, a hook or an agent."""

__all__ = ["check_name"]


def check_name(name: object, what: str) -> str:
    """Return `name` if it can be a name.

    Raises:
        TypeError: if it is not a string
        ValueError: if it is empty

    """
    if not isinstance(name, str):
        msg = f"{what} must be a string, not {name!r}"
        raise TypeError(msg)
    if not name:
        msg = f"{what} must not be empty"
        raise ValueError(msg)
    return name
