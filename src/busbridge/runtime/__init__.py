"""Services at work: a delivery's way to a handler and back, and a message's way out."""

from busbridge.runtime._blocking import BlockingBus
from busbridge.runtime._bus import Bus
from busbridge.runtime._made_up import made_up
from busbridge.runtime._reach import Unreached, unreached
from busbridge.runtime._replay_serve import replay
from busbridge.runtime._serve import relay, serve
from busbridge.runtime._service import Service, Subscription
from busbridge.runtime._startup import faults, joined, missing_routes, missing_subscriptions
from busbridge.runtime._store_faults import store_faults
from busbridge.runtime._transport_faults import transport_faults
from busbridge.runtime._transports import InstalledTransports, MemoryTransports, Transports
from busbridge.runtime.dead_letters._dead_letters import DeadLetters, Group
from busbridge.runtime.dead_letters._letter import Letter, Which
from busbridge.runtime.dead_letters._operating import dead_letters_of
from busbridge.runtime.dead_letters._redriving import Done, Refused
from busbridge.runtime.dead_letters._removal import remove
from busbridge.runtime.handling._context import Context, DeliveryInfo
from busbridge.runtime.handling._counts import Counts
from busbridge.runtime.handling._handler import Handler
from busbridge.runtime.handling._resources import Lifespan
from busbridge.runtime.publishing._observer import Observer
from busbridge.runtime.publishing._outcomes import PublishError, Undelivered
from busbridge.runtime.publishing._prepared import Prepared
from busbridge.runtime.publishing._scheduled import Scheduled
from busbridge.runtime.replays._read import Start, StreamMessage, StreamReader
from busbridge.runtime.replays._replay import Replay
from busbridge.runtime.replays._replaying import Publish

__all__ = [
    "BlockingBus",
    "Bus",
    "Context",
    "Counts",
    "DeadLetters",
    "DeliveryInfo",
    "Done",
    "Group",
    "Handler",
    "InstalledTransports",
    "Letter",
    "Lifespan",
    "MemoryTransports",
    "Observer",
    "Prepared",
    "Publish",
    "PublishError",
    "Refused",
    "Replay",
    "Scheduled",
    "Service",
    "Start",
    "StreamMessage",
    "StreamReader",
    "Subscription",
    "Transports",
    "Undelivered",
    "Unreached",
    "Which",
    "dead_letters_of",
    "faults",
    "joined",
    "made_up",
    "missing_routes",
    "missing_subscriptions",
    "relay",
    "remove",
    "replay",
    "serve",
    "store_faults",
    "transport_faults",
    "unreached",
]
