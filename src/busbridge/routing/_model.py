"""The YAML as a pydantic model: shape, types and the description of every key. What keys mean together: `_checks`.

The reference page and the JSON Schema of the file are rendered from it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from busbridge.contract import CATALOG
from busbridge.routing._on_failure import OnFailure
from busbridge.routing._retry_plan import Backoff
from busbridge.routing._topology import Kind, Others, Unrouted
from busbridge.routing._values import (
    ContractName,
    ContractReference,
    Duration,
    Flag,
    Name,
    Setting,
    Start,
    Texts,
)


class Section(BaseModel):
    """A mapping of the YAML. Unknown keys are faults; a key without a value counts as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: object) -> object:
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in cast("Mapping[str, object]", data).items() if value is not None}


def _tls(value: object) -> object:
    if isinstance(value, (str, bool)):
        return {"enabled": value}
    return value


def _or_true(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"type": "boolean"}, *schema["anyOf"]]


def _or_single(schema: dict[str, Any]) -> None:
    """A destination's name stands for a target, and one target for a list of one."""
    target = {"anyOf": [{"type": "string"}, schema.pop("items")]}
    schema["anyOf"] = [
        *target["anyOf"],
        {"type": schema.pop("type"), "items": target, "minItems": schema.pop("minItems")},
    ]


def _target(value: object) -> object:
    return {"destination": value} if isinstance(value, str) else value


def _targets(value: object) -> object:
    if isinstance(value, list):
        return [_target(each) for each in cast("list[object]", value)]
    return [_target(value)]


class TlsSection(Section):
    """`tls:` of a transport: `true`, or how to trust and be trusted."""

    enabled: Annotated[Flag, Field(exclude=True)] = True
    ca: Annotated[str | None, Field(description="File of the authorities to trust, PEM. Default: the system's.")] = None
    certificate: Annotated[str | None, Field(description="File of the client's certificate, PEM; needs `key`.")] = None
    key: Annotated[str | None, Field(description="File of the client's private key, PEM.")] = None
    key_password: Annotated[SecretStr | None, Field(description="Password of the private key.")] = None
    verify_hostname: Annotated[
        Flag, Field(description="Whether the broker's certificate must name the host of the URL. Default: true.")
    ] = True


class TransportSection(Section):
    """One broker, and how to reach it."""

    url: Annotated[
        str,
        Field(
            description="`scheme://host:port`; the scheme names the transport. Several hosts are joined with commas. "
            "User and password may stand in it; the password is taken out when the file is loaded.",
            examples=["amqp://localhost", "kafka://localhost:9092", "memory://"],
        ),
    ]
    user: Annotated[str | None, Field(description="User name, instead of the one in the URL.")] = None
    password: Annotated[SecretStr | None, Field(description="Password, instead of the one in the URL.")] = None
    mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "EXTERNAL"] | None,
        Field(description="SASL mechanism. Default: the transport's, where a user is given."),
    ] = None
    tls: Annotated[
        TlsSection | None,
        BeforeValidator(_tls),
        Field(
            description="`true`, or trust and client certificate. Implied by a scheme such as `amqps`.",
            json_schema_extra=_or_true,
        ),
    ] = None
    client: Annotated[
        dict[str, Setting], Field(description="Settings passed to the broker's client, checked by the transport.")
    ] = {}
    patience: Annotated[
        Duration | None, Field(description="How long to wait for a broker that is down at start. Default: 60s.")
    ] = None


class DestinationSection(Section):
    """A named place messages go."""

    kind: Annotated[
        Kind,
        Field(
            description="`queue`: one of many workers gets each message. `topic`: every subscription gets a copy. "
            "`stream`: kept, ordered per key, read again at will."
        ),
    ]
    transport: Annotated[Name, Field(description="One of `transports`.")]
    name: Annotated[str | None, Field(description="Its name on the broker. Default: its name here.")] = None
    provision: Annotated[
        Flag, Field(description="`false`: it exists already; it is verified and never created. Default: true.")
    ] = True
    durable: Annotated[
        Flag | None, Field(description="`false`: it may go when the broker restarts. Queue and topic. Default: true.")
    ] = None
    ordered: Annotated[
        Flag | None,
        Field(
            description="Order per key. Always so on a stream; a queue pays with a fixed number of shards. "
            "Default: false on a queue."
        ),
    ] = None
    partitions: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            description="Of a stream, or shards of an ordered queue. Fixed at creation. Default: the transport's.",
        ),
    ] = None
    replication: Annotated[
        int | None, Field(ge=1, le=100, description="Copies of a stream. Default: the broker's.")
    ] = None
    retention: Annotated[
        Duration | None, Field(description="How long a stream keeps messages. Default: the broker's.")
    ] = None
    compaction: Annotated[
        Flag | None, Field(description="A stream keeps only the newest message of each key. Default: false.")
    ] = None
    max_length: Annotated[
        int | None,
        Field(
            ge=1, le=2**31 - 1, description="Messages a queue holds; beyond it a publish is refused. Default: no bound."
        ),
    ] = None
    ttl: Annotated[
        Duration | None,
        Field(description="How long a queue keeps an unread message before it is a dead letter. Default: for ever."),
    ] = None
    unrouted: Annotated[
        Unrouted | None,
        Field(
            description="Publishing to a topic that no subscription matches: `error` or `ignore`. Default: `error` "
            "while the topic has no subscription in this file, `ignore` after."
        ),
    ] = None
    assume: Annotated[
        ContractReference | None,
        Field(
            description="Contract of bodies without attributes, `name@version`: for producers that know no envelope."
        ),
    ] = None


class TargetSection(Section):
    """One destination of a route."""

    destination: Annotated[Name, Field(description="One of `destinations`.")]
    routing_key: Annotated[
        str | None, Field(max_length=255, description="What a topic matches on. Default: the contract's name.")
    ] = None
    headers: Annotated[dict[str, str], Field(description="Headers that subscriptions of a topic may match on.")] = {}


class RouteSection(Section):
    """Where one contract goes."""

    to: Annotated[
        list[TargetSection],
        BeforeValidator(_targets),
        Field(
            min_length=1,
            description="A destination, or a list of destinations; a mapping adds `routing_key` or `headers`.",
            examples=["orders", ["order-events", "order-log"]],
            json_schema_extra=_or_single,
        ),
    ]


class RetrySection(Section):
    """What happens when a handler raises."""

    attempts: Annotated[
        int, Field(ge=1, le=1000, description="Attempts of a handler before the message is a dead letter. Default: 3.")
    ] = 3
    immediate: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description="How many of them follow at once. Default: all; with another of the keys below 3, or one less "
            "than `attempts`.",
        ),
    ] = None
    first: Annotated[
        Duration | None,
        Field(
            description="How long the first delayed attempt waits, at least. Without a `store` it waits at the broker, "
            "in one of a few fixed tiers. Default: 1s."
        ),
    ] = None
    longest: Annotated[
        Duration | None, Field(alias="max", description="How long any delayed attempt waits, at most. Default: 5m.")
    ] = None
    backoff: Annotated[
        Backoff | None,
        Field(
            description="`exponential`: each delay is drawn between `first` and a limit that doubles. `fixed`: each is "
            "`first`. Default: exponential."
        ),
    ] = None
    limit: Annotated[
        Duration | None,
        Field(
            description="How long one attempt may take: then the handler, an `async def` one, is cancelled, and the "
            "attempt has failed. Default: any time."
        ),
    ] = None

    def given(self, key: str) -> bool:
        """Whether `key`, as it is written in the YAML, has a value."""
        return getattr(self, "longest" if key == "max" else key) is not None

    @property
    def delays(self) -> bool:
        """Whether it says how long attempts wait."""
        return any(self.given(key) for key in ("first", "max", "backoff"))


class DeadLettersSection(Section):
    """What the records of dead letters tell of the error."""

    stack: Annotated[
        Flag | None, Field(description="`false`: not where the handler's error was raised. Default: true.")
    ] = None
    redact: Annotated[
        Texts | None,
        Field(
            description="Regular expressions: what they match in the error's text and stack is replaced by "
            "`[redacted]`. The message itself stays as it is.",
            examples=[r"\d{13,19}"],
        ),
    ] = None


class PauseSection(Section):
    """When a subscription pauses whose handlers all fail."""

    after: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Messages that fail in a row, per process, until no more are taken: one is tried now and then, "
            "until one succeeds. 0: never. Default: 10.",
        ),
    ] = 10
    probe: Annotated[
        Duration | None,
        Field(description="How long until one is tried; twice as long after each that fails, up to 1m. Default: 5s."),
    ] = None


class SubscriptionSection(Section):
    """A named place of a service at one destination; replicas of the service share it."""

    source: Annotated[Name, Field(alias="from", description="One of `destinations`.")]
    match: Annotated[
        Texts | None,
        Field(
            description="Routing keys to take from a topic: `*` is one word, `#` any number of words; a `*` inside a "
            "word (`shop.order-*`) stands for the contracts routed to the topic. Default: `#`, all.",
            examples=["shop.#", ["shop.order-*", "shop.payment-failed"]],
        ),
    ] = None
    headers: Annotated[
        dict[str, str], Field(description="Headers that a message of a topic must carry, instead of `match`.")
    ] = {}
    match_headers: Annotated[
        Literal["all", "any"] | None, Field(description="Whether all `headers` must match, or any. Default: all.")
    ] = None
    concurrency: Annotated[
        int, Field(ge=1, le=10_000, description="Handlers that run at a time, per process. Default: 1.")
    ] = 1
    prefetch: Annotated[
        int | None,
        Field(ge=1, le=65_535, description="Deliveries held and not settled, at most. Default: the transport's."),
    ] = None
    start: Annotated[
        Start | None,
        Field(
            description="Where a new subscription of a stream begins: `earliest`, `latest`, an offset or an RFC 3339 "
            "time. Default: earliest."
        ),
    ] = None
    ordered: Annotated[
        Flag | None, Field(description="Deliveries of one key are handled in order. Default: as the destination.")
    ] = None
    durable: Annotated[
        Flag | None,
        Field(description="`false`: a topic keeps nothing for it while nobody is connected. Default: true."),
    ] = None
    others: Annotated[
        Others | None,
        Field(
            description="A message of a contract without a handler here: `discard` (counted) or `dead_letter`. "
            "Default: `dead_letter` on a queue, else `discard`."
        ),
    ] = None
    retry: Annotated[RetrySection, Field(description="What happens when a handler raises.")] = RetrySection()
    on_failure: Annotated[
        OnFailure | None,
        Field(
            description="An ordered subscription's key, while a message of it waits for its next attempt: `block`, the "
            "later ones wait behind it; `park_key`, all of them wait in the `store`. Other keys go on. Default: block."
        ),
    ] = None
    pause: Annotated[PauseSection, Field(description="What happens when all handlers fail.")] = PauseSection()
    dead_letters: Annotated[
        DeadLettersSection, Field(description="What the records of its dead letters tell of the error.")
    ] = DeadLettersSection()
    exactly_once: Annotated[
        Flag | None,
        Field(
            description="From a stream to streams of its transport: that a message is handled, and what its handler "
            "publishes, is one transaction of the broker. Not with a `store`. Default: false."
        ),
    ] = None


class StoreSection(Section):
    """`store:` of a service."""

    url: Annotated[
        SecretStr,
        Field(
            description="`sqlite:///FILE`, relative to the working directory, or `postgresql://user:password@host/name`.",
            examples=["sqlite:///inventory.db", "postgresql://inventory@localhost/inventory"],
        ),
    ]
    window: Annotated[
        Duration | None,
        Field(description="How long a handled message is known, so that it is not handled twice. Default: 7d."),
    ] = None
    upgrade: Annotated[
        Flag | None,
        Field(
            description="Whether opening a bus brings the tables up to date; `busbridge store upgrade` does it by hand."
            " Default: true for SQLite, false for PostgreSQL."
        ),
    ] = None
    batch: Annotated[
        int, Field(ge=1, le=1000, description="Messages handled in one transaction, at most. Default: 200.")
    ] = 200
    connections: Annotated[
        int,
        Field(
            ge=2,
            le=1000,
            description="Connections to PostgreSQL that a process opens, at most; a handler that waits for one more"
            " waits until another has ended. SQLite has one. Default: 20.",
        ),
    ] = 20
    outbox_limit: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000_000,
            description="Messages that wait in the outbox, at most: while there are more the service's subscriptions"
            " take nothing, until 80% of it are left. 0: no limit. Default: 100000.",
        ),
    ] = 100_000


class ServiceSection(Section):
    """One service. Empty: it only publishes."""

    store: Annotated[
        StoreSection | None,
        Field(description="The database in which the effects of a message happen once. Default: none."),
    ] = None

    subscriptions: Annotated[
        dict[Name, SubscriptionSection], Field(description="The service's subscriptions, by name.")
    ] = {}


class PublishSection(Section):
    """Publishing."""

    timeout: Annotated[
        Duration | None, Field(description="How long an unconfirmed publish is sent again. Default: 30s.")
    ] = None


class StopSection(Section):
    """Stopping."""

    grace: Annotated[
        Duration | None, Field(description="How long handlers in flight may take when the bus stops. Default: 25s.")
    ] = None


class File(Section):
    """The whole configuration: where things go, never what they are."""

    include: Annotated[
        Texts | None,
        Field(description="Files that this one is laid over, relative to it. Later ones win over earlier ones."),
    ] = None
    transports: Annotated[dict[Name, TransportSection], Field(description="The brokers, by name.")] = {}
    destinations: Annotated[dict[Name, DestinationSection], Field(description="Named places messages go.")] = {}
    routes: Annotated[
        dict[ContractName, RouteSection],
        Field(description="Which destinations each contract goes to, by contract name."),
    ] = {}
    services: Annotated[dict[Name, ServiceSection], Field(description="The services, by name.")] = {}
    publish: Annotated[PublishSection, Field(description="Publishing.")] = PublishSection()
    stop: Annotated[StopSection, Field(description="Stopping.")] = StopSection()
    catalog: Annotated[
        str,
        Field(
            min_length=1,
            description="Base URI of the catalog: what each `dataschema` begins with. Default: `busbridge:contracts/`.",
        ),
    ] = CATALOG
