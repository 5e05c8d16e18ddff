"""The protocol between the library and the brokers: what an adapter implements, and the values that cross."""

from busbridge.transport._capabilities import Capabilities
from busbridge.transport._dead_letters import Again, Buried, DeadLetters, Redrivable
from busbridge.transport._messages import (
    CONFIRMED,
    Delivery,
    Entry,
    Headers,
    Kept,
    Outcome,
    Session,
    Settlement,
    Status,
)
from busbridge.transport._position import Part, Position
from busbridge.transport._protocol import Delaying, History, Replayable, Source, Transport, Until
from busbridge.transport._standing import Standing, standing_in, without_standing
from busbridge.transport._transactional import Finished, Transactional, TransactionalSource

__all__ = [
    "CONFIRMED",
    "Again",
    "Buried",
    "Capabilities",
    "DeadLetters",
    "Delaying",
    "Delivery",
    "Entry",
    "Finished",
    "Headers",
    "History",
    "Kept",
    "Outcome",
    "Part",
    "Position",
    "Redrivable",
    "Replayable",
    "Session",
    "Settlement",
    "Source",
    "Standing",
    "Status",
    "Transactional",
    "TransactionalSource",
    "Transport",
    "Until",
    "standing_in",
    "without_standing",
]
