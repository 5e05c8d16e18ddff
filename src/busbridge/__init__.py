"""One producer/consumer API over RabbitMQ (queues, topics) and Kafka (streams).

Write a contract, say in a service what is done with it and in YAML where it goes, and join the two in a bus.
"""

from busbridge.contract import Contract, Registry
from busbridge.errors import (
    AccessRefused,
    BusbridgeError,
    ClosedError,
    ConfigurationError,
    ContractError,
    HandlerError,
    InvalidEnvelope,
    InvalidMessage,
    MessageRefused,
    MissingExtra,
    OutcomeUnknown,
    PositionLost,
    StaleDelivery,
    TopologyMismatch,
    TransportError,
    Unavailable,
    UndeclaredContract,
)
from busbridge.routing import Config, load
from busbridge.runtime import (
    BlockingBus,
    Bus,
    Context,
    DeliveryInfo,
    MemoryTransports,
    PublishError,
    Service,
    Subscription,
    Undelivered,
)

__all__ = [
    "AccessRefused",
    "BlockingBus",
    "Bus",
    "BusbridgeError",
    "ClosedError",
    "Config",
    "ConfigurationError",
    "Context",
    "Contract",
    "ContractError",
    "DeliveryInfo",
    "HandlerError",
    "InvalidEnvelope",
    "InvalidMessage",
    "MemoryTransports",
    "MessageRefused",
    "MissingExtra",
    "OutcomeUnknown",
    "PositionLost",
    "PublishError",
    "Registry",
    "Service",
    "StaleDelivery",
    "Subscription",
    "TopologyMismatch",
    "TransportError",
    "Unavailable",
    "UndeclaredContract",
    "Undelivered",
    "load",
]
