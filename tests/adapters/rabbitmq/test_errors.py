"""What is said of the client's errors."""

from __future__ import annotations

import socket

import pytest
from pika import ConnectionParameters
from pika.exceptions import AMQPError

from busbridge_rabbitmq import _errors, _wire


async def test_a_host_that_is_not_known_is_told_in_the_words_of_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(AMQPError) as caught:
        await _wire.connect(ConnectionParameters("nowhere.invalid"))
    assert _errors.text(caught.value) == f"[Errno {socket.EAI_NONAME}] Name or service not known"
    assert not _errors.denied(caught.value)
