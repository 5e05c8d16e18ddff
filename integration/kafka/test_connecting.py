"""Connections as production has them, and what is said when there is none."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr

from busbridge.errors import AccessRefused, TopologyMismatch, Unavailable
from busbridge.routing import Destination, Kind, StartAt, Tls, Topology, TransportSettings
from busbridge.transport import Entry, Status
from busbridge_kafka import KafkaTransport
from integration.kafka.bench import SECONDS, Bench, receive

MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def goes_round(bench):
    """Publishes one message and reads it again."""

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"hello")
            source = await transport.subscribe(bench.plan)
            return (await receive(source, 1))[0].body

    try:
        assert asyncio.run(run()) == b"hello"
    finally:
        bench.remove()


def secured(broker, **settings):
    bench = Bench(broker)
    bench.settings = replace(bench.settings, **settings)
    return bench


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_a_login_works_with_and_without_tls(kafka_secure, certificates, mechanism, tls):
    secure = kafka_secure.secure
    url = f"kafkas://127.0.0.1:{secure.sasl_ssl}" if tls else f"kafka://127.0.0.1:{secure.sasl_plaintext}"
    goes_round(
        secured(
            kafka_secure,
            url=url,
            user=secure.user,
            password=SecretStr(secure.password),
            mechanism=mechanism,
            tls=Tls(ca=certificates.ca) if tls else None,
        )
    )


def test_a_client_certificate_is_enough(kafka_secure, certificates):
    client = certificates.client
    tls = Tls(ca=certificates.ca, certificate=client.certificate, key=client.key)
    goes_round(secured(kafka_secure, url=f"kafkas://127.0.0.1:{kafka_secure.secure.ssl}", tls=tls))


def refused(settings):
    async def run():
        begin = time.monotonic()
        with pytest.raises(AccessRefused) as error:
            await KafkaTransport(settings).open()
        assert time.monotonic() - begin < 10
        return error.value

    return asyncio.run(run())


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_said_at_once_and_never_shown(kafka_secure, mechanism):
    secure = kafka_secure.secure
    url = f"kafka://127.0.0.1:{secure.sasl_plaintext}"
    error = refused(
        TransportSettings("kafka", url, user=secure.user, password=SecretStr("wrong-one"), mechanism=mechanism)
    )
    assert error.user == secure.user
    assert str(secure.sasl_plaintext) in str(error)
    assert "wrong-one" not in str(error)


def test_a_broker_of_another_authority_is_refused_at_once(kafka_secure, certificates):
    url = f"kafkas://127.0.0.1:{kafka_secure.secure.sasl_ssl}"
    refused(TransportSettings("kafka", url, user="alice", password=SecretStr("x"), tls=Tls(ca=certificates.other_ca)))


def test_a_broker_that_is_down_is_waited_for_as_long_as_declared(caplog):
    async def run():
        begin = time.monotonic()
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 could not be reached for 2 s.*refused"):
            await KafkaTransport(TransportSettings("kafka", "kafka://127.0.0.1:1", patience=2)).open()
        return time.monotonic() - begin

    assert 1.5 < asyncio.run(run()) < 4
    assert "waiting for Kafka at 127.0.0.1:1" in caplog.text


def test_what_may_not_be_written_is_refused_by_name_and_stops_no_other(kafka_secure):
    secure = kafka_secure.secure
    login = {"user": secure.user, "password": SecretStr(secure.password)}
    bench = secured(kafka_secure, url=f"kafka://127.0.0.1:{secure.sasl_plaintext}", **login)
    forbidden = Destination("secret", Kind.STREAM, "kafka", f"{bench.run}-secret", partitions=1)

    async def run():
        async with bench.open() as transport:
            await transport.provision(Topology((forbidden,)))
            kafka_secure.deny(secure.user, forbidden.physical)
            entries = [Entry(where, b"x", []) for where in (bench.stream, forbidden, bench.stream)]
            return await transport.publish(entries, SECONDS)

    outcomes = asyncio.run(run())
    assert [each.status for each in outcomes] == [Status.CONFIRMED, Status.REFUSED, Status.CONFIRMED]
    assert outcomes[1].error.reason == "not_allowed"


def test_reading_needs_no_permission_for_a_group_and_names_the_one_it_needs(kafka_secure):
    secure = kafka_secure.secure
    login = {"user": secure.user, "password": SecretStr(secure.password)}
    bench = secured(kafka_secure, url=f"kafka://127.0.0.1:{secure.sasl_plaintext}", **login)
    user = f"User:{secure.user}"
    kafka_secure.tool("acls", "--add", "--deny-principal", user, "--operation", "All", "--group", "busbridge-read")

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"a")
            history = await transport.read(bench.stream, StartAt("earliest"), "now")
            assert [each.body for each in await asyncio.wait_for(history.receive(), SECONDS)] == [b"a"]
            following = await transport.read(bench.stream, StartAt("latest"), None)
            waiting = asyncio.create_task(following.receive())
            await asyncio.to_thread(kafka_secure.deny, secure.user, bench.stream.physical)
            with pytest.raises(AccessRefused):
                await asyncio.wait_for(waiting, SECONDS)
            with pytest.raises(AccessRefused):
                await transport.read(bench.stream, StartAt("earliest"), "now")

    asyncio.run(run())


def test_a_kafka_topic_that_differs_is_named_with_every_difference(new_bench):
    bench = new_bench(partitions=2)
    other = replace(bench.stream, partitions=3, retention=timedelta(days=1), compaction=True)

    async def run():
        async with bench.open() as transport:
            with pytest.raises(TopologyMismatch) as error:
                await transport.provision(Topology((other,)))
            return error.value.differences

    assert asyncio.run(run()) == (
        "partitions is 2, declared 3",
        "cleanup.policy is delete, declared compact,delete",
        "retention.ms is 604800000, declared 86400000",
    )


def test_what_is_not_to_be_provisioned_must_be_there(new_bench):
    bench = new_bench()
    missing = replace(bench.stream, physical=f"{bench.run}-missing", provision=False)

    async def run():
        async with bench.open() as transport:
            await transport.provision(Topology((replace(bench.stream, provision=False, partitions=99),)))
            with pytest.raises(TopologyMismatch, match="does not exist"):
                await transport.provision(Topology((missing,)))

    asyncio.run(run())


def test_what_the_cluster_does_not_make_is_named_and_not_waited_for(new_bench):
    bench = new_bench()
    copied = replace(bench.stream, physical=f"{bench.run}-copied", replication=5)

    async def run():
        async with bench.open() as transport:
            with pytest.raises(TopologyMismatch, match=r"copied' .*the cluster refuses to make it: .*replication"):
                await transport.provision(Topology((copied,)))

    asyncio.run(run())
