"""Where things go: the YAML's model, routes, and the topology computed from it."""

from busbridge.routing._settings import Tls, TransportSettings
from busbridge.routing._topology import (
    Binding,
    Destination,
    Kind,
    Others,
    StartAt,
    SubscriptionPlan,
    Topology,
    Unrouted,
)

__all__ = [
    "Binding",
    "Destination",
    "Kind",
    "Others",
    "StartAt",
    "SubscriptionPlan",
    "Tls",
    "Topology",
    "TransportSettings",
    "Unrouted",
]
