"""What each transport must keep is written down: a row that vanishes, or is no longer offered, is seen here.

`python -m tests.conformance.test_golden` writes the lists anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from busbridge.memory import MemoryTransport
from busbridge.testing.conformance import Faults, coverage
from busbridge_kafka import KafkaTransport
from busbridge_rabbitmq import RabbitMQTransport

GOLDEN = Path(__file__).parent / "golden"


async def fault(*_):
    pass


TRANSPORTS = {
    "memory": (MemoryTransport, Faults(sever=fault)),
    "rabbitmq": (RabbitMQTransport, Faults(sever=fault, restart=fault, kill=fault, line=fault)),
    "kafka": (KafkaTransport, Faults(restart=fault, kill=fault, line=fault)),
}
"""Each transport, with the faults that its rig offers."""


def listed(name):
    transport, faults = TRANSPORTS[name]
    return "\n".join(coverage(transport.capabilities, faults)) + "\n"


@pytest.mark.parametrize("name", TRANSPORTS)
def test_rows_are_those_written_down(name):
    assert listed(name) == (GOLDEN / f"{name}.txt").read_text()


if __name__ == "__main__":
    for each in TRANSPORTS:
        (GOLDEN / f"{each}.txt").write_text(listed(each))
