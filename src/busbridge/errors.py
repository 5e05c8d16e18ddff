"""Every error busbridge raises, in families by what the caller can do about it.

`BusbridgeError` is the root. Errors build their own message from typed fields: what happened, where, what to do next.
No error of a broker's client crosses a transport; it is the `__cause__` of one of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AccessRefused",
    "AttemptTimedOut",
    "BeyondWindow",
    "BusbridgeError",
    "CanaryFailed",
    "ClosedError",
    "CommitUnknown",
    "ConfigurationError",
    "ContractError",
    "Fault",
    "HandlerError",
    "InvalidEnvelope",
    "InvalidMessage",
    "Location",
    "MessageRefused",
    "MissingExtra",
    "NoDeadLetter",
    "NotHandled",
    "OutcomeUnknown",
    "PositionLost",
    "Reject",
    "ReplayPublished",
    "ReplayTaken",
    "Retry",
    "SourceEnded",
    "StaleDelivery",
    "StoreContention",
    "StoreError",
    "StoreOutdated",
    "StoreUnavailable",
    "TopologyMismatch",
    "TransactionAborted",
    "TransportError",
    "Unavailable",
    "UndeclaredContract",
    "UnknownContract",
    "UnknownVersion",
    "UnreadableMessage",
]


class BusbridgeError(Exception):
    """The root of all errors of this library."""


# Fix the code or the configuration.


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a configuration: the file and line where there is one, and the path of keys that leads there."""

    path: tuple[str | int, ...] = ()
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file and self.line else self.file or ""
        keys = ".".join(str(key) for key in self.path)
        return f"{where}: {keys}" if where and keys else where or keys


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a configuration or a service, and what would be right."""

    problem: str
    location: Location = Location()
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.location}: {self.problem}" if str(self.location) else self.problem
        return f"{text} ({self.hint})" if self.hint else text


class ConfigurationError(BusbridgeError):
    """The configuration, or a service joined with it, is wrong. Carries every fault found, not the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"{count} in the configuration:", *(f"  {fault}" for fault in self.faults)]))


class MissingExtra(BusbridgeError):
    """A transport, or the database of a store, is asked for whose extra is not installed."""

    def __init__(self, scheme: str, known: Sequence[str], extra: str | None = None, what: str = "transport") -> None:
        self.scheme = scheme
        self.extra = extra
        remedy = f"install it: pip install 'busbridge[{extra}]'" if extra else f"known schemes: {', '.join(known)}"
        super().__init__(f"no {what} is installed for {scheme}:// ({remedy})")


class ContractError(BusbridgeError, TypeError):
    """A contract class, its metadata or its upcasters are wrong. Raised where the class is defined."""


class HandlerError(BusbridgeError, TypeError):
    """A handler or subscription is declared wrongly. Raised where it is declared."""


class UndeclaredContract(BusbridgeError):
    """A service publishes a contract that is not in its `publishes`."""

    def __init__(self, service: str, contract: str, declared: Sequence[str]) -> None:
        self.service = service
        self.contract = contract
        listed = ", ".join(declared) or "nothing"
        super().__init__(
            f"service {service!r} publishes {contract!r}, which is not among what it declares ({listed}): "
            f"add the class to Service({service!r}, publishes=[...])"
        )


class TopologyMismatch(BusbridgeError):
    """Something on the broker is missing, or is not as the configuration declares it. Nothing was changed."""

    def __init__(self, what: str, differences: Sequence[str]) -> None:
        self.what = what
        self.differences = tuple(differences)
        listed = "; ".join(self.differences)
        super().__init__(f"{what} is not what the configuration says, and was not changed: {listed}")


class AccessRefused(BusbridgeError):
    """The broker refused user, password, certificate or permission. Not retried. Never names the password."""

    def __init__(self, broker: str, user: str | None, detail: str) -> None:
        self.broker = broker
        self.user = user
        who = f"user {user!r}" if user else "the client"
        super().__init__(f"{broker} refused {who}: {detail}")


# Try again later.


class TransportError(BusbridgeError):
    """The connection to a broker failed in a way that may pass."""


class Unavailable(TransportError):
    """The broker could not be reached within the declared time."""

    def __init__(self, broker: str, seconds: float, detail: str) -> None:
        self.broker = broker
        self.seconds = seconds
        super().__init__(f"{broker} could not be reached for {seconds:g} s; the last attempt said: {detail}")


class TransactionAborted(TransportError):
    """A transaction of a broker came to nothing: none of its messages is there, none of its deliveries is settled.

    The same may be committed again.
    """

    def __init__(self, who: str, detail: str) -> None:
        self.who = who
        self.detail = detail
        super().__init__(f"a transaction of {who} was aborted: {detail}")


class StoreError(BusbridgeError):
    """A statement of the store failed, for a reason that does not pass by itself. Never names the password."""

    def __init__(self, database: str, detail: str) -> None:
        self.database = database
        self.detail = detail
        super().__init__(f"{self._problem(database)}: {detail}")

    def _problem(self, database: str) -> str:
        return f"the store in {database} failed"


class StoreUnavailable(StoreError):
    """The database is away, full, or not answering in time. It passes by itself; nothing was committed."""

    def _problem(self, database: str) -> str:
        return f"the store in {database} is unavailable"


class CommitUnknown(StoreUnavailable):
    """The connection went between COMMIT and its answer: everything of the transaction is there, or nothing is."""

    def _problem(self, database: str) -> str:
        return f"it is unknown whether a transaction was committed to the store in {database}"


class StoreContention(StoreError):
    """Another transaction was in the way: a deadlock, a serialization failure, a row that another has written first.

    Nothing was committed. Doing the same again is no further attempt.
    """

    def _problem(self, database: str) -> str:
        return f"a transaction in {database} met another one"


class StoreOutdated(StoreError):
    """The tables of the store are not there, or are of another version than this library's."""

    def __init__(self, database: str, found: int | None, wanted: int) -> None:
        self.found = found
        self.wanted = wanted
        there = "has no tables yet" if found is None else f"is of version {found}"
        newer = found is not None and found > wanted
        remedy = "install a newer busbridge" if newer else "run `busbridge store upgrade`"
        super().__init__(database, f"it {there}, this busbridge works with version {wanted}: {remedy}")

    def _problem(self, database: str) -> str:
        return f"the schema of the store in {database} does not fit"


class PositionLost(BusbridgeError):
    """The position a subscription had reached is no longer in the stream. It stops until the operator chooses.

    The same for one who reads without a subscription: then `subscription` is None.
    """

    def __init__(
        self, subscription: str | None, stream: str, partition: int, committed: int, low: int, high: int
    ) -> None:
        self.subscription = subscription
        self.stream = stream
        self.partition = partition
        self.committed = committed
        self.low = low
        self.high = high
        who = f"subscription {subscription!r} had reached" if subscription else "reading goes on at"
        remedy = "Decide where to go on" + (" and commit that offset for the group" if subscription else "")
        super().__init__(
            f"{who} offset {committed} of {stream}[{partition}], "
            f"but the log holds {low} to {high}: what lies between would be skipped in silence. {remedy}"
        )


# A message that can't be published: permanent for that message, the rest goes on.


class MessageRefused(BusbridgeError):
    """The broker, or the transport before it, definitely did not take the message.

    `reason` is one of `unroutable`, `too_large`, `not_allowed`, `no_destination`, `overflow`, `invalid`.
    """

    def __init__(self, reason: str, destination: str, detail: str) -> None:
        self.reason = reason
        self.destination = destination
        self.detail = detail
        super().__init__(f"{destination} refused the message ({reason}): {detail}")

    @property
    def passes(self) -> bool:
        """Whether time may mend it: a full queue may drain, an unroutable message stays unroutable."""
        return self.reason == "overflow"


class OutcomeUnknown(BusbridgeError):
    """The deadline passed between write and confirm: the broker may own the message, or not.

    Send it again with the same id: a consumer can tell that it is the same message.
    """

    def __init__(self, destination: str, detail: str) -> None:
        self.destination = destination
        self.detail = detail
        super().__init__(f"it is unknown whether {destination} took the message: {detail}")


# A message that can't be handled: it becomes a dead letter.


class InvalidEnvelope(BusbridgeError):
    """What arrived is no CloudEvent and the destination assumes no contract, or a required attribute is missing."""


class InvalidMessage(BusbridgeError):
    """The body does not fit its contract. The cause is pydantic's error, or the upcaster's."""


class UnknownContract(BusbridgeError):
    """The message is of a contract that this service does not know."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"contract {name!r} is not known here")


class UnknownVersion(BusbridgeError):
    """The message is of a version that this service can neither handle, lift nor read."""

    def __init__(self, name: str, version: int | None, known: Sequence[int]) -> None:
        self.name = name
        self.version = version
        self.known = tuple(known)
        listed = ", ".join(str(each) for each in self.known)
        what = f"version {version} of {name!r}" if version is not None else f"a version of {name!r} that is not stated"
        super().__init__(f"{what} can't be read here; known: {listed}")


class NotHandled(BusbridgeError):
    """The message is of a contract that the subscription has no handler for."""

    def __init__(self, name: str, subscription: str) -> None:
        self.name = name
        self.subscription = subscription
        super().__init__(f"subscription {subscription!r} has no handler for {name!r}")


class AttemptTimedOut(BusbridgeError, TimeoutError):
    """A handler took longer than its subscription's `retry.limit`. It was cancelled, and the attempt has failed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"the handler was cancelled after {seconds:g} s, the limit of an attempt")


class UnreadableMessage(BusbridgeError):
    """A message of a stream that is read can't be read as the contract asked for. `__cause__` is one of those above."""

    def __init__(self, destination: str, partition: int, offset: int, detail: str) -> None:
        self.destination = destination
        self.partition = partition
        self.offset = offset
        super().__init__(
            f"offset {offset} of {destination}[{partition}] can't be read: {detail} "
            f'(on_invalid="skip" passes over such messages)'
        )


# What a handler raises to say how its attempt ends.


class Retry(BusbridgeError):
    """Raised by a handler: this attempt has failed, and the next one is to wait for `after`.

    `after` is a timedelta or a number of seconds, not negative (ValueError); it replaces the delay that the
    configuration would give. The attempt counts: after the last one the message is a dead letter with the reason
    `failed`. `fatal=` and `retry_on=` do not matter.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta) -> None:
        self.reason = reason
        self.seconds = after.total_seconds() if isinstance(after, timedelta) else float(after)
        if not 0 <= self.seconds < math.inf:
            raise ValueError(f"after= must be zero or more seconds, not {after!r}")
        super().__init__(f"{reason or 'the handler asks for another attempt'} (after {self.seconds:g} s)")


class Reject(BusbridgeError):
    """Raised by a handler: the message can't be handled, now or later.

    It is a dead letter at once, with the reason `rejected` and the words of `reason`.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


# Endings: closed by you, ended by the peer or by a drain, or stale.


class NoDeadLetter(BusbridgeError):
    """There is no dead letter of this id: it was sent again, discarded, or never was."""

    def __init__(self, service: str, id: str) -> None:  # noqa: A002 - what it is called
        self.service = service
        self.id = id
        super().__init__(f"service {service!r} has no dead letter {id!r}, neither by its own id nor by its message's")


class BeyondWindow(BusbridgeError):
    """A dead letter is older than the window of the store: whether it was sent again and handled since is forgotten.

    Neither it nor what stands behind it was sent.
    """

    def __init__(self, subscription: str, id: str, age: timedelta, window: timedelta) -> None:  # noqa: A002 - as above
        self.subscription = subscription
        self.id = id
        self.age = age
        self.window = window
        old = timedelta(seconds=round(age.total_seconds()))
        super().__init__(
            f"dead letter {id} of {subscription!r} was given up {old} ago, longer than the store's window of {window}: "
            "if it was sent again before and handled, that is forgotten by now, and its effects would happen twice; "
            "choose newer ones (--newer-than), or send it all the same (--beyond-window)"
        )


class CanaryFailed(BusbridgeError):
    """The first messages of a redrive were not all handled: the rest was not sent."""

    def __init__(self, redrive: str, sent: int, handled: int | None, dead: int) -> None:
        self.redrive = redrive
        self.sent = sent
        self.handled = handled
        """None: nobody tells, without a store."""
        self.dead = dead
        known = "" if handled is None else f"{handled} handled, "
        super().__init__(
            f"the canary of redrive {redrive} failed: of {sent} sent, {known}{dead} dead again; the rest was not sent "
            f"(see why with `busbridge dead list`)"
        )


class ClosedError(BusbridgeError):
    """The bus, transport or source was closed by its owner and is used again; or a bus is used before it is open."""

    def __init__(self, what: str, how: str = "is closed") -> None:
        self.what = what
        super().__init__(f"{what} {how}")


class SourceEnded(BusbridgeError):
    """A draining source has handed over everything it held. A signal, not a failure."""


class ReplayPublished(BusbridgeError):
    """A handler publishes while a stream is replayed to it, and the run was not told what is to become of that."""

    def __init__(self, run: str, handler: str, contract: str) -> None:
        self.run = run
        self.handler = handler
        self.contract = contract
        super().__init__(
            f"handler {handler!r} publishes {contract!r} in replay run {run!r}, which was not told what is to become "
            "of that: go on with the run and publish=`send` (once more, with ids of the run's own) or `drop`"
        )


class ReplayTaken(BusbridgeError):
    """Another process makes this replay run."""

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(f"another process makes replay run {run!r}: wait for its end, or stop it")


class StaleDelivery(BusbridgeError):
    """A delivery of a lost session can't be settled: the broker hands the message over again.

    No other message is touched.
    """

    def __init__(self, delivery: str) -> None:
        super().__init__(f"{delivery} belongs to a session that is gone; the message will be delivered again")
