"""Where things go: the YAML's model, routes, and the topology computed from it."""

from busbridge.routing._config import Config, Route, RouteTarget, ServicePlan
from busbridge.routing._load import Source, load
from busbridge.routing._namespace import namespaced
from busbridge.routing._reference import Key, reference, schema
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
    "Config",
    "Destination",
    "Key",
    "Kind",
    "Others",
    "Route",
    "RouteTarget",
    "ServicePlan",
    "Source",
    "StartAt",
    "SubscriptionPlan",
    "Tls",
    "Topology",
    "TransportSettings",
    "Unrouted",
    "load",
    "namespaced",
    "reference",
    "schema",
]
