"""A named set of brokers: one of each kind that is asked for, found or made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from integration.brokers._container import BROKER_LABEL, URL_LABEL, Container, containers_of, remove_sets, set_names
from integration.brokers._docker import docker_works
from integration.brokers._engine import ensure_engine
from integration.brokers._kafka import Kafka, start_kafka
from integration.brokers._lock import machine_lock
from integration.brokers._postgresql import PostgreSQL, start_postgresql
from integration.brokers._progress import say
from integration.brokers._rabbitmq import RabbitMQ, start_rabbitmq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from integration.brokers._broker import Broker

_PRIVATE = "-private"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of broker is reached, made, and named in the environment."""

    variable: str
    attach: Callable[[str, Container | None], Broker]
    start: Callable[[str], Broker]


KINDS = {
    "rabbitmq": Kind("BUSBRIDGE_TEST_RABBITMQ_URL", RabbitMQ, start_rabbitmq),
    "rabbitmq-3.10": Kind(
        "BUSBRIDGE_TEST_RABBITMQ_3_10_URL", RabbitMQ, lambda set_name: start_rabbitmq(set_name, version="3.10")
    ),
    "kafka": Kind("BUSBRIDGE_TEST_KAFKA_URL", Kafka, start_kafka),
    "postgresql": Kind("BUSBRIDGE_TEST_POSTGRESQL_URL", PostgreSQL, start_postgresql),
}


@final
class BrokerSet:
    """The brokers of one run. Sets of different names share nothing but the engine, so runs can go side by side."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def private_name(self) -> str:
        """The set of the brokers that single tests make: `up` does not take them for its own, `down` removes them."""
        return f"{self.name}{_PRIVATE}"

    def up(self, kinds: Iterable[str]) -> dict[str, Broker]:
        """One ready broker of each kind: the one that the environment names, the set's own if it runs, else a new one.

        All are started before any is waited for. Processes that do this at the same time get the same brokers. Raises
        BrokersUnavailableError or DockerError if one cannot be had.
        """
        with machine_lock("up"):
            brokers = {kind: self._find(kind) or self._start(kind) for kind in kinds}
        for kind, broker in brokers.items():
            broker.wait_until_ready()
            say(f"{kind} is ready at {broker.host}:{broker.port}")
        return brokers

    def running(self) -> dict[str, Broker]:
        """The set's containers that exist, by kind; brokers of the environment are none of them."""
        if not docker_works():
            return {}
        containers = {container.label(BROKER_LABEL): container for container in containers_of(self.name)}
        return {kind: KINDS[kind].attach(found.label(URL_LABEL), found) for kind, found in containers.items()}

    def down(self) -> None:
        """Removes every container of the set, with its data. No effect if there is none."""
        if docker_works():
            removed = remove_sets(self.name, self.private_name)
            say(f"removed {removed} container(s) of set {self.name}")

    @staticmethod
    def names() -> set[str]:
        """The sets that have containers on this machine."""
        return {name.removesuffix(_PRIVATE) for name in set_names()} if docker_works() else set()

    def _find(self, kind: str) -> Broker | None:
        url = os.environ.get(KINDS[kind].variable)
        if url:
            return _attach(kind, url)
        return self.running().get(kind)

    def _start(self, kind: str) -> Broker:
        ensure_engine()
        broker = KINDS[kind].start(self.name)
        say(f"started {kind}")
        return broker


def _attach(kind: str, url: str) -> Broker:
    """The broker at that URL, with its container if it is one that this package made."""
    broker = KINDS[kind].attach(url, None)
    container = Container.publishing(broker.port) if docker_works() else None
    return KINDS[kind].attach(url, container)


def exports(brokers: dict[str, Broker]) -> list[str]:
    """Shell lines that tell another process where these brokers are."""
    return [f"export {KINDS[kind].variable}='{broker.url}'" for kind, broker in brokers.items()]
