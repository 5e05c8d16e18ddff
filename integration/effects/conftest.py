"""Scenes: every broker with every database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from integration.effects.databases import PostgreSQLDatabase, SQLiteFile
from integration.effects.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.brokers import Kafka, RabbitMQ


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Kafka | RabbitMQ:
    """The one that the test's parameter names."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> PostgreSQLDatabase | SQLiteFile:
    """The one that the test's parameter names, new."""
    if request.param == "sqlite":
        return SQLiteFile(tmp_path / "worker.db")
    return PostgreSQLDatabase(request.getfixturevalue("postgresql"))


@pytest.fixture
def new_scene(broker: Any, database: Any, tmp_path: Path) -> Callable[..., Scene]:
    """Makes the scene; takes what the subscription's section is to have beside the usual."""
    return lambda **subscription: Scene(broker, database, tmp_path, **subscription)
