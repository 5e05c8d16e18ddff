"""The Compose plugin of the `docker` command, fetched from Debian where it is missing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from integration.brokers import _debian
from integration.brokers._docker import docker
from integration.brokers._errors import BrokersUnavailableError, DockerError
from integration.brokers._progress import say

_SUITE = "trixie"  # the first Debian that has Compose v2; it needs the C library only, so it runs on older ones
_PACKAGE = "docker-compose"
_PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"


def ensure_compose() -> None:
    """Returns when `docker compose` works. Raises BrokersUnavailableError where it cannot be fetched."""
    if _works():
        return
    if not _debian.is_debian_root():
        raise BrokersUnavailableError("`docker compose` does not work: install the Compose plugin of Docker")
    say("fetching the Compose plugin from Debian")
    with tempfile.TemporaryDirectory() as folder:
        _unpack(Path(folder))
    if not _works():
        raise BrokersUnavailableError("`docker compose` does not work, although ~/.docker/cli-plugins has it now")


def _works() -> bool:
    try:
        docker("compose", "version")
    except DockerError:
        return False
    return True


def _unpack(folder: Path) -> None:
    options = _apt_options(folder)
    _debian.run("apt-get", *options, "update", "-qq")
    _debian.run("apt-get", *options, "download", "-qq", _PACKAGE, folder=folder)
    (package,) = folder.glob("*.deb")
    _debian.run("dpkg", "-x", str(package), str(folder))
    plugins = Path.home() / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    shutil.copy2(folder / _PLUGIN, plugins / "docker-compose")


def _apt_options(folder: Path) -> list[str]:
    """A source list and package lists of their own: the machine's stay as they are."""
    sources, lists = folder / "sources.list", folder / "lists"
    sources.write_text(f"deb {_debian.mirror()} {_SUITE} main\n")
    (lists / "partial").mkdir(parents=True)
    settings = {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-", "Dir::State::lists": lists}
    # apt's own unprivileged user may not read a private temporary folder.
    settings["APT::Sandbox::User"] = Path("root")
    return [option for name, value in settings.items() for option in ("-o", f"{name}={value}")]
