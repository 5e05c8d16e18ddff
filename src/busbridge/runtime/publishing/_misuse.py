"""What is given to publish and is no message."""

from __future__ import annotations

from busbridge.contract import Contract


def no_message(given: object) -> TypeError | None:
    """The error that says so; None for an instance of a contract."""
    if isinstance(given, Contract):
        return None
    if isinstance(given, type):
        name = given.__name__
        return TypeError(
            f"publish takes an instance of a contract, not the class {name}: make an instance, {name}(...)"
        )
    return TypeError(f"publish takes an instance of a contract, not a {type(given).__name__}")
