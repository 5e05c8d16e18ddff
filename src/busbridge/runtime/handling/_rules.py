"""The rules of handlers, `when=` and those in `discard=`: plain functions that are asked of a message."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from busbridge.errors import HandlerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.contract import Contract
    from busbridge.runtime.handling._declared import Rule
    from busbridge.runtime.handling._dispatch import Bound


def check_rule(rule: object, which: str) -> None:
    """Raises HandlerError for what can't be asked, and for a coroutine function: what that returns is always true."""
    if not callable(rule):
        raise HandlerError(f"{which} is {rule!r}, which can't be called")
    if is_async(rule):
        raise HandlerError(f"{which} is `async def`: rules are plain functions")


def takes(bound: Bound, message: Contract) -> bool:
    """Whether the `when` of the handler holds for the message. Raises as `asked`."""
    return bound.when is None or asked(bound.when, message, "when", bound)


def asked(rule: Rule, message: Contract, which: str, bound: Bound) -> bool:
    """What the rule says. Raises what it raises; HandlerError where it returns an awaitable, which is always true."""
    said: object = rule(message)
    if said is not True and said is not False and inspect.isawaitable(said):
        if inspect.iscoroutine(said):
            said.close()
        raise HandlerError(f"rule {which!r} of handler {bound.name!r} returned an awaitable: rules are plain functions")
    return bool(said)


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling it gives a coroutine: also an object with an async `__call__`."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - as said
