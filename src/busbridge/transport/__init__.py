"""The protocol between the library and the brokers: what an adapter implements, and the values that cross."""

from busbridge.transport._capabilities import Capabilities
from busbridge.transport._messages import (
    CONFIRMED,
    Delivery,
    Entry,
    Headers,
    Kept,
    Outcome,
    Position,
    Session,
    Settlement,
    Status,
)
from busbridge.transport._protocol import History, Replayable, Source, Transport, Until

__all__ = [
    "CONFIRMED",
    "Capabilities",
    "Delivery",
    "Entry",
    "Headers",
    "History",
    "Kept",
    "Outcome",
    "Position",
    "Replayable",
    "Session",
    "Settlement",
    "Source",
    "Status",
    "Transport",
    "Until",
]
