"""The in-memory transport: the reference implementation of the protocol, and the broker of tests and first steps."""

from busbridge.memory._broker import MemoryBroker
from busbridge.memory._patterns import takes
from busbridge.memory._stored import Stored
from busbridge.memory._transport import MemoryTransport

__all__ = ["MemoryBroker", "MemoryTransport", "Stored", "takes"]
