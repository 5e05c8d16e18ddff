"""Services at work: a delivery's way to a handler and back, and a message's way out."""

from busbridge.runtime._blocking import BlockingBus
from busbridge.runtime._bus import Bus
from busbridge.runtime._context import Context, DeliveryInfo
from busbridge.runtime._counts import Counts
from busbridge.runtime._dead_letters import DeadLetters, Group
from busbridge.runtime._handler import Handler
from busbridge.runtime._letter import Letter, Which
from busbridge.runtime._made_up import made_up
from busbridge.runtime._observer import Observer
from busbridge.runtime._operating import dead_letters_of
from busbridge.runtime._outcomes import PublishError, Undelivered
from busbridge.runtime._prepared import Prepared
from busbridge.runtime._read import Start, StreamMessage, StreamReader
from busbridge.runtime._redriving import Done, Refused
from busbridge.runtime._removal import remove
from busbridge.runtime._replay import Replay
from busbridge.runtime._replay_serve import replay
from busbridge.runtime._replaying import Publish
from busbridge.runtime._resources import Lifespan
from busbridge.runtime._scheduled import Scheduled
from busbridge.runtime._serve import relay, serve
from busbridge.runtime._service import Service, Subscription
from busbridge.runtime._startup import faults, joined, missing_routes, missing_subscriptions
from busbridge.runtime._transport_faults import transport_faults
from busbridge.runtime._transports import InstalledTransports, MemoryTransports, Transports

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
    "transport_faults",
]
