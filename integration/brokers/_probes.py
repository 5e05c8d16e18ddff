"""Whether a broker serves clients, asked as a client would, with nothing but a socket.

An open port proves nothing: the engine accepts connections for a container that does not listen yet.
"""

from __future__ import annotations

import socket

_TIMEOUT_SECONDS = 3.0
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_AMQP_METHOD_FRAME = b"\x01"
# Size 10; API key 18 (ApiVersions), version 0, correlation id 1, no client id.
_KAFKA_API_VERSIONS = b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff"
# Size 24, protocol 3.0. Whoever it is, a server that is up asks for a password; one that is starting up says no.
_POSTGRESQL_STARTUP = b"\x00\x00\x00\x18\x00\x03\x00\x00user\x00busbridge\x00\x00"
_POSTGRESQL_AUTHENTICATION = b"R"


def rabbitmq_answers(host: str, port: int) -> bool:
    """True if the server opens an AMQP connection."""
    return _ask(host, port, _AMQP_HEADER)[:1] == _AMQP_METHOD_FRAME


def kafka_answers(host: str, port: int) -> bool:
    """True if the broker answers a request."""
    return len(_ask(host, port, _KAFKA_API_VERSIONS)) > 0


def postgresql_answers(host: str, port: int) -> bool:
    """True if the server lets clients in, or would with a password."""
    return _ask(host, port, _POSTGRESQL_STARTUP) == _POSTGRESQL_AUTHENTICATION


def _ask(host: str, port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(1)
    except OSError:
        return b""
