"""The `store` section of a service: a URL whose password stays out of sight, and the window of the inbox."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from busbridge.routing._faults import did_you_mean
from busbridge.routing._store_plan import StorePlan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.routing._config import KeyPath
    from busbridge.routing._model import StoreSection
    from busbridge.routing._problems import Problems
    from busbridge.routing._topology import SubscriptionPlan

_WINDOW: Final = timedelta(days=7)
_SCHEMES: Final = ("postgresql", "sqlite")


def store_plan(path: KeyPath, section: StoreSection, problems: Problems) -> StorePlan | None:
    """The store that `section`, which stands at `path`, declares; None where its URL is wrong or unread."""
    url = (*path, "url")
    shown = None if url in problems.unread else _shown(section.url.get_secret_value(), url, problems)
    window = _WINDOW if section.window is None else section.window
    if not window:
        problems.add((*path, "window"), "it must be longer than zero")
    if shown is None:
        problems.unread.add(url)
        return None
    upgrade = shown.startswith("sqlite:") if section.upgrade is None else section.upgrade
    seconds, limit = window.total_seconds(), section.outbox_limit
    return StorePlan(section.url, shown, seconds, upgrade, section.batch, section.connections, limit)


def check_window(path: KeyPath, plan: StorePlan, subscriptions: Iterable[SubscriptionPlan], problems: Problems) -> None:
    """A message must be known for as long as an attempt of it may still come."""
    for each in subscriptions:
        lasting = each.retry.span + each.retry.attempts * (each.retry.limit or 0)
        if lasting > plan.window:
            problem = f"shorter than the attempts of {each.name} may last ({lasting:g}s)"
            problems.add((*path, "window"), problem, "a longer `window`, or fewer attempts")


def _shown(text: str, path: KeyPath, problems: Problems) -> str | None:
    """The URL as it may be shown. No fault shows more of it than its scheme: the rest may be a password."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        problems.add(path, "not a URL", "write sqlite:///FILE or postgresql://user@host/database")
    elif scheme not in _SCHEMES:
        problems.add(path, f"there is no store for the scheme {scheme!r}", did_you_mean(scheme, _SCHEMES))
    elif scheme == "sqlite":
        return _shown_file(text, rest, path, problems)
    else:
        return _shown_server(text, path, problems)
    return None


def _shown_file(text: str, rest: str, path: KeyPath, problems: Problems) -> str | None:
    name = rest.removeprefix("/")
    if not rest.startswith("/") or not name or name.startswith(":memory:") or "?" in name:
        problems.add(path, "a store in SQLite is a file", "write sqlite:///FILE; an absolute one has four slashes")
        return None
    return text


def _shown_server(text: str, path: KeyPath, problems: Problems) -> str | None:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, None
    if parts is None or not host or not parts.path.strip("/") or "@" in parts.path + parts.query + parts.fragment:
        problems.add(path, "not the URL of a database", "write postgresql://user:password@host/database, "
                     "with @ : / ? # in user and password percent-encoded")  # fmt: skip
        return None
    return f"postgresql://{host}{f':{port}' if port else ''}{parts.path}"
