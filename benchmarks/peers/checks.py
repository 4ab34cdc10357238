"""The check that a workload did all of its work: a fast wrong answer is no measurement."""


def expect(what: str, got: float, wanted: float) -> None:
    """Raise `RuntimeError` if a workload counted other than it should have."""
    if got != wanted:
        raise RuntimeError(f"{what}: {got}, not {wanted}")
