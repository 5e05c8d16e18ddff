"""What a service's lifespan makes and its handlers use, as types: a database pool, an HTTP client."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from typing_extensions import TypeVar

R = TypeVar("R", default=None)
"""What the lifespan makes; None without one."""

Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[R]]
"""Called when a bus opens; what it returns is entered then, and left after the last handler."""
