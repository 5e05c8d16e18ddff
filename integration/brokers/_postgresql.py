"""PostgreSQL in a container."""

from __future__ import annotations

from typing import final

from integration.brokers._broker import Broker
from integration.brokers._container import Container, Specification
from integration.brokers._images import image_for
from integration.brokers._ports import free_ports
from integration.brokers._probes import postgresql_answers

_ENVIRONMENT = {"POSTGRES_USER": "busbridge", "POSTGRES_PASSWORD": "busbridge", "POSTGRES_DB": "busbridge"}


@final
class PostgreSQL(Broker):
    """A PostgreSQL server; `url` is postgresql://USER:PASSWORD@HOST:PORT/DATABASE."""

    def answers(self) -> bool:
        return postgresql_answers(self.host, self.port)


def start_postgresql(set_name: str) -> PostgreSQL:
    """A new PostgreSQL, started but perhaps not ready yet. Raises as `start_kafka` does."""
    image = image_for("postgresql")
    with free_ports(1) as (port,):
        url = f"postgresql://busbridge:busbridge@127.0.0.1:{port}/busbridge"
        specification = Specification("postgresql", url, image, {port: 5432}, _ENVIRONMENT)
        return PostgreSQL(url, Container.create(specification, set_name))
