"""From transport settings to librdkafka's: what a client is made with, what a user may add, what is refused and why."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from confluent_kafka import Consumer, KafkaException, Producer

from busbridge.errors import Fault, Location
from busbridge_kafka import _known_options as known
from busbridge_kafka._log import ClientLog
from busbridge_kafka._stranded import INTERVAL, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import KafkaError

    from busbridge.routing import SubscriptionPlan, TransportSettings

DEFAULT_PORT: Final = 9092
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_COMMITS = "busbridge commits what is finished, and nothing else"
_CONFIRMS = "busbridge promises that a confirmed message is kept, once and in order"
_URL = "it comes from the transport's url, user, password and tls"
_OWN = "busbridge sets it"
REFUSED: Final = {
    **dict.fromkeys(
        (
            "enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms", "enable.auto.offset.store",
            "offset.store.method", "offset.store.path", "offset.store.sync.interval.ms",
        ),
        _COMMITS,
    ),
    "auto.offset.reset": "a position that is gone stops the subscription; `start:` says where a new one begins",
    **dict.fromkeys(
        (
            "acks", "request.required.acks", "enable.idempotence", "enable.gapless.guarantee", "queuing.strategy",
            "max.in.flight", "max.in.flight.requests.per.connection", "message.send.max.retries", "retries",
            "delivery.report.only.error", "produce.offset.report",
        ),
        _CONFIRMS,
    ),
    "partitioner": "a key goes to the partition that every other client computes for it (murmur2_random)",
    "partition.assignment.strategy": "it is cooperative-sticky; the other way is group.protocol: consumer",
    "isolation.level": "what a transaction took back is never handled: it is read_committed",
    "allow.auto.create.topics": "Kafka topics are provisioned, never created by use",
    **dict.fromkeys(
        (
            "bootstrap.servers", "metadata.broker.list", "security.protocol", "sasl.mechanism", "sasl.mechanisms",
            "sasl.username", "sasl.password", "ssl.ca.location", "ssl.certificate.location", "ssl.key.location",
            "ssl.key.password", "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification",
        ),
        _URL,
    ),
    **dict.fromkeys(
        ("group.id", "transactional.id", "enable.partition.eof", "group.protocol.type", "statistics.interval.ms"), _OWN
    ),
}  # fmt: skip
"""Settings that would break a promise, each with the reason."""

Options: TypeAlias = dict[str, Any]
"""What a client is made with: values and callbacks."""

_EVERY_CLIENT: Final[Options] = {
    "client.id": "busbridge",
    "socket.keepalive.enable": True,
    "allow.auto.create.topics": False,
    "socket.timeout.ms": 30_000,  # as Java's request.timeout.ms; a stranded client is closed after two or three
    "reconnect.backoff.max.ms": 2_000,  # a broker that returned is found within seconds
}
_PRODUCER: Final[Options] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 1,  # who publishes waits for the confirm, and batches are made before the client sees them
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,  # what is unconfirmed is bounded in bytes too
    "topic.metadata.propagation.max.ms": 2_000,  # a Kafka topic that does not exist is reported, not waited for
}
_TRANSACTIONS: Final[Options] = {
    "transaction.timeout.ms": 10_000,  # none is open while handlers run; what a dead process left open blocks readers
}
_SHORTER: Final = frozenset({"delivery.timeout.ms", "message.timeout.ms", "socket.timeout.ms"})
"""Times that may not be longer than a transaction's, and are as long instead."""
_CONSUMER: Final[Options] = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
}


def check(settings: TransportSettings) -> Iterator[Fault]:
    """Everything wrong with `settings`, without connecting."""
    yield from _check_url(settings)
    yield from _check_mechanism(settings)
    for name in settings.client:
        yield from _check_option(name, settings.client[name])


def bootstrap(settings: TransportSettings) -> str:
    """The brokers to ask first, `host:port,host:port`."""
    hosts = settings.url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return ",".join(_with_port(host.strip()) for host in hosts.split(",") if host.strip())


def producer_options(
    settings: TransportSettings, on_error: Callable[[KafkaError], None], on_stranded: Callable[[], None]
) -> Options:
    """What the producer is made with."""
    return {
        **_connection(settings, on_error),
        **_watched(on_stranded),
        **_PRODUCER,
        **_chosen(settings, known.PRODUCER | known.BOTH),
    }


def transactional_options(
    settings: TransportSettings, transactional_id: str, on_error: Callable[[KafkaError], None]
) -> Options:
    """What the producer of a subscription's transactions is made with. Not watched: one that fails is replaced."""
    options: Options = {
        **_connection(settings, on_error),
        **_PRODUCER,
        **_TRANSACTIONS,
        **_chosen(settings, (known.PRODUCER | known.BOTH) - _SHORTER),
        "transactional.id": transactional_id,
    }
    return {**options, "socket.timeout.ms": options["transaction.timeout.ms"]}


def admin_options(settings: TransportSettings, on_error: Callable[[KafkaError], None]) -> Options:
    """What the admin client is made with."""
    return {**_connection(settings, on_error), **_chosen(settings, known.BOTH)}


def consumer_options(
    settings: TransportSettings,
    plan: SubscriptionPlan,
    on_error: Callable[[KafkaError], None],
    on_stranded: Callable[[], None],
) -> Options:
    """What the consumer of one subscription is made with."""
    options = {
        **_connection(settings, on_error),
        **_watched(on_stranded),
        **_CONSUMER,
        **_chosen(settings, known.CONSUMER | known.BOTH),
        "group.id": plan.group,
    }
    if options.get("group.protocol") != "consumer":
        options["partition.assignment.strategy"] = "cooperative-sticky"
    return options


def reader_options(
    settings: TransportSettings, on_error: Callable[[KafkaError], None], on_stranded: Callable[[], None]
) -> Options:
    """What a consumer is made with that reads outside of any group.

    The client wants the name of a group all the same. Nothing is done in it: no such group is ever made.
    """
    return {
        **_connection(settings, on_error),
        **_watched(on_stranded),
        **_CONSUMER,
        **_chosen(settings, known.CONSUMER | known.BOTH),
        "group.id": "busbridge-read",
        "enable.partition.eof": True,
    }


def _connection(settings: TransportSettings, on_error: Callable[[KafkaError], None]) -> Options:
    return {
        **_EVERY_CLIENT,
        "bootstrap.servers": bootstrap(settings),
        "security.protocol": _security(settings),
        **_sasl(settings),
        **_tls(settings),
        "error_cb": on_error,
        "logger": ClientLog(),
    }


def _watched(on_stranded: Callable[[], None]) -> Options:
    return {"statistics.interval.ms": int(INTERVAL * 1000), "stats_cb": Watch(on_stranded)}


def _security(settings: TransportSettings) -> str:
    secure = settings.tls is not None or settings.scheme == "kafkas"
    return ("SASL_" if settings.user else "") + ("SSL" if secure else "PLAINTEXT")


def _sasl(settings: TransportSettings) -> Options:
    if not settings.user:
        return {}
    password = settings.password.get_secret_value() if settings.password else ""
    return {"sasl.mechanism": settings.mechanism or "PLAIN", "sasl.username": settings.user, "sasl.password": password}


def _tls(settings: TransportSettings) -> Options:
    tls = settings.tls
    if tls is None:
        return {}
    files = {"ssl.ca.location": tls.ca, "ssl.certificate.location": tls.certificate, "ssl.key.location": tls.key}
    options: Options = {name: str(path) for name, path in files.items() if path is not None}
    if tls.key_password is not None:
        options["ssl.key.password"] = tls.key_password.get_secret_value()
    if not tls.verify_hostname:
        options["ssl.endpoint.identification.algorithm"] = "none"
    return options


def _chosen(settings: TransportSettings, names: frozenset[str]) -> Options:
    return {name: value for name, value in settings.client.items() if name in names}


def _with_port(host: str) -> str:
    closing = host.rfind("]")  # an IPv6 address has colons of its own
    return host if ":" in host[closing + 1 :] else f"{host}:{DEFAULT_PORT}"


def _check_url(settings: TransportSettings) -> Iterator[Fault]:
    if not bootstrap(settings):
        yield Fault("the url names no broker", Location(("url",)), "kafka://host:9092, or kafka://a:9092,b:9092")


def _check_mechanism(settings: TransportSettings) -> Iterator[Fault]:
    where = Location(("mechanism",))
    if settings.mechanism is None:
        return
    if settings.mechanism not in MECHANISMS:
        hint = f"one of {', '.join(MECHANISMS)}; a client certificate alone needs no mechanism"
        yield Fault(f"mechanism {settings.mechanism!r} is not offered by Kafka", where, hint)
    elif not settings.user:
        yield Fault(f"mechanism {settings.mechanism!r} needs a user and a password", where)


def _check_option(name: str, value: object) -> Iterator[Fault]:
    where = Location(("client", name))
    every = known.PRODUCER | known.CONSUMER | known.BOTH
    if name in REFUSED:
        yield Fault(f"{name} can't be set: {REFUSED[name]}", where)
    elif name not in every:
        near = get_close_matches(name, every - REFUSED.keys(), n=1)
        yield Fault(f"librdkafka has no setting {name!r}", where, f"did you mean {near[0]!r}?" if near else None)
    else:
        yield from _check_value(name, value, where)


def _check_value(name: str, value: object, where: Location) -> Iterator[Fault]:
    options: Options = {name: value, "logger": ClientLog()}
    try:
        if name in known.CONSUMER:
            Consumer({"group.id": "check", **options}).close()
        else:
            Producer(options)
    except KafkaException as error:
        yield Fault(f"{name}: {value!r} is not accepted: {error.args[0].str()}", where)
