"""A port that accepts connections is not yet a broker."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from integration.brokers._probes import kafka_answers, postgresql_answers, rabbitmq_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROBES = [rabbitmq_answers, kafka_answers, postgresql_answers]
_ANSWERS = [b"\x01\x00\x00", b"\x00\x00\x01\x10", b"R"]


@contextmanager
def _server_that_says(answer: bytes) -> Iterator[int]:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("probe", _PROBES)
def test_a_port_that_hangs_up_is_no_broker(probe) -> None:
    with _server_that_says(b"") as port:
        assert not probe("127.0.0.1", port)


@pytest.mark.parametrize("probe", _PROBES)
def test_a_closed_port_is_no_broker(probe) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert not probe("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(("probe", "answer"), [*zip(_PROBES, _ANSWERS, strict=True)])
def test_a_server_that_answers_the_protocol_is_a_broker(probe, answer: bytes) -> None:
    with _server_that_says(answer) as port:
        assert probe("127.0.0.1", port)


def test_a_web_server_is_no_rabbitmq() -> None:
    with _server_that_says(b"HTTP/1.1 400 Bad Request\r\n") as port:
        assert not rabbitmq_answers("127.0.0.1", port)
