"""Free loopback ports that stay free."""

from __future__ import annotations

import random
import socket
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from integration.brokers._container import reserved_ports
from integration.brokers._lock import machine_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_PORTS = range(20000, 32000)  # below what outgoing connections get: a stopped broker finds its port free again


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """That many ports of 127.0.0.1 which nothing listens on and no container of ours, even a stopped one, has.

    Start the container inside the block: until its end no other run on this machine gets ports.
    """
    with machine_lock("ports"):
        taken = reserved_ports()
        candidates = random.sample(_PORTS, len(_PORTS))
        free = islice((port for port in candidates if port not in taken and _can_bind(port)), count)
        yield list(free)


def _can_bind(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
