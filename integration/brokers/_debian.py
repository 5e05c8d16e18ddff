"""What is installed with Debian's own tools, from wherever this machine is set up to get its packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from integration.brokers._errors import BrokersUnavailableError
from integration.brokers._progress import say

_COMMAND_SECONDS = 900.0


def is_debian_root() -> bool:
    """True if this process may install Debian packages."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def install(*packages: str, why: str) -> None:
    """Installs the packages, saying so. Raises BrokersUnavailableError if this is no Debian, not root, or apt fails."""
    wanted = " ".join(packages)
    if not is_debian_root():
        raise BrokersUnavailableError(f"{why}: {wanted} is needed; install it, or run as root on Debian")
    say(f"installing {wanted} with apt-get ({why})")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


def mirror() -> str:
    """The address of the Debian archive that this machine's apt uses.

    Raises BrokersUnavailableError if apt knows none.
    """
    form = ("--format", "$(SITE)", "Created-By: Packages", "Origin: Debian", "Component: main")
    sites = _indexed_sites(form)
    if not sites:
        run("apt-get", "update", "-qq")
        sites = _indexed_sites(form)
    if not sites:
        raise BrokersUnavailableError("apt has no Debian archive among its sources: the stand-in images need one")
    return sites[0]


def _indexed_sites(form: tuple[str, ...]) -> list[str]:
    sites = run("apt-get", "indextargets", *form).split()
    return [site for site in sites if "security" not in site]


def run(*command: str, folder: Path | None = None) -> str:
    """Runs a command, in that folder if one is given, and returns its output.

    Raises BrokersUnavailableError, with the end of that output, if it fails.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False, env=environment, cwd=folder
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokersUnavailableError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise BrokersUnavailableError(f"{' '.join(command)}: exit {done.returncode}\n{tail}")
    return done.stdout
