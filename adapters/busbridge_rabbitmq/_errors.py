"""What the broker's refusals mean here, as data. The client's exceptions end in this file."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

from pika import exceptions

from busbridge.errors import AccessRefused, TopologyMismatch, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pika.exceptions import AMQPError

    from busbridge.errors import BusbridgeError

NOT_FOUND = 404
ACCESS_REFUSED = 403
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
NOT_ALLOWED = 530

_REASONS = {
    ACCESS_REFUSED: "not_allowed",
    NOT_FOUND: "no_destination",
    RESOURCE_LOCKED: "not_allowed",
}
_TOO_LARGE = re.compile(r"larger than (?:configured )?max", re.IGNORECASE)
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<name>[^']+)' for (?P<what>\w+ '[^']+').*?"
    r"received (?P<wanted>.+?) but current is (?P<found>.+)$"
)

# The broker ends a connection with these for reasons of its own; every other code blames something the client sent.
_NOT_THE_CLIENTS_FAULT = frozenset({200, 320, 541})


def code(error: BaseException | None) -> int | None:
    """The AMQP reply code with which the broker closed a channel or connection; None: it did not, the line went."""
    if isinstance(error, (exceptions.ChannelClosedByBroker, exceptions.ConnectionClosedByBroker)):
        return int(error.reply_code)
    return None


def text(error: BaseException | None) -> str:
    """What the broker or the network said, for a person."""
    if isinstance(error, (exceptions.ChannelClosed, exceptions.ConnectionClosed)):
        return str(error.reply_text)
    if error is None:
        return "no reason given"
    deepest = list(_chain(error))[-1]
    return str(deepest) or type(deepest).__name__


def blames_a_message(error: BaseException | None) -> bool:
    """True where the broker closed the channel or the connection because of something that was published on it."""
    found = code(error)
    return found is not None and found not in _NOT_THE_CLIENTS_FAULT


def refusal(error: BaseException | None) -> str:
    """The reason of a MessageRefused for the message that made the broker close the channel."""
    if _TOO_LARGE.search(text(error)):
        return "too_large"
    return _REASONS.get(code(error) or 0, "invalid")


def consuming(error: AMQPError, broker: str, user: str | None, queue: str) -> BusbridgeError:
    """Why a queue can't be consumed: TransportError where trying again may help."""
    if code(error) == ACCESS_REFUSED:
        return AccessRefused(broker, user, text(error))
    if code(error) != NOT_FOUND and blames_a_message(error):
        return TopologyMismatch(f"queue {queue!r}", [text(error)])
    return TransportError(f"{broker}: {text(error)}")


def difference(reply: str) -> str | None:
    """Which argument differs, from the text of a 406; None where the text is not about that."""
    found = _INEQUIVALENT.search(reply)
    return found and f"{found['name']} is {found['found']}, declared is {found['wanted']}"


def denied(error: BaseException) -> bool:
    """True where user, password, certificate, permission or virtual host was refused: waiting won't help."""
    return any(_denies(each) for each in _chain(error))


# The client turns what the broker said during the handshake into a guess whose text holds the original's repr. Only a
# broker that gave a code is believed: one that is shutting down drops the line at the same stage.
_DENIAL = re.compile(
    r"ConnectionClosedByBroker: \((403|530)\)|CERTIFICATE_VERIFY_FAILED|_ALERT_\w*CERTIFICATE|_ALERT_UNKNOWN_CA"
)


def _denies(error: BaseException) -> bool:
    if isinstance(error, (exceptions.AuthenticationError, ssl.SSLCertVerificationError)):
        return True
    return code(error) in {ACCESS_REFUSED, NOT_ALLOWED} or _DENIAL.search(str(error)) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those inside it: the client nests them as an attribute, as an argument or in a list."""
    yield error
    for inner in (*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args):
        if isinstance(inner, BaseException):
            yield from _chain(inner)
