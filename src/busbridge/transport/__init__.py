"""The protocol between the library and the brokers: what an adapter implements, and the values that cross."""

from busbridge.transport._capabilities import Capabilities
from busbridge.transport._messages import (
    CONFIRMED,
    Delivery,
    Entry,
    Headers,
    Outcome,
    Position,
    Session,
    Settlement,
    Status,
)
from busbridge.transport._protocol import Source, Transport

__all__ = [
    "CONFIRMED",
    "Capabilities",
    "Delivery",
    "Entry",
    "Headers",
    "Outcome",
    "Position",
    "Session",
    "Settlement",
    "Source",
    "Status",
    "Transport",
]
