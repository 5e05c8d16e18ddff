"""Clusters, databases, the seed, and what the run tells."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from integration.brokers import (
    BrokersUnavailableError,
    Cluster,
    DockerError,
    ensure_engine,
    start_kafka_cluster,
    start_rabbitmq_cluster,
)
from integration.effects.databases import PostgreSQLDatabase, SQLiteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from integration.brokers import BrokerSet, Kafka, PostgreSQL, RabbitMQ

SEED = "BUSBRIDGE_FAULTS_SEED"
"""The variable that has a run repeat the faults of another one."""


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line at once, whatever is captured."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    terminal = request.config.pluginmanager.getplugin("terminalreporter")

    def line(words: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(words)

    return line


@pytest.fixture
def seed(tell: Callable[[str], None]) -> int:
    """What all chance of the test is drawn from; printed."""
    drawn = int(os.environ.get(SEED) or random.SystemRandom().randrange(1_000_000))
    tell(f"faults: {SEED}={drawn} repeats this one")
    return drawn


@pytest.fixture
def cluster(request: pytest.FixtureRequest, broker_set: BrokerSet) -> Iterator[Cluster[Kafka] | Cluster[RabbitMQ]]:
    """Three nodes of the broker that the test's parameter names."""
    start = {"kafka": start_kafka_cluster, "rabbitmq": start_rabbitmq_cluster}[request.param]
    try:
        ensure_engine()
        made = start(broker_set.private_name)
    except (BrokersUnavailableError, DockerError) as error:
        pytest.fail(str(error), pytrace=False)
    try:
        made.wait_until_whole()
        yield made
    finally:
        made.remove()


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Kafka | RabbitMQ:
    """The single node that the test's parameter names."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def new_database(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[str], tuple[PostgreSQLDatabase | SQLiteFile, Path]]:
    """Makes a database, `sqlite` or `postgresql`, and a folder for what belongs to it."""

    def make(kind: str) -> tuple[PostgreSQLDatabase | SQLiteFile, Path]:
        folder = tmp_path / kind
        folder.mkdir()
        if kind == "sqlite":
            return SQLiteFile(folder / "worker.db"), folder
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return PostgreSQLDatabase(server), folder

    return make
