"""Three Kafka nodes, each broker and controller at once; everything has three copies, two of them in step."""

from __future__ import annotations

from typing import final

from integration.brokers._cluster import HOSTS, NODES, Cluster
from integration.brokers._container import Container, Specification, create_network
from integration.brokers._images import image_for
from integration.brokers._kafka import SETTINGS_FILE, Kafka
from integration.brokers._kafka_settings import node_settings
from integration.brokers._ports import free_ports

_ENVIRONMENT = {
    "KAFKA_HEAP_OPTS": "-Xmx320m -Xms128m",
    # A node that comes back has another address: it is looked up anew.
    "KAFKA_OPTS": "-Dsun.net.inetaddr.ttl=1 -Dsun.net.inetaddr.negative.ttl=1",
}
_MEMORY = "900m"
_SECONDS = 5


@final
class KafkaCluster(Cluster[Kafka]):
    """`url` is kafka://HOST:PORT,HOST:PORT,HOST:PORT."""

    @property
    def url(self) -> str:
        return f"kafka://{self.bootstrap}"

    @property
    def bootstrap(self) -> str:
        """The nodes as Kafka's own clients want them."""
        return ",".join(each.bootstrap for each in self.nodes)

    def is_whole(self) -> bool:
        from confluent_kafka import KafkaException

        try:
            known = self.nodes[0].admin().list_topics(timeout=_SECONDS)
        except KafkaException:
            return False
        partitions = [each for kafka_topic in known.topics.values() for each in kafka_topic.partitions.values()]
        return len(known.brokers) == NODES and all(len(each.isrs) == len(each.replicas) for each in partitions)


def start_kafka_cluster(set_name: str) -> KafkaCluster:
    """A new cluster, started but perhaps not ready yet. Raises as `start_kafka` does."""
    image = image_for("kafka")
    network = create_network(set_name)
    with free_ports(NODES) as ports:
        nodes = [_start(set_name, image, network, number, port) for number, port in enumerate(ports, 1)]
    return KafkaCluster(nodes, network)


def _start(set_name: str, image: str, network: str, number: int, port: int) -> Kafka:
    url = f"kafka://127.0.0.1:{port}"
    specification = Specification(
        "kafka-node",
        url,
        image,
        {port: port},
        _ENVIRONMENT,
        files={SETTINGS_FILE: node_settings(port, number, HOSTS)},
        peers=(network, HOSTS[number - 1]),
        memory=_MEMORY,
    )
    return Kafka(url, Container.create(specification, set_name))
