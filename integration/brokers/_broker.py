"""What all brokers have in common: a URL, a container if it is ours, and faults."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from integration.brokers._errors import BrokersUnavailableError

if TYPE_CHECKING:
    from integration.brokers._container import Container

_READY_SECONDS = 120.0


class Broker(ABC):
    """A broker that tests talk to, at an address that stays the same through every fault.

    Without a container (a broker of yours, given by a URL) it can be used but not harmed: the faults then raise
    BrokersUnavailableError. Every method blocks.
    """

    def __init__(self, url: str, container: Container | None) -> None:
        self.url = url
        self._container = container

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host}:{self.port})"

    @property
    def host(self) -> str:
        """The host of the URL."""
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        """The port of the URL."""
        port = urlsplit(self.url).port
        assert port is not None, f"{self!r}: the URL must name a port"
        return port

    @property
    def container(self) -> Container:
        """The container it runs in. Raises BrokersUnavailableError if it is not one of ours."""
        if self._container is None:
            raise BrokersUnavailableError(
                f"{self!r} is in no container of ours, so it cannot be stopped or harmed; "
                f"unset BUSBRIDGE_TEST_*_URL to have containers made"
            )
        return self._container

    @abstractmethod
    def answers(self) -> bool:
        """True if it serves clients now."""

    def wait_until_ready(self) -> None:
        """Returns when it serves clients. BrokersUnavailableError, with its last log lines, if it ends or hangs."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or self._has_ended():
                raise BrokersUnavailableError(f"{self!r} does not answer{self._log()}")
            time.sleep(0.2)

    def _has_ended(self) -> bool:
        return self._container is not None and self._container.state == "exited"

    def _log(self) -> str:
        return "" if self._container is None else f"; its log ends with\n{self._container.last_words()}"

    def exec(self, *command: str) -> str:
        """Runs a command inside the container and returns its standard output. Raises DockerError if it fails."""
        return self.container.run(*command)

    def stop(self) -> None:
        """A planned stop: the broker closes its connections and ends."""
        self.container.stop()

    def kill(self) -> None:
        """A power cut: the broker ends without a word, its data stays as it was on disk."""
        self.container.kill()

    def start(self) -> None:
        """Starts it after a stop or a kill, and returns when it serves clients at the same port."""
        self.container.start()
        self.wait_until_ready()

    def restart(self) -> None:
        """A planned stop, then a start."""
        self.stop()
        self.start()

    def kill_and_start(self) -> None:
        """A power cut, then a start."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freezes it: connections stay open, nothing is answered."""
        self.container.pause()

    def unpause(self) -> None:
        """Ends a pause."""
        self.container.unpause()

    def heal(self) -> None:
        """Ends whatever fault it suffers, so that the next test finds it well."""
        if self.container.state == "paused":
            self.unpause()
        self.start()

    def remove(self) -> None:
        """Removes its container with all data."""
        self.container.remove()
