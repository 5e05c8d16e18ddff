"""The `transports` section: URLs taken apart, passwords out of sight, TLS where scheme or section ask for it."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from pydantic import SecretStr

from busbridge.routing._settings import Tls, TransportSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from busbridge.routing._config import KeyPath
    from busbridge.routing._model import TlsSection, TransportSection
    from busbridge.routing._problems import Problems

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]@/]+)(:(?P<port>[0-9]{1,6}))?")
_PATIENCE: Final = timedelta(seconds=60)


class _Url(NamedTuple):
    bare: str
    user: str | None
    password: str | None


def transports(sections: Mapping[str, TransportSection], problems: Problems) -> dict[str, TransportSettings]:
    """The settings of every transport; those whose URL is wrong or unread are left out."""
    schemes = {each.name for each in entry_points(group="busbridge.transports")} if sections else set[str]()
    made = ((name, _settings(name, section, schemes, problems)) for name, section in sections.items())
    return {name: settings for name, settings in made if settings is not None}


def _settings(
    name: str, section: TransportSection, schemes: Collection[str], problems: Problems
) -> TransportSettings | None:
    path = ("transports", name)
    url = None if (*path, "url") in problems.unread else _url(section.url, (*path, "url"), schemes, problems)
    if section.tls and section.tls.key and not section.tls.certificate:
        problem, certificate = "a key without its certificate", (*path, "tls", "certificate")
        problems.add((*path, "tls", "key"), problem, "add `certificate:`", because=certificate)
    if url is None:
        return None
    password = SecretStr(url.password) if url.password is not None else None
    settings = TransportSettings(
        name=name,
        url=url.bare,
        user=section.user or url.user,
        password=section.password or password,
        tls=_tls(section.tls, url.bare, schemes, path, problems),
        mechanism=section.mechanism,
        client=section.client,
        patience=(_PATIENCE if section.patience is None else section.patience).total_seconds(),
    )
    if settings.password and not settings.user:
        problems.add((*path, "password"), "a password without a user", "add `user:`", because=(*path, "user"))
    return settings


def _url(text: str, path: KeyPath, schemes: Collection[str], problems: Problems) -> _Url | None:
    """The URL in parts. No fault shows more of it than scheme and hosts: the rest may be a password."""
    scheme, separator, rest = text.partition("://")
    authority, slash, tail = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    if not separator or not _SCHEME.fullmatch(scheme):
        problems.add(path, "not a URL", "write scheme://host:port")
    elif "@" in tail or "@" in userinfo or "?" in userinfo or "#" in userinfo:
        problems.add(path, "user and password can't be told from the rest", "percent-encode @ : / ? # in them")
    elif "?" in rest or "#" in rest:
        problems.add(path, "a URL has no query or fragment here", "put settings under `client:`")
    elif scheme not in schemes:
        problems.unknown(path, "transport for the scheme", scheme, schemes)
    elif not _hosts_fit(hosts, path, problems):
        pass
    else:
        user, colon, password = userinfo.partition(":")
        return _Url(f"{scheme}://{hosts}{slash}{tail}", unquote(user) or None, unquote(password) if colon else None)
    return None


def _hosts_fit(hosts: str, path: KeyPath, problems: Problems) -> bool:
    for host in hosts.split(",") if hosts else ():
        match = _HOST.fullmatch(host)
        if match is None or not 0 < int(match["port"] or 1) <= 65_535:  # noqa: PLR2004
            problems.add(path, "what stands for the host is no host:port", "several hosts are joined with commas")
            return False
    return True


def _tls(
    section: TlsSection | None, url: str, schemes: Collection[str], path: KeyPath, problems: Problems
) -> Tls | None:
    scheme = url.partition("://")[0]
    implied = scheme.endswith("s") and scheme[:-1] in schemes
    if section is None or not section.enabled:
        if section is not None and implied:
            problems.add((*path, "tls"), f"found false, but {scheme}:// asks for TLS", f"or write {scheme[:-1]}://")
        return Tls() if implied else None
    return Tls(
        ca=_file(section.ca, (*path, "tls", "ca"), problems),
        certificate=_file(section.certificate, (*path, "tls", "certificate"), problems),
        key=_file(section.key, (*path, "tls", "key"), problems),
        key_password=section.key_password,
        verify_hostname=section.verify_hostname,
    )


def _file(name: str | None, path: KeyPath, problems: Problems) -> Path | None:
    """A file named in a configuration file lies relative to it."""
    if name is None:
        return None
    place = problems.places.get(path)
    return Path(place.file).parent / name if place and place.file and place.line else Path(name)
