"""Scenes on the broker that the test's parameter names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from integration.effects.databases import PostgreSQLDatabase, SQLiteFile
from integration.effects.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.brokers import Kafka, PostgreSQL, RabbitMQ


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Kafka | RabbitMQ:
    """The one that the test's parameter names."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def new_scene(broker: Kafka | RabbitMQ, postgresql: PostgreSQL, tmp_path: Path) -> Callable[..., Scene]:
    """Makes a scene with a new database, `sqlite` or `postgresql`, and what the subscription is to have set."""

    def make(kind: str, **subscription: Any) -> Scene:
        folder = tmp_path / kind
        folder.mkdir()
        database = SQLiteFile(folder / "worker.db") if kind == "sqlite" else PostgreSQLDatabase(postgresql)
        return Scene(broker, database, folder, **subscription)

    return make
