"""Fixtures of the RabbitMQ tests."""

from __future__ import annotations

import pytest

from integration.rabbitmq.bench import Bench


@pytest.fixture
def bench(rabbitmq):
    """Names of this test's own on the shared RabbitMQ, removed after it."""
    made = Bench(rabbitmq)
    yield made
    made.remove()


@pytest.fixture(params=["rabbitmq", "rabbitmq_3_10"])
def any_bench(request):
    """The same on the newest RabbitMQ and on the oldest one promised."""
    made = Bench(request.getfixturevalue(request.param))
    yield made
    made.remove()


@pytest.fixture
def private_bench(private_rabbitmq):
    """The same on a RabbitMQ that may be harmed."""
    made = Bench(private_rabbitmq)
    yield made
    private_rabbitmq.heal()
    made.remove()
