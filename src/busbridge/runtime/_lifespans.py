"""The lifespan of a service: refused where it can't be entered, with what is to be done about it."""

from __future__ import annotations

import inspect
from contextlib import AsyncContextDecorator
from typing import TYPE_CHECKING, Any

from busbridge.errors import HandlerError

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from busbridge.runtime._service import Service

_REMEDY = "decorate an `async def` function that has one `yield` with contextlib.asynccontextmanager"


def check_lifespan(lifespan: object, service: str) -> None:
    """Raises HandlerError for what is seen not to be a function that returns an async context manager."""
    who = f"lifespan= of service {service!r}"
    if isinstance(lifespan, AsyncContextDecorator):  # it can be called: as a decorator
        raise HandlerError(f"{who} was called already: give the function itself, without ()")
    if inspect.isasyncgenfunction(lifespan):
        raise HandlerError(f"{who} is not decorated: put @contextlib.asynccontextmanager above it")
    if inspect.iscoroutinefunction(lifespan):
        raise HandlerError(f"{who} is `async def` without a `yield`: {_REMEDY}")
    if not callable(lifespan):
        raise HandlerError(f"{who} is {lifespan!r}, which can't be called: {_REMEDY}")


async def entered(stack: AsyncExitStack, service: Service[Any]) -> Any:
    """What the lifespan of the service makes, left with `stack`; None without one.

    Raises HandlerError where calling it gives no async context manager, and what it raises.
    """
    if service.lifespan is None:
        return None
    made = service.lifespan()
    if hasattr(type(made), "__aenter__"):
        return await stack.enter_async_context(made)
    if inspect.iscoroutine(made):
        made.close()
    kind = type(made).__name__
    raise HandlerError(f"lifespan= of service {service.name!r} gives a {kind}, no async context manager: {_REMEDY}")
