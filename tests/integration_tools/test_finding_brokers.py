"""Where brokers come from, and in which order, seen with a `docker` command that only records what it is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore

import pytest

from integration.brokers import (
    IMAGES,
    BrokerSet,
    BrokersUnavailableError,
    DockerError,
    Kafka,
    ensure_engine,
    exports,
    image_for,
)
from integration.brokers import _debian as debian
from integration.brokers import _engine as engine
from integration.brokers._container import Container
from integration.brokers._stand_in import StandIn

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a `docker` that has the images of IMAGES_HERE, no registry, and no engine unless ENGINE is set."""
    log, command = tmp_path / "log", tmp_path / "docker"
    log.touch()
    command.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\n'
        'case "$1 $2" in\n'
        '  "version "*) [ -n "$ENGINE" ] || [ -e "$0d.started" ] ;;\n'
        '  "image ls") case " $IMAGES_HERE " in *" $4 "*) echo found ;; esac ;;\n'
        '  "create "*) echo no space left >&2; exit 1 ;;\n'
        '  "pull "*) echo no such host; exit 1 ;;\n'
        "esac\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("ENGINE", "")
    monkeypatch.setenv("IMAGES_HERE", "")
    return log


@pytest.fixture
def no_debian_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "is_debian_root", lambda: False)


@pytest.mark.usefixtures("docker")
def test_a_broker_of_the_environment_is_used_and_no_container_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUSBRIDGE_TEST_KAFKA_URL", "kafka://127.0.0.1:1")
    brokers = BrokerSet("mine")
    found = brokers._find("kafka")
    assert exports({"kafka": found}) == ["export BUSBRIDGE_TEST_KAFKA_URL='kafka://127.0.0.1:1'"]
    with pytest.raises(BrokersUnavailableError, match="no container of ours"):
        found.kill()


def test_two_processes_that_want_the_same_broker_at_once_get_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[Kafka] = []
    looks = Semaphore(0)

    def running(_self: BrokerSet) -> dict[str, Kafka]:
        found = {"kafka": made[0]} if made else {}
        looks.release()
        return found

    def start(_self: BrokerSet, _kind: str) -> Kafka:
        looks.acquire()
        looks.acquire(timeout=0.2)  # does the other one look before there is anything to be seen?
        made.append(Kafka("kafka://127.0.0.1:1", None))
        return made[-1]

    monkeypatch.delenv("BUSBRIDGE_TEST_KAFKA_URL", raising=False)
    monkeypatch.setattr(BrokerSet, "running", running)
    monkeypatch.setattr(BrokerSet, "_start", start)
    monkeypatch.setattr(Kafka, "wait_until_ready", lambda _self: None)
    with ThreadPoolExecutor() as both:
        first, second = both.map(lambda _: BrokerSet("mine").up(["kafka"])["kafka"], range(2))
    assert first is second is made[0]


@pytest.mark.usefixtures("docker", "no_debian_root")
def test_without_an_engine_it_says_what_to_do() -> None:
    with pytest.raises(BrokersUnavailableError, match="scripts/test --no-brokers"):
        ensure_engine()


def test_an_engine_that_answers_is_used_as_it_is(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "1")
    ensure_engine()
    assert docker.read_text().startswith("version")


@pytest.fixture
def bare_debian(docker: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a `dockerd` that makes `docker` answer, on a machine where this process is root."""
    folder = docker.parent
    for command in ("dockerd", "iptables"):
        (folder / command).write_text('#!/bin/sh\necho "$@" >> "$0.started"\n')
        (folder / command).chmod(0o755)
    pid_file = folder / "docker.pid"
    monkeypatch.setattr(engine, "_PID_FILE", pid_file)
    monkeypatch.setattr(engine, "_PID_FILES", {pid_file: "dockerd"})
    monkeypatch.setattr(engine, "_LOG_FILE", folder / "dockerd.log")
    monkeypatch.setattr(debian, "is_debian_root", lambda: True)
    return folder


def test_on_a_bare_machine_the_engine_is_started_and_found_again(bare_debian: Path) -> None:
    ensure_engine()
    ensure_engine()
    assert (bare_debian / "dockerd.started").read_text().splitlines() == [
        f"--storage-driver=overlay2 --pidfile={bare_debian / 'docker.pid'}"
    ]


def test_a_pid_file_that_names_another_program_does_not_keep_the_engine_from_starting(bare_debian: Path) -> None:
    (bare_debian / "docker.pid").write_text(str(os.getpid()))
    ensure_engine()
    assert not (bare_debian / "docker.pid").exists()
    assert (bare_debian / "dockerd.started").exists()


def test_a_container_that_was_too_busy_to_be_frozen_is_frozen_at_the_next_try(docker: Path) -> None:
    command = docker.parent / "docker"
    command.write_text(f"""#!/bin/sh
echo "$@" >> {docker}
[ $(wc -l < {docker}) -gt 2 ] || {{ echo OCI runtime pause failed: unable to freeze >&2; exit 1; }}
""")
    Container("busy").pause()
    assert docker.read_text().splitlines() == ["pause busy"] * 3


def test_a_container_that_cannot_be_frozen_is_an_error_at_once(docker: Path) -> None:
    (docker.parent / "docker").write_text(f'#!/bin/sh\necho "$@" >> {docker}\necho no such container >&2; exit 1\n')
    with pytest.raises(DockerError, match="no such container"):
        Container("gone").pause()
    assert docker.read_text().splitlines() == ["pause gone"]


def test_an_image_that_the_environment_names_is_taken_without_a_question(docker: Path, monkeypatch) -> None:
    monkeypatch.setenv("KAFKA_IMAGE", "example/kafka:1")
    assert image_for("kafka") == "example/kafka:1"
    assert docker.read_text() == ""


def test_an_official_image_that_is_here_is_not_pulled(docker: Path, monkeypatch) -> None:
    monkeypatch.delenv("KAFKA_IMAGE", raising=False)
    monkeypatch.setenv("IMAGES_HERE", IMAGES["kafka"].official)
    assert image_for("kafka") == IMAGES["kafka"].official
    assert "pull" not in docker.read_text()


def test_without_a_registry_a_stand_in_that_is_here_is_not_built_again(docker: Path, monkeypatch) -> None:
    monkeypatch.delenv("KAFKA_IMAGE", raising=False)
    stand_in = IMAGES["kafka"].stand_in.tag
    monkeypatch.setenv("IMAGES_HERE", stand_in)
    assert image_for("kafka") == stand_in
    assert f"pull {IMAGES['kafka'].official}" in docker.read_text()
    assert "build" not in docker.read_text()


def test_other_build_files_make_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "folder", tmp_path)
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM a")
    image = StandIn("kafka", "4.1.1", "trixie")
    first = image.tag
    dockerfile.write_text("FROM b")
    assert image.tag != first
    dockerfile.write_text("FROM a")
    assert image.tag == first


def _up(*kinds: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "integration.brokers", "up", *kinds, "--set", "nothing"]
    return subprocess.run(
        command,
        env={**_environment(), **environment},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def _environment() -> dict[str, str]:
    """This process's, without the brokers that whoever runs the tests has."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BUSBRIDGE_TEST_")}


@pytest.mark.usefixtures("docker")
def test_the_command_fails_with_the_reason_on_standard_error() -> None:
    done = _up("postgresql", ENGINE="1", POSTGRESQL_IMAGE="example/postgresql")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("brokers: ")
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
