"""One producer/consumer API over RabbitMQ (queues, topics) and Kafka (streams).

Write a contract, say in a service what is done with it and in YAML where it goes, and join the two in a bus.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busbridge.contract import Contract, Registry
    from busbridge.errors import (
        AccessRefused,
        AttemptTimedOut,
        BeyondWindow,
        BusbridgeError,
        CanaryFailed,
        ClosedError,
        CommitUnknown,
        ConfigurationError,
        ContractError,
        HandlerError,
        InvalidEnvelope,
        InvalidMessage,
        MessageRefused,
        MissingExtra,
        NoDeadLetter,
        OutcomeUnknown,
        PositionLost,
        Reject,
        ReplayPublished,
        ReplayTaken,
        Retry,
        StaleDelivery,
        StoreContention,
        StoreError,
        StoreOutdated,
        StoreUnavailable,
        TopologyMismatch,
        TransportError,
        Unavailable,
        UndeclaredContract,
        UnreadableMessage,
    )
    from busbridge.routing import Config, load
    from busbridge.runtime import (
        BlockingBus,
        Bus,
        Context,
        DeadLetters,
        DeliveryInfo,
        Letter,
        MemoryTransports,
        PublishError,
        Scheduled,
        Service,
        StreamMessage,
        StreamReader,
        Subscription,
        Undelivered,
        Which,
    )

__all__ = [
    "AccessRefused",
    "AttemptTimedOut",
    "BeyondWindow",
    "BlockingBus",
    "Bus",
    "BusbridgeError",
    "CanaryFailed",
    "ClosedError",
    "CommitUnknown",
    "Config",
    "ConfigurationError",
    "Context",
    "Contract",
    "ContractError",
    "DeadLetters",
    "DeliveryInfo",
    "HandlerError",
    "InvalidEnvelope",
    "InvalidMessage",
    "Letter",
    "MemoryTransports",
    "MessageRefused",
    "MissingExtra",
    "NoDeadLetter",
    "OutcomeUnknown",
    "PositionLost",
    "PublishError",
    "Registry",
    "Reject",
    "ReplayPublished",
    "ReplayTaken",
    "Retry",
    "Scheduled",
    "Service",
    "StaleDelivery",
    "StoreContention",
    "StoreError",
    "StoreOutdated",
    "StoreUnavailable",
    "StreamMessage",
    "StreamReader",
    "Subscription",
    "TopologyMismatch",
    "TransportError",
    "Unavailable",
    "UndeclaredContract",
    "Undelivered",
    "UnreadableMessage",
    "Which",
    "load",
]

# pydantic and asyncio take most of a start: they come with the first name that needs them. Type checkers, for whom a
# `__getattr__` would make any name a right one, read the imports above instead.
if not TYPE_CHECKING:
    _NAMES = {
        "contract": {"Contract", "Registry"},
        "routing": {"Config", "load"},
        "runtime": {
            "BlockingBus",
            "Bus",
            "Context",
            "DeadLetters",
            "DeliveryInfo",
            "Letter",
            "MemoryTransports",
            "PublishError",
            "Scheduled",
            "Service",
            "StreamMessage",
            "StreamReader",
            "Subscription",
            "Undelivered",
            "Which",
        },
        "errors": {
            "AccessRefused",
            "AttemptTimedOut",
            "BeyondWindow",
            "BusbridgeError",
            "CanaryFailed",
            "ClosedError",
            "CommitUnknown",
            "ConfigurationError",
            "ContractError",
            "HandlerError",
            "InvalidEnvelope",
            "InvalidMessage",
            "MessageRefused",
            "MissingExtra",
            "NoDeadLetter",
            "OutcomeUnknown",
            "PositionLost",
            "Reject",
            "ReplayPublished",
            "ReplayTaken",
            "Retry",
            "StaleDelivery",
            "StoreContention",
            "StoreError",
            "StoreOutdated",
            "StoreUnavailable",
            "TopologyMismatch",
            "TransportError",
            "Unavailable",
            "UndeclaredContract",
            "UnreadableMessage",
        },
    }

    def __getattr__(name: str) -> object:
        """A public name, or the module that has it, when it is asked for first."""
        for module, names in _NAMES.items():
            if name == module:
                return importlib.import_module(f"{__name__}.{module}")
            if name in names:
                value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*{*globals(), *__all__}]
