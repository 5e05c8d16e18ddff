"""A Docker engine that answers: the one that runs, or on a bare Debian machine one that is installed and started."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from integration.brokers import _debian
from integration.brokers._docker import docker_works
from integration.brokers._errors import BrokersUnavailableError
from integration.brokers._lock import machine_lock
from integration.brokers._progress import say

_PID_FILE = Path("/var/run/docker.pid")
_PID_FILES = {_PID_FILE: "dockerd", Path("/var/run/docker/containerd/containerd.pid"): "containerd"}
_LOG_FILE = Path("/var/log/busbridge-dockerd.log")
_START_SECONDS = 60.0
# In this order: up to Debian 12 the package of the engine has the `docker` command as well.
_PACKAGES = {"dockerd": "docker.io", "iptables": "iptables", "docker": "docker-cli"}

_WHAT_TO_DO = """no Docker engine answers, so there are no brokers to test on. Do one of these:
  - start Docker (Docker Desktop, or `systemctl start docker`) and see that `docker version` shows a server;
  - run this as root on Debian: the engine is then installed and started;
  - point BUSBRIDGE_TEST_RABBITMQ_URL, BUSBRIDGE_TEST_KAFKA_URL and BUSBRIDGE_TEST_POSTGRESQL_URL at your own;
  - run `scripts/test --no-brokers`, which leaves out everything that needs one."""


def ensure_engine() -> None:
    """Returns when a Docker engine answers; installs and starts one where that is possible, and leaves it running.

    Raises BrokersUnavailableError, saying what to do, where it is not.
    """
    if docker_works():
        return
    if not _debian.is_debian_root():
        raise BrokersUnavailableError(_WHAT_TO_DO)
    with machine_lock("engine"):
        if not docker_works():
            _install()
            _start()


def _install() -> None:
    for command, package in _PACKAGES.items():
        if not shutil.which(command):
            _debian.install(package, why="no Docker engine on this machine")


def _start() -> None:
    if not _is_running(_PID_FILE, "dockerd"):
        _drop_stale_pid_files()
        say(f"starting dockerd by hand; it stays after this run (log: {_LOG_FILE})")
        _spawn()
    _wait_until_it_answers()


def _spawn() -> None:
    """As a daemon, in a session of its own and no child of ours: it survives the end of this process and its Ctrl-C."""
    command = ["dockerd", "--storage-driver=overlay2", f"--pidfile={_PID_FILE}"]
    with _LOG_FILE.open("ab") as log:
        subprocess.run(
            ["sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
        )


def _wait_until_it_answers() -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not docker_works():
        if time.monotonic() > deadline:
            raise BrokersUnavailableError(f"dockerd does not answer after {_START_SECONDS:.0f} s; see {_LOG_FILE}")
        time.sleep(0.5)


def _drop_stale_pid_files() -> None:
    """The engine does not start while the process of its pid file lives, even if that is another program by now."""
    for file, program in _PID_FILES.items():
        if not _is_running(file, program):
            file.unlink(missing_ok=True)


def _is_running(pid_file: Path, program: str) -> bool:
    try:
        pid = int(pid_file.read_text())
        return Path(f"/proc/{pid}/comm").read_text().strip() == program
    except (OSError, ValueError):
        return False
