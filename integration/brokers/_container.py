"""A container with fixed host ports, and what can befall it."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from integration.brokers._docker import containers_with, docker
from integration.brokers._errors import DockerError

SET_LABEL = "busbridge.broker-set"
BROKER_LABEL = "busbridge.broker"
URL_LABEL = "busbridge.broker-url"
_PORTS_LABEL = "busbridge.broker-ports"
_STOP_SECONDS = 60
_FREEZES = 5
_UNFROZEN = "unable to freeze"
"""What the runtime says when processes were born faster than it froze them, on a busy machine: it has let go of all."""


@dataclass(frozen=True, slots=True)
class Specification:
    """What a container is made of. `ports` maps ports of 127.0.0.1 to ports inside; `files` paths inside to texts."""

    broker: str
    url: str
    image: str
    ports: dict[int, int]
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """Files that only their owner may read; the image's entry point gives them to the broker's user."""
    peers: tuple[str, str] | None = None
    """For a node of a cluster: the network on which its peers find it, and the host name under which they do."""
    memory: str = ""
    """What it may use at most, as Docker writes it; no limit if empty."""


@final
class Container:
    """A container by its id. Every method blocks until the engine has done it, and raises DockerError if it cannot."""

    __slots__ = ("id",)

    def __init__(self, container_id: str) -> None:
        self.id = container_id

    @classmethod
    def create(cls, specification: Specification, set_name: str) -> Container:
        """A started container of that set. It is removed again if it cannot be started."""
        name = f"{set_name}-{specification.broker}-{secrets.token_hex(3)}"
        # A RabbitMQ node keeps its data under a name made from its host's: that must be the same after a restart.
        host = specification.peers[1] if specification.peers else name.replace(".", "-")
        options = ["--name", name, "--hostname", host, *_label_options(specification, set_name)]
        for outside, inside in specification.ports.items():
            options += ["--publish", f"127.0.0.1:{outside}:{inside}"]
        for key, value in specification.environment.items():
            options += ["--env", f"{key}={value}"]
        if specification.memory:
            options += ["--memory", specification.memory]
        container = cls(docker("create", *options, specification.image, timeout=900))
        container._prepare_and_start(specification)
        return container

    @classmethod
    def publishing(cls, port: int) -> Container | None:
        """The running container of this package that publishes that port of 127.0.0.1, if there is one."""
        found = containers_with(f"publish={port}", f"label={SET_LABEL}")
        return cls(found[0]) if found else None

    def _prepare_and_start(self, specification: Specification) -> None:
        try:
            for path, text in specification.files.items():
                self.put(path, text)
            for path, text in specification.secrets.items():
                self.put(path, text, mode=0o600)
            if specification.peers:
                self.join(*specification.peers)
            self.start()
        except DockerError:
            self.remove()
            raise

    def put(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Writes a file inside, readable by everyone there: the broker's user has another id in each image."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            file.write_text(text)
            file.chmod(mode)
            docker("cp", str(file), f"{self.id}:{path}")

    def join(self, network: str, alias: str = "") -> None:
        """Connects it with a network, on which it is found as `alias`."""
        docker("network", "connect", *(["--alias", alias] if alias else []), network, self.id)

    def leave(self, network: str) -> None:
        """Cuts it off from a network: what is sent to it there vanishes, and so does what it sends."""
        docker("network", "disconnect", network, self.id)

    @property
    def networks(self) -> set[str]:
        """The networks that it is connected with."""
        form = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
        return set(docker("inspect", "--format", form, self.id).split())

    def start(self) -> None:
        """Starts it; no effect if it runs."""
        docker("start", self.id)

    def stop(self) -> None:
        """Asks it to stop and waits; kills it after a minute."""
        docker("stop", "--time", str(_STOP_SECONDS), self.id)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        docker("kill", "--signal", "KILL", self.id)

    def pause(self) -> None:
        """Freezes its processes: its connections stay open and silent."""
        for left in reversed(range(_FREEZES)):
            try:
                docker("pause", self.id)
            except DockerError as error:
                if not left or _UNFROZEN not in str(error):
                    raise
            else:
                return

    def unpause(self) -> None:
        """Lets it go on."""
        docker("unpause", self.id)

    def run(self, *command: str) -> str:
        """Runs a command inside and returns its standard output, stripped."""
        return docker("exec", self.id, *command)

    def label(self, name: str) -> str:
        """The value of one of its labels."""
        return docker("inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', self.id)

    @property
    def state(self) -> str:
        """What the engine calls it: created, running, paused, exited."""
        return docker("inspect", "--format", "{{.State.Status}}", self.id)

    def port(self, inside: int) -> int:
        """The port of 127.0.0.1 at which a port inside is published."""
        form = f'{{{{(index (index .HostConfig.PortBindings "{inside}/tcp") 0).HostPort}}}}'
        return int(docker("inspect", "--format", form, self.id))

    def last_words(self) -> str:
        """The end of its log."""
        return docker("logs", "--tail", "20", self.id)

    def remove(self) -> None:
        """Removes it with its data, running or not."""
        docker("rm", "--force", "--volumes", self.id)


def _label_options(specification: Specification, set_name: str) -> list[str]:
    labels = {
        SET_LABEL: set_name,
        BROKER_LABEL: specification.broker,
        URL_LABEL: specification.url,
        _PORTS_LABEL: ",".join(str(port) for port in specification.ports),
    }
    return [option for name, value in labels.items() for option in ("--label", f"{name}={value}")]


def reserved_ports() -> set[int]:
    """The ports of every container of this package, also of those that are stopped and will want theirs again."""
    return {int(port) for ports in _labels(_PORTS_LABEL) for port in ports.split(",")}


def containers_of(set_name: str) -> list[Container]:
    """Every container of the set, running or not."""
    return [Container(found) for found in containers_with(f"label={SET_LABEL}={set_name}")]


def set_names() -> set[str]:
    """The names of all sets that have a container."""
    return set(_labels(SET_LABEL))


def create_network(set_name: str) -> str:
    """The name of a new network of that set, on which its containers reach each other and nothing else."""
    name = f"{set_name}-{secrets.token_hex(3)}"
    docker("network", "create", "--internal", "--label", f"{SET_LABEL}={set_name}", name)
    return name


def remove_network(name: str) -> None:
    """Removes a network that no container is connected with."""
    docker("network", "rm", name)


def remove_sets(*set_names: str) -> int:
    """Removes every container of these sets, with its data, and their networks; returns how many containers it were."""
    found = [container.id for name in set_names for container in containers_of(name)]
    if found:
        docker("rm", "--force", "--volumes", *found)
    for name in set_names:
        for network in docker("network", "ls", "--quiet", "--filter", f"label={SET_LABEL}={name}").split():
            remove_network(network)
    return len(found)


def _labels(name: str) -> list[str]:
    return docker("ps", "--all", "--filter", f"label={name}", "--format", f'{{{{.Label "{name}"}}}}').split()
