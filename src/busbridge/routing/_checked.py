"""A merged document to a `Config`: checked against the model, then for what its parts say of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from busbridge.routing._collisions import refuse_collisions
from busbridge.routing._config import Config
from busbridge.routing._destinations import destinations
from busbridge.routing._problems import Problems
from busbridge.routing._reading import Reading, in_order
from busbridge.routing._routes import routes
from busbridge.routing._subscriptions import services
from busbridge.routing._transports import transports
from busbridge.routing._validated import validated

if TYPE_CHECKING:
    from busbridge.routing._document import Document, Node
    from busbridge.routing._model import File

_DEFAULT_TIMEOUT = 30.0
_DEFAULT_GRACE = 25.0


def checked(document: Document) -> Reading:
    """What `document` configures, with the faults of every kind together."""
    # A value that could not be read is missed or misunderstood by every later check: once told is enough.
    told = {each.location.path for each in document.faults if each.location.path}
    file, faults = validated(document)
    problems = Problems(document.places, document.unread)
    config = _built(file, document, problems)
    refuse_collisions(config, problems)
    later = (each for each in (*faults, *problems.faults) if each.location.path not in told)
    return Reading(config, tuple(in_order([*document.faults, *later])), document.unread)


def _built(file: File, document: Document, problems: Problems) -> Config:
    named = {section: _names(document.data.get(section)) for section in ("transports", "destinations")}
    made = destinations(file.destinations, named["transports"], problems)
    routed = routes(file.routes, made, named["destinations"], problems)
    timeout, grace = file.publish.timeout, file.stop.grace
    if timeout is not None and not timeout:
        problems.add(("publish", "timeout"), "it must be longer than zero")
    return Config(
        transports=transports(file.transports, problems),
        destinations=made,
        routes=routed,
        services=services(file.services, made, tuple(routed.values()), named["destinations"], problems),
        catalog=file.catalog if file.catalog.endswith("/") else f"{file.catalog}/",
        publish_timeout=_DEFAULT_TIMEOUT if timeout is None else timeout.total_seconds(),
        stop_grace=_DEFAULT_GRACE if grace is None else grace.total_seconds(),
        places=document.places,
    )


def _names(section: Node) -> list[str]:
    return list(section) if isinstance(section, Mapping) else []
