"""Logins by certificate, and users that may do no more than the documents say they need."""

from __future__ import annotations

import asyncio
import re

import pytest
from pydantic import SecretStr

from busbridge.errors import AccessRefused
from busbridge.routing import Binding, Tls
from busbridge.transport import CONFIRMED
from integration.rabbitmq.bench import SECONDS, Bench, entry, leave, take

SECRET = SecretStr("secret")
NAME = "client"
"""The name in the client's certificate."""


@pytest.fixture
def external(rabbitmq_tls):
    """A RabbitMQ that knows users by their certificate, and none of them yet."""
    made = Bench(rabbitmq_tls)
    yield made
    made.remove()


@pytest.fixture
def limited(private_bench):
    """A bench, and the user `limited`, who may do nothing yet."""
    add_user(private_bench, "limited", {})
    yield private_bench
    private_bench.broker.control("delete_user", "limited")


def permissions(bench):
    """What docs/operations.md says: its own names, and to publish by the default exchange."""
    own = f"^{re.escape(bench.prefix)}\\."
    return {"configure": own, "write": f"{own}|^amq\\.default$", "read": own}


def add_user(bench, user, allowed):
    bench.broker.control("add_user", user, "secret")
    allow(bench, user, allowed)


def allow(bench, user, allowed):
    patterns = [allowed.get(each, "^$") for each in ("configure", "write", "read")]
    bench.broker.control("set_permissions", user, *patterns)


def goes_round(bench, *, topics=True, **login):
    """Everything that needs a permission: each kind is provisioned, published to, consumed, and one message dies."""
    queue, ordered = bench.queue(max_length=100), bench.queue("steps", ordered=True, partitions=2)
    plans = [bench.plan(queue), bench.plan(ordered, "walker", ordered=True)]
    entries = [entry(queue, 1), entry(ordered, 2, "k")]
    if topics:
        topic = bench.topic()
        bindings = (Binding("news.#"), Binding("#", {"kind": "urgent"}))
        plans.append(bench.plan(topic, "paper", bindings=bindings))
        entries.append(entry(topic, 3, routing_key="news.today"))
    destinations = [plan.destination for plan in plans]

    async def run():
        async with bench.transport(*destinations, *plans, **login) as transport:
            sources = [await transport.subscribe(plan) for plan in plans]
            assert await transport.publish(entries, SECONDS) == [CONFIRMED] * len(entries)
            for source in sources:
                (delivery,) = await take(source, 1)
                delivery.reject([])
                assert await source.flush(SECONDS)
                await leave(source)

    asyncio.run(run())
    assert [bench.count(plan.dead_letters) for plan in plans] == [1] * len(plans)


def goes_round_by_certificate(bench, certificates):
    client = certificates.client
    tls = Tls(certificates.ca, client.certificate, client.key)
    goes_round(bench, url=bench.broker.tls_url, mechanism="EXTERNAL", user=None, password=None, tls=tls)


def test_a_client_certificate_is_a_login(external, certificates):
    add_user(external, NAME, permissions(external))
    try:
        goes_round_by_certificate(external, certificates)
    finally:
        external.broker.control("delete_user", NAME)


def test_a_certificate_that_names_no_user_is_refused_at_once(external, certificates):
    with pytest.raises(AccessRefused):
        goes_round_by_certificate(external, certificates)


def test_a_user_with_the_documented_permissions_can_do_everything(limited):
    allow(limited, "limited", permissions(limited))
    goes_round(limited, user="limited", password=SECRET)


def test_without_topics_only_the_default_exchange_is_written_to(limited):
    allow(limited, "limited", permissions(limited) | {"write": r"^amq\.default$"})
    goes_round(limited, topics=False, user="limited", password=SECRET)


@pytest.mark.parametrize("missing", ["configure", "write", "read", "amq.default"])
def test_without_one_of_them_access_is_refused(limited, missing):
    allowed = permissions(limited)
    if missing == "amq.default":
        allowed["write"] = allowed["read"]
    else:
        del allowed[missing]
    allow(limited, "limited", allowed)
    with pytest.raises(AccessRefused, match="limited"):
        goes_round(limited, user="limited", password=SECRET)
