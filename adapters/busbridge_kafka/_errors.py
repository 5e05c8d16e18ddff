"""Kafka's errors and ours: the mapping, as data. No exception of the client crosses the transport."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from busbridge.errors import AccessRefused, BusbridgeError, MessageRefused, OutcomeUnknown, Unavailable
from busbridge.transport import Outcome, Status

if TYPE_CHECKING:
    from busbridge.routing import Destination, TransportSettings

_E = TypeVar("_E", bound=BusbridgeError)

REFUSALS: Final = {
    KafkaError.MSG_SIZE_TOO_LARGE: "too_large",
    KafkaError.RECORD_LIST_TOO_LARGE: "too_large",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "not_allowed",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "not_allowed",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "no_destination",
    KafkaError._UNKNOWN_TOPIC: "no_destination",  # noqa: SLF001  (the client's local codes begin with an underscore)
    KafkaError._UNKNOWN_PARTITION: "no_destination",  # noqa: SLF001
    KafkaError.TOPIC_EXCEPTION: "no_destination",
    KafkaError.INVALID_MSG: "invalid",
    KafkaError.INVALID_RECORD: "invalid",
    KafkaError.INVALID_TIMESTAMP: "invalid",
    KafkaError._INVALID_ARG: "invalid",  # noqa: SLF001
}
"""Delivery reports by which the broker, or the client before it, definitely did not take the message."""

ABANDONED: Final = frozenset(
    {KafkaError._FATAL, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # noqa: SLF001
)
"""Delivery reports of a producer that can't go on: its successor sends these messages again."""

ACCESS: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
"""What asking again does not change: user, password, certificate or permission."""


PASSING: Final = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
"""What a cluster says while nodes come and go, and elect who answers. `KafkaError.retriable` is for producers alone."""


NO_SUCH_STREAM: Final = frozenset(
    {
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_REQUEST,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
    }
)
"""Why a cluster does not make a Kafka topic as it is declared."""


class Report(Enum):
    """What a failed delivery report means for its entry."""

    REFUSED = auto()
    ABANDONED = auto()
    UNKNOWN = auto()


def meaning(error: KafkaError) -> Report:
    """What to do about an entry whose delivery report says `error`."""
    if error.fatal() or error.code() in ABANDONED:
        return Report.ABANDONED
    return Report.REFUSED if error.code() in REFUSALS else Report.UNKNOWN


def refused(destination: Destination, error: KafkaError) -> Outcome:
    """The outcome of an entry that was definitely not taken."""
    return Outcome(Status.REFUSED, error=refusal(destination, error))


def refusal(destination: Destination, error: KafkaError) -> MessageRefused:
    """Why a message was definitely not taken."""
    return _caused(MessageRefused(REFUSALS[error.code()], destination.name, error.str()), error)


def invalid(destination: Destination, error: Exception) -> Outcome:
    """The outcome of an entry that the client can't write."""
    refusal = MessageRefused("invalid", destination.name, str(error))
    refusal.__cause__ = error
    return Outcome(Status.REFUSED, error=refusal)


def unknown(destination: Destination, error: KafkaError) -> Outcome:
    """The outcome of an entry that the client gave up between write and confirm."""
    return _failed(Status.UNKNOWN, OutcomeUnknown(destination.name, error.str()), error)


def expired(destination: Destination, seconds: float) -> Outcome:
    """The outcome of an entry that was not confirmed within `seconds`."""
    return Outcome(Status.UNKNOWN, error=OutcomeUnknown(destination.name, f"no confirm came within {seconds:g} s"))


def is_access(error: KafkaError) -> bool:
    """Whether the broker refuses who we are, or what we may do. A certificate that one side rejects counts."""
    text = error.str().lower()
    certificate = error.code() == KafkaError._SSL and ("certificate" in text or "alert" in text)  # noqa: SLF001
    return certificate or error.code() in ACCESS


def access_refused(settings: TransportSettings, brokers: str, error: KafkaError) -> AccessRefused:
    """`error` as ours, naming broker and user, never the password."""
    return _caused(AccessRefused(f"Kafka at {brokers}", settings.user, error.str()), error)


def unavailable(brokers: str, seconds: float, error: KafkaError | None) -> Unavailable:
    """Nobody answered in time."""
    failure = Unavailable(f"Kafka at {brokers}", seconds, error.str() if error else "no answer")
    return _caused(failure, error) if error else failure


def _failed(status: Status, ours: BusbridgeError, error: KafkaError) -> Outcome:
    return Outcome(status, error=_caused(ours, error))


def _caused(ours: _E, error: KafkaError) -> _E:
    ours.__cause__ = KafkaException(error)
    return ours
