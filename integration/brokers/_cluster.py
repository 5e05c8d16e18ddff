"""Three nodes of one broker, and the networks between them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from integration.brokers._broker import Broker
from integration.brokers._container import remove_network
from integration.brokers._errors import BrokersUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

B = TypeVar("B", bound=Broker)

NODES = 3
OUTSIDE = "bridge"
"""The network on which clients reach a node: Docker's own, through which ports are published."""
_WHOLE_SECONDS = 180.0


class Cluster(ABC, Generic[B]):
    """A broker of several nodes, which have a network of their own between them, and another with their clients.

    Every method blocks, and raises DockerError if the engine can't do it. The nodes suffer the faults of `Broker`.
    """

    def __init__(self, nodes: Sequence[B], network: str) -> None:
        self.nodes = tuple(nodes)
        self._network = network

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(str(each.port) for each in self.nodes)})"

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL that names every node."""

    @abstractmethod
    def is_whole(self) -> bool:
        """True if every node serves clients and knows of all others, and nothing lacks a copy."""

    def wait_until_whole(self) -> None:
        """Returns when `is_whole`. Raises BrokersUnavailableError, with each node's last log lines, if that hangs."""
        deadline = time.monotonic() + _WHOLE_SECONDS
        while not (all(each.answers() for each in self.nodes) and self.is_whole()):
            if time.monotonic() > deadline:
                logs = "\n".join(each.container.last_words() for each in self.nodes)
                raise BrokersUnavailableError(f"{self!r} did not become whole in {_WHOLE_SECONDS:g} s; logs:\n{logs}")
            time.sleep(0.5)

    def cut_from_peers(self, node: B) -> None:
        """The other nodes and this one hear nothing of each other any more; clients go on hearing of all."""
        node.container.leave(self._network)

    def isolate(self, node: B) -> None:
        """Nobody hears anything of it any more, and it hears of nobody."""
        self.cut_from_peers(node)
        node.container.leave(OUTSIDE)

    def reconnect(self, node: B) -> None:
        """Ends both cuts; no effect where there is none."""
        known = node.container.networks
        if OUTSIDE not in known:
            node.container.join(OUTSIDE)
        if self._network not in known:
            node.container.join(self._network, self._host(node))

    def _host(self, node: B) -> str:
        return host_name(self.nodes.index(node) + 1)

    def heal(self) -> None:
        """Ends whatever fault the nodes suffer, and waits until they are one cluster again."""
        for node in self.nodes:
            self.reconnect(node)
            if node.container.state == "paused":
                node.unpause()
            node.container.start()
        self.wait_until_whole()

    def remove(self) -> None:
        """Removes all nodes with their data, and their network."""
        for node in self.nodes:
            node.remove()
        remove_network(self._network)


def host_name(number: int) -> str:
    """The name under which the other nodes find node `number`, from 1."""
    return f"node{number}"


HOSTS = tuple(host_name(number) for number in range(1, NODES + 1))
"""All of them."""
