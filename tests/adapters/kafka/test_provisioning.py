"""A start waits for a cluster that is without a controller for a moment, and for nothing else."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import nullcontext

import pytest
from confluent_kafka import KafkaError, KafkaException

from busbridge.errors import AccessRefused, Unavailable
from busbridge.routing import Topology, TransportSettings
from busbridge_kafka import KafkaTransport, _topology, _transport

NO_CONTROLLER = KafkaException(KafkaError(KafkaError._TIMED_OUT, "Failed while waiting for controller"))


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(_transport, "PAUSE", (0.0, 0.0))
    monkeypatch.setattr(KafkaTransport, "_admin", lambda _: nullcontext())
    monkeypatch.setattr(KafkaTransport, "_opened", lambda _: None)


def provisioned(monkeypatch, *failures, patience=60.0):
    """How often it was tried, each time with the next of these failures, and then with none."""
    tried = []

    async def provision(admin, topology):
        tried.append(topology)
        if failure := dict(enumerate(failures, 1)).get(len(tried)):
            raise failure

    monkeypatch.setattr(_topology, "provision", provision)
    transport = KafkaTransport(TransportSettings("log", "kafka://one:1,two:2", patience=patience))
    try:
        asyncio.run(transport.provision(Topology(())))
    finally:
        monkeypatch.undo()
    return len(tried)


@pytest.mark.parametrize(
    "failure", [NO_CONTROLLER, KafkaException(KafkaError(KafkaError.NOT_CONTROLLER)), TimeoutError()], ids=repr
)
def test_a_cluster_without_a_controller_is_waited_for(monkeypatch, failure):
    assert provisioned(monkeypatch, failure, failure) == 3


def test_patience_has_an_end_that_names_the_brokers_and_what_was_said_last(monkeypatch):
    said = (
        "Kafka at one:1,two:2 could not be reached for 0 s; the last attempt said: Failed while waiting for controller"
    )
    with pytest.raises(Unavailable, match=f"^{said}$"):
        provisioned(monkeypatch, NO_CONTROLLER, patience=0.0)


@pytest.mark.parametrize(
    ("code", "error"),
    [(KafkaError.CLUSTER_AUTHORIZATION_FAILED, AccessRefused), (KafkaError.POLICY_VIOLATION, Unavailable)],
)
def test_what_does_not_pass_is_told_at_once(monkeypatch, code, error):
    with pytest.raises(error):
        provisioned(monkeypatch, KafkaException(KafkaError(code)))


class Asked:
    """An admin client that asks the controller it was told of when it was made."""

    def __init__(self, failure):
        self.failure = failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def poll(self):
        pass

    def probe(self, seconds):
        probe = Future()
        probe.set_exception(self.failure) if self.failure else probe.set_result(None)
        return probe


def test_who_was_told_of_a_dead_controller_is_not_asked_again(monkeypatch):
    """librdkafka's client goes on waiting for that node alone, however many others are well."""
    clients = iter([Asked(NO_CONTROLLER), Asked(None)])
    monkeypatch.setattr(KafkaTransport, "_admin", lambda _: next(clients))

    async def opened():
        transport = KafkaTransport(TransportSettings("log", "kafka://one:1,two:2"))
        await transport._reach()

    asyncio.run(opened())
    assert list(clients) == []
