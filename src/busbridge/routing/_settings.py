"""How to reach one broker: what the YAML's `transports` section says, with secrets that never show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of a connection. Without `ca` the system's authorities are trusted."""

    ca: Path | None = None
    certificate: Path | None = None
    """The client's certificate, PEM, with `key`."""
    key: Path | None = None
    key_password: SecretStr | None = field(default=None, repr=False)
    verify_hostname: bool = True


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """One transport of the configuration. `url` never holds a password: it was moved to `password`."""

    name: str
    url: str
    user: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    tls: Tls | None = None
    """Set where the URL's scheme asks for TLS (`amqps`, `kafkas`) or a `tls:` section is there."""
    mechanism: str | None = None
    """SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or EXTERNAL. None: the transport's default where a user is given."""
    client: Mapping[str, str | int | float | bool] = field(
        default_factory=dict[str, "str | int | float | bool"], repr=False
    )
    """Settings passed to the broker's client, checked by the transport. A secret may be among them."""
    patience: float = 60.0
    """Seconds to wait for a broker that is down when the bus opens."""

    @property
    def scheme(self) -> str:
        """The URL's scheme, by which the transport is found."""
        return self.url.partition("://")[0]
