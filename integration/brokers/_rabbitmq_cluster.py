"""A cluster of three RabbitMQ nodes: quorum queues have a copy on each."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import TYPE_CHECKING, Any, final

from integration.brokers._cluster import HOSTS, NODES, Cluster
from integration.brokers._container import Container, Specification, create_network
from integration.brokers._images import image_for
from integration.brokers._ports import free_ports
from integration.brokers._rabbitmq import AMQP, MANAGEMENT, RabbitMQ

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEMORY = "700m"
_SECONDS = 5.0
_SETTINGS = "\n".join(
    [
        "cluster_formation.peer_discovery_backend = classic_config",
        *(f"cluster_formation.classic_config.nodes.{number} = rabbit@{host}" for number, host in enumerate(HOSTS, 1)),
    ]
)
# Peers that were silent for this many seconds are taken for gone: ordinarily 60.
_ADVANCED = "[{kernel, [{net_ticktime, 12}]}].\n"
_COOKIE = {"/var/lib/rabbitmq/.erlang.cookie": "busbridge"}


@final
class RabbitMQCluster(Cluster[RabbitMQ]):
    """`url` is amqp://USER:PASSWORD@HOST:PORT,HOST:PORT,HOST:PORT/."""

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{','.join(f'{each.host}:{each.port}' for each in self.nodes)}/"

    def __init__(self, nodes: Sequence[RabbitMQ], network: str) -> None:
        super().__init__(nodes, network)
        self._has_khepri = False

    def is_whole(self) -> bool:
        return all(_knows_all(each) for each in self.nodes)

    def wait_until_whole(self) -> None:
        """Before it returns for the first time, it has the nodes keep what is declared by Raft, as queues are kept.

        Mnesia, the other way, falls apart for good when a cut ends just while it is noticed.
        """
        super().wait_until_whole()
        if not self._has_khepri:
            self.nodes[0].control("enable_feature_flag", "--opt-in", "khepri_db")
            self._has_khepri = True


def _knows_all(node: RabbitMQ) -> bool:
    request = urllib.request.Request(f"{node.management_url}/api/nodes")
    request.add_header("Authorization", f"Basic {base64.b64encode(b'guest:guest').decode()}")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            known: list[dict[str, Any]] = json.load(answer)
    except (OSError, ValueError):
        return False
    return sum(bool(each.get("running")) and not each.get("partitions") for each in known) == NODES


def start_rabbitmq_cluster(set_name: str) -> RabbitMQCluster:
    """A new cluster, started but perhaps not ready yet. Raises as `start_rabbitmq` does."""
    image = image_for("rabbitmq")
    network = create_network(set_name)
    with free_ports(2 * NODES) as ports:
        pairs = zip(ports[:NODES], ports[NODES:], strict=True)
        nodes = [_start(set_name, image, network, host, *pair) for host, pair in zip(HOSTS, pairs, strict=True)]
    return RabbitMQCluster(nodes, network)


def _start(set_name: str, image: str, network: str, host: str, amqp: int, management: int) -> RabbitMQ:
    url = f"amqp://guest:guest@127.0.0.1:{amqp}/"
    specification = Specification(
        "rabbitmq-node",
        url,
        image,
        {amqp: AMQP, management: MANAGEMENT},
        files={"/etc/rabbitmq/rabbitmq.conf": _SETTINGS, "/etc/rabbitmq/advanced.config": _ADVANCED},
        secrets=_COOKIE,
        peers=(network, host),
        memory=_MEMORY,
    )
    return RabbitMQ(url, Container.create(specification, set_name))
