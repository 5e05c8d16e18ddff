"""The pytest plugin, loaded by its entry point wherever busbridge is installed.

`pytest --busbridge-real-brokers` runs the tests that use `harness(..., config=...)` on the brokers of that
configuration. `async def` tests run without another plugin; one that is marked for asyncio or anyio is left to theirs.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE = "BUSBRIDGE_HARNESS_BROKERS"
_OTHERS = ("asyncio", "anyio", "trio", "tornado_asyncio", "twisted")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--busbridge-real-brokers`."""
    parser.getgroup("busbridge").addoption(
        "--busbridge-real-brokers",
        action="store_true",
        help="harnesses use the brokers of their configuration instead of memory",
    )


@pytest.fixture(autouse=True, scope="session")
def _busbridge_real_brokers(request: pytest.FixtureRequest) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    if not request.config.getoption("--busbridge-real-brokers"):
        yield
        return
    os.environ[_VARIABLE] = "1"
    yield
    del os.environ[_VARIABLE]


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs an `async def` test on an event loop of its own, unless it is another plugin's."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or any(map(pyfuncitem.get_closest_marker, _OTHERS)):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
