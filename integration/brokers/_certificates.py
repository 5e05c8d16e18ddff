"""Certificates made at run time: an authority, the brokers' certificate, a client's, and a stranger's."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration.brokers._errors import BrokersUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

_DAYS = "2"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key (PKCS #8), as PEM files without a password."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files in one folder. `server` is for 127.0.0.1 and localhost; `stranger` comes from `other_ca`."""

    ca: Path
    server: KeyPair
    client: KeyPair
    other_ca: Path
    stranger: KeyPair


def make_certificates(folder: Path) -> Certificates:
    """Makes them all in that folder with the `openssl` command; BrokersUnavailableError if it is missing or fails."""
    ca, other_ca = (_self_signed(folder, name) for name in ("ca", "other-ca"))
    return Certificates(
        ca=ca.certificate,
        server=_signed(folder, "server", ca),
        client=_signed(folder, "client", ca),
        other_ca=other_ca.certificate,
        stranger=_signed(folder, "stranger", other_ca),
    )


def _self_signed(folder: Path, name: str) -> KeyPair:
    pair = _pair(folder, name)
    subject = ("-subj", f"/CN=busbridge test {name}")
    _openssl("req", "-x509", *_new_key(pair), "-days", _DAYS, *subject, "-out", str(pair.certificate))
    return pair


def _signed(folder: Path, name: str, authority: KeyPair) -> KeyPair:
    pair, request, extensions = _pair(folder, name), folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl("req", *_new_key(pair), "-subj", f"/CN={name}", "-out", str(request))
    signer = ("-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial")
    issued = ("-days", _DAYS, "-extfile", str(extensions), "-out", str(pair.certificate))
    _openssl("x509", "-req", "-in", str(request), *signer, *issued)
    return pair


def _pair(folder: Path, name: str) -> KeyPair:
    return KeyPair(folder / f"{name}.pem", folder / f"{name}.key")


def _new_key(pair: KeyPair) -> tuple[str, ...]:
    return ("-newkey", "rsa:2048", "-nodes", "-keyout", str(pair.key))


def _openssl(*arguments: str) -> None:
    try:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise BrokersUnavailableError("the TLS tests need the `openssl` command: install openssl") from error
    except subprocess.SubprocessError as error:
        raise BrokersUnavailableError(f"openssl {arguments[0]} failed: {error}") from error
