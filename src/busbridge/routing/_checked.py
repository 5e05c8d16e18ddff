"""A merged document to a `Config`: checked against the model, then for what its parts say of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from busbridge.errors import ConfigurationError, Fault
from busbridge.routing._collisions import refuse_collisions
from busbridge.routing._config import Config
from busbridge.routing._destinations import destinations
from busbridge.routing._faults import faults_of
from busbridge.routing._model import File
from busbridge.routing._problems import Problems
from busbridge.routing._routes import routes
from busbridge.routing._subscriptions import services
from busbridge.routing._transports import transports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.routing._config import KeyPath
    from busbridge.routing._document import Document, Node

_DEFAULT_TIMEOUT = 30.0
_DEFAULT_GRACE = 25.0


def checked(document: Document) -> Config:
    """The configuration in `document`. Raises ConfigurationError with the faults of every kind together."""
    file, faults = _validated(document)
    problems = Problems(document.places)
    config = _built(file, document, problems)
    refuse_collisions(config, problems)
    # A value that could not be read is missed or misunderstood by every later check: once told is enough.
    unread = {each.location.path for each in document.faults if each.location.path}
    later = (each for each in (*faults, *problems.faults) if each.location.path not in unread)
    everything = [*document.faults, *later]
    if everything:
        raise ConfigurationError(_in_order(everything))
    return config


def _validated(document: Document) -> tuple[File, list[Fault]]:
    """The model, without the keys that have faults: what stands beside them can still be checked."""
    faults: list[Fault] = []
    removed: set[KeyPath] = set()
    data = document.data
    while True:
        try:
            return File.model_validate(data), faults
        except ValidationError as error:
            faults += faults_of(error, document.places, removed)
            paths = [_removable(data, tuple(each["loc"])) for each in error.errors(include_url=False)]
            removed.update(paths)
            data = _without_all(data, paths)


def _removable(data: Node, path: KeyPath) -> KeyPath:
    """The longest beginning of `path` that is in `data`: a required key that is missing takes its section along."""
    length = 0
    for key in path:
        if not isinstance(data, dict) or key not in data:
            break
        data = data[str(key)]
        length += 1
    return path[:length]


def _without_all(data: dict[str, Node], paths: Iterable[KeyPath]) -> dict[str, Node]:
    result = data
    for path in paths:
        result = _without(result, path)
    # Whatever the paths say, less must be left, or validating again would never end.
    return result if result != data else {}


def _without(data: dict[str, Node], path: KeyPath) -> dict[str, Node]:
    if not path:
        return data
    key = str(path[0])
    inner = data.get(key)
    if len(path) > 1 and isinstance(inner, dict):
        return {**data, key: _without(inner, path[1:])}
    return {each: value for each, value in data.items() if each != key}


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


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Each once, as they stand in the files."""
    return sorted(dict.fromkeys(faults), key=lambda each: (each.location.file or "", each.location.line or 0))
