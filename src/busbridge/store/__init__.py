"""The SQL store of a service: inbox, outbox and timers, in one transaction with the user's own rows.

It knows SQL and no messages.
"""

from busbridge.store._actions import ActionRow, actions_of, begin_action, ended_by_redrive, write_action
from busbridge.store._engine import check_driver
from busbridge.store._migrations import SchemaState
from busbridge.store._parked_messages import ParkedMessage, discard_parked, parked_messages, release_parked
from busbridge.store._rows import (
    SLOTS,
    InboxKey,
    InboxRow,
    InboxState,
    Look,
    OutboxRow,
    ParkedRow,
    RunRow,
    TimerRow,
    Trouble,
    storable,
)
from busbridge.store._statements import Waiting, WaitingTimers
from busbridge.store._store import Store
from busbridge.store._transaction import Transaction

__all__ = [
    "SLOTS",
    "ActionRow",
    "InboxKey",
    "InboxRow",
    "InboxState",
    "Look",
    "OutboxRow",
    "ParkedMessage",
    "ParkedRow",
    "RunRow",
    "SchemaState",
    "Store",
    "TimerRow",
    "Transaction",
    "Trouble",
    "Waiting",
    "WaitingTimers",
    "actions_of",
    "begin_action",
    "check_driver",
    "discard_parked",
    "ended_by_redrive",
    "parked_messages",
    "release_parked",
    "storable",
    "write_action",
]
