"""Where things go: the YAML's model, routes, and the topology computed from it."""

from busbridge.routing._config import Config, Route, RouteTarget, ServicePlan
from busbridge.routing._load import Source, load, read
from busbridge.routing._namespace import namespaced
from busbridge.routing._on_failure import OnFailure
from busbridge.routing._pause_plan import PausePlan
from busbridge.routing._reading import Reading, in_order
from busbridge.routing._reference import Key, reference, schema
from busbridge.routing._retry_plan import LONGEST_BLOCK, Backoff, RetryPlan
from busbridge.routing._settings import Tls, TransportSettings
from busbridge.routing._store_plan import StorePlan
from busbridge.routing._telling import Telling
from busbridge.routing._tiers import tier_name
from busbridge.routing._topology import (
    Binding,
    Destination,
    Kind,
    Others,
    ReplayPublish,
    ReplayRun,
    StartAt,
    SubscriptionPlan,
    Topology,
    Unrouted,
)
from busbridge.routing._values import Duration

__all__ = [
    "LONGEST_BLOCK",
    "Backoff",
    "Binding",
    "Config",
    "Destination",
    "Duration",
    "Key",
    "Kind",
    "OnFailure",
    "Others",
    "PausePlan",
    "Reading",
    "ReplayPublish",
    "ReplayRun",
    "RetryPlan",
    "Route",
    "RouteTarget",
    "ServicePlan",
    "Source",
    "StartAt",
    "StorePlan",
    "SubscriptionPlan",
    "Telling",
    "Tls",
    "Topology",
    "TransportSettings",
    "Unrouted",
    "in_order",
    "load",
    "namespaced",
    "read",
    "reference",
    "schema",
    "tier_name",
]
