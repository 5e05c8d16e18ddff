"""A principal that may do no more than the documents say it needs."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from pydantic import SecretStr

from busbridge.errors import AccessRefused
from busbridge.routing import TransportSettings
from integration.kafka.bench import SECONDS, Bench, receive

DENIED_UNLESS_ALLOWED = "allow.everyone.if.no.acl.found=false\n"
TOPIC = ("DESCRIBE", "DESCRIBE_CONFIGS", "CREATE", "WRITE", "READ")
"""Operations on the Kafka topics of the file, with the dead letters."""
GROUP = ("READ",)
"""Operations on the subscription's consumer group."""


@pytest.fixture
def strict(new_kafka, certificates):
    """A Kafka that allows what an ACL allows, and a user who has none yet."""
    broker = new_kafka(certificates=certificates, settings=DENIED_UNLESS_ALLOWED)
    broker.add_scram_user("limited", "secret")
    return broker


def limited(broker):
    bench = Bench(broker)
    bench.settings = TransportSettings(
        "kafka",
        f"kafka://127.0.0.1:{broker.secure.sasl_plaintext}",
        user="limited",
        password=SecretStr("secret"),
        mechanism="SCRAM-SHA-512",
        patience=SECONDS,
    )
    return bench


def allow(bench):
    """Only on names that begin with the bench's own."""
    wanted = [(ResourceType.TOPIC, each) for each in TOPIC] + [(ResourceType.GROUP, each) for each in GROUP]
    bindings = [
        AclBinding(
            kind,
            bench.run,
            ResourcePatternType.PREFIXED,
            "User:limited",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for kind, operation in wanted
    ]
    admin = bench.broker.admin()
    for future in admin.create_acls(bindings).values():
        future.result(SECONDS)


def goes_round(bench):
    """Everything that needs a permission: provisioned, published to, consumed, committed, and a message dies."""

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"one", b"two")
            source = await transport.subscribe(bench.plan)
            first, second = await receive(source, 2, settle=False)
            first.accept()
            second.reject([])
            assert await source.flush(SECONDS)
            await source.close()

    asyncio.run(run())
    assert [each.value() for each in bench.read(bench.plan.dead_letters, 1)] == [b"two"]


def test_a_principal_with_the_documented_operations_can_do_everything(strict):
    bench = limited(strict)
    with pytest.raises(AccessRefused):
        goes_round(bench)
    allow(bench)
    goes_round(bench)
