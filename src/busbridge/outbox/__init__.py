"""What happens exactly once: which deliveries are new, what is published with a transaction, what is tried again later.

It knows messages and the store, and no handlers.
"""

from busbridge.outbox._decide import CRASHES, Action, Arrival, Decision, decide
from busbridge.outbox._flight import Exit, Sends
from busbridge.outbox._mirror import Inserted, Leaving
from busbridge.outbox._outage import Outage
from busbridge.outbox._parking import is_first, parking_of, step_on, to_first, to_parked
from busbridge.outbox._relay import Relay
from busbridge.outbox._releasing import Releasing
from busbridge.outbox._rows import Outgoing, dead_letter_place, to_dead_letter, to_leave, to_outbox, to_timer
from busbridge.outbox._scheduled import (
    Moment,
    moment,
    scheduled_id,
    scheduled_place,
    scheduled_what,
    to_scheduled,
)
from busbridge.outbox._seams import reached
from busbridge.outbox._table import decision_table
from busbridge.outbox._text import key_text
from busbridge.outbox._timers import TimerDelivery, TimerSource

__all__ = [
    "CRASHES",
    "Action",
    "Arrival",
    "Decision",
    "Exit",
    "Inserted",
    "Leaving",
    "Moment",
    "Outage",
    "Outgoing",
    "Relay",
    "Releasing",
    "Sends",
    "TimerDelivery",
    "TimerSource",
    "dead_letter_place",
    "decide",
    "decision_table",
    "is_first",
    "key_text",
    "moment",
    "parking_of",
    "reached",
    "scheduled_id",
    "scheduled_place",
    "scheduled_what",
    "step_on",
    "to_dead_letter",
    "to_first",
    "to_leave",
    "to_outbox",
    "to_parked",
    "to_scheduled",
    "to_timer",
]
