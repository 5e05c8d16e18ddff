"""docker-compose.yml works as it is documented, with whatever images this machine can have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from integration.brokers import IMAGES, KINDS, ensure_compose, ensure_engine, image_for
from integration.brokers._ports import free_ports

_FILE = Path(__file__).parent.parent / "docker-compose.yml"
_URLS = {
    "rabbitmq": "amqp://guest:guest@127.0.0.1:{RABBITMQ_PORT}/",
    "kafka": "kafka://127.0.0.1:{KAFKA_PORT}",
    "postgresql": "postgresql://busbridge:busbridge@127.0.0.1:{POSTGRESQL_PORT}/busbridge",
}
_PORTS = ("RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT", "KAFKA_PORT", "POSTGRESQL_PORT")


def _compose(settings: dict[str, str], *arguments: str) -> None:
    command = ["docker", "compose", "--file", str(_FILE), "--project-name", f"busbridge-test-{os.getpid()}", *arguments]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def settings() -> dict[str, str]:
    ensure_engine()
    ensure_compose()
    with free_ports(len(_PORTS)) as ports:
        numbers = {name: str(port) for name, port in zip(_PORTS, ports, strict=True)}
    return {**numbers, **{IMAGES[kind].variable: image_for(kind) for kind in _URLS}}


def test_up_wait_returns_when_all_three_serve_clients(settings: dict[str, str]) -> None:
    try:
        _compose(settings, "up", "--wait", "--wait-timeout", "120")
        for kind, url in _URLS.items():
            assert KINDS[kind].attach(url.format(**settings), None).answers(), kind
    finally:
        _compose(settings, "down", "--volumes")
