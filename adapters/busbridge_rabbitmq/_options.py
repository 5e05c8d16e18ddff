"""The settings of one broker, checked, and turned into what the client wants."""

from __future__ import annotations

import difflib
import ssl
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast, final
from urllib.parse import unquote, urlsplit

from pika import ConnectionParameters, SSLOptions
from pika.credentials import ExternalCredentials, PlainCredentials

from busbridge.errors import Fault, Location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.routing import Tls, TransportSettings

_DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the YAML's `client:` section may say. Sizes are bytes, times are seconds."""

    connection_name: str = "busbridge"
    """How the connections are called in the broker's management pages."""
    heartbeat: int = 20
    """A peer that was silent for this long is gone; 0: never."""
    frame_max: int = 131_072
    """The largest piece that a message is sent in."""
    socket_timeout: float = 10.0
    """For the TCP connection."""
    stack_timeout: float = 15.0
    """For TCP, TLS and the AMQP handshake together."""
    max_message_size: int = 16 * 1024 * 1024
    """A larger body is refused before it is sent. The broker's own default since 4.0."""
    max_unconfirmed: int = 4_000
    """Messages written and not confirmed; beyond it a publish waits."""
    max_unconfirmed_bytes: int = 32 * 1024 * 1024
    """The same bound, in bytes."""
    rebalance_interval: float = 1.0
    """How often a worker looks whether the shards of an ordered queue are shared out fairly."""
    close_timeout: float = 5.0
    """How long leaving may take before the socket is dropped."""

    @classmethod
    def of(cls, settings: TransportSettings) -> Options:
        """The options of settings that `faults` has found nothing wrong with."""
        return cls(**cast("dict[str, Any]", settings.client))


_LOWEST = {"heartbeat": 0, "frame_max": 8_192}
_DEFAULTS: dict[str, Any] = {each.name: getattr(Options(), each.name) for each in fields(Options)}


def faults(settings: TransportSettings) -> Iterator[Fault]:
    """What is wrong with the settings, located relative to the transport's own keys."""
    for name, value in settings.client.items():
        problem = _problem(name, value)
        if problem is not None:
            yield Fault(problem[0], Location(("client", name)), problem[1])
    if settings.mechanism not in {None, "PLAIN", "EXTERNAL"}:
        yield Fault(f"{settings.mechanism!r} is not offered by RabbitMQ", Location(("mechanism",)), "PLAIN or EXTERNAL")
    if settings.mechanism == "EXTERNAL" and (settings.tls is None or settings.tls.certificate is None):
        yield Fault("EXTERNAL needs a client certificate", Location(("mechanism",)), "set tls.certificate and tls.key")
    if not urlsplit(settings.url).hostname:
        yield Fault(
            f"{settings.url!r} names no host", Location(("url",)), "amqp://HOST[:PORT][,HOST[:PORT]...][/VHOST]"
        )
    yield from _tls_faults(settings.tls)


def _problem(name: str, value: object) -> tuple[str, str] | None:
    if name not in _DEFAULTS:
        close = difflib.get_close_matches(name, _DEFAULTS, 1)
        known = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(_DEFAULTS))}"
        return f"{name!r} is no setting of the RabbitMQ client", known
    wanted = cast("type[object]", type(_DEFAULTS[name]))
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (isinstance(value, wanted) or (wanted is float and number)) or isinstance(value, bool):
        return f"{value!r} is not {_ARTICLES[wanted]}", f"the default is {_DEFAULTS[name]!r}"
    lowest = _LOWEST.get(name, 1)
    if isinstance(value, int) and value < lowest:
        return f"{value!r} is too low", f"at least {lowest}"
    if isinstance(value, float) and value <= 0:
        return f"{value!r} is too low", "more than 0"
    return None


_ARTICLES: dict[type[object], str] = {str: "a text", int: "a whole number", float: "a number of seconds"}


def _tls_faults(tls: Tls | None) -> Iterator[Fault]:
    if tls is None:
        return
    missing = False
    for name in ("ca", "certificate", "key"):
        path = getattr(tls, name)
        if path is not None and not path.is_file():
            missing = True
            yield Fault(f"{path} does not exist", Location(("tls", name)))
    if tls.key is not None and tls.certificate is None:
        yield Fault("a key without its certificate", Location(("tls", "key")), "set tls.certificate")
    if not missing:
        yield from _unreadable(tls)


def _unreadable(tls: Tls) -> Iterator[Fault]:
    try:
        context(tls)
    except (ssl.SSLError, OSError) as error:
        yield Fault(f"the certificates can't be used: {error}", Location(("tls",)))


def context(tls: Tls) -> ssl.SSLContext:
    """The TLS context. Raises ssl.SSLError or OSError where a file can't be read or does not fit."""
    made = ssl.create_default_context(cafile=tls.ca)
    made.check_hostname = tls.verify_hostname
    if tls.certificate is not None:
        password = tls.key_password.get_secret_value() if tls.key_password else ""
        # Never None: OpenSSL would ask for the password of an encrypted key on the terminal.
        made.load_cert_chain(tls.certificate, tls.key, lambda: password)
    return made


def broker(settings: TransportSettings) -> str:
    """The broker's address as errors and logs name it: no user, no password."""
    parts = urlsplit(settings.url)
    nodes = ",".join(f"{host}:{port}" for host, port in _nodes(settings, secure=parts.scheme == "amqps"))
    return f"{parts.scheme}://{nodes}{parts.path.rstrip('/')}"


def _nodes(settings: TransportSettings, *, secure: bool) -> list[tuple[str, int]]:
    """Host and port of each node that the URL names."""
    scheme, _, rest = settings.url.partition("://")
    each = [urlsplit(f"{scheme}://{host}") for host in rest.partition("/")[0].rpartition("@")[2].split(",")]
    return [(node.hostname or "localhost", node.port or _DEFAULT_PORTS["amqps" if secure else "amqp"]) for node in each]


def user(settings: TransportSettings) -> str | None:
    """Who connects; None where the certificate says it."""
    return None if settings.mechanism == "EXTERNAL" else settings.user or urlsplit(settings.url).username or "guest"


def parameters(settings: TransportSettings, options: Options, role: str) -> list[ConnectionParameters]:
    """What the client needs to connect to each node of the broker; `role` tells one process's connections apart."""
    parts = urlsplit(settings.url)
    secure = settings.tls is not None or parts.scheme == "amqps"
    return [
        ConnectionParameters(
            host=host,
            port=port,
            virtual_host=unquote(parts.path[1:]) or "/",
            credentials=_credentials(settings),
            ssl_options=_ssl_options(settings, host) if secure else None,
            heartbeat=options.heartbeat,
            frame_max=options.frame_max,
            socket_timeout=options.socket_timeout,
            stack_timeout=options.stack_timeout,
            connection_attempts=1,
            client_properties={"connection_name": f"{options.connection_name} {role}", "product": "busbridge"},
        )
        for host, port in _nodes(settings, secure=secure)
    ]


def _credentials(settings: TransportSettings) -> ExternalCredentials | PlainCredentials:
    who = user(settings)
    if who is None:
        return ExternalCredentials()
    password = settings.password.get_secret_value() if settings.password else "guest" if who == "guest" else ""
    return PlainCredentials(who, password)


def _ssl_options(settings: TransportSettings, host: str | None) -> SSLOptions:
    made = context(settings.tls) if settings.tls else ssl.create_default_context()
    return SSLOptions(made, server_hostname=host)
