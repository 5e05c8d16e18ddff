"""Brokers for development and tests: found where there are some, made in containers where there are none.

Needs the standard library only, since it runs before the project's environment exists; the bare clients that a broker
hands out are imported when they are asked for.
"""

from __future__ import annotations

from integration.brokers._broker import Broker
from integration.brokers._broker_set import KINDS, BrokerSet, exports
from integration.brokers._certificates import Certificates, KeyPair, make_certificates
from integration.brokers._cluster import Cluster
from integration.brokers._compose import ensure_compose
from integration.brokers._engine import ensure_engine
from integration.brokers._errors import BrokersUnavailableError, DockerError
from integration.brokers._images import IMAGES, image_for
from integration.brokers._kafka import Kafka, start_kafka
from integration.brokers._kafka_cluster import KafkaCluster, start_kafka_cluster
from integration.brokers._kafka_settings import SecureListeners
from integration.brokers._lock import machine_lock
from integration.brokers._postgresql import PostgreSQL, start_postgresql
from integration.brokers._rabbitmq import RabbitMQ, start_rabbitmq
from integration.brokers._rabbitmq_cluster import RabbitMQCluster, start_rabbitmq_cluster

__all__ = [
    "IMAGES",
    "KINDS",
    "Broker",
    "BrokerSet",
    "BrokersUnavailableError",
    "Certificates",
    "Cluster",
    "DockerError",
    "Kafka",
    "KafkaCluster",
    "KeyPair",
    "PostgreSQL",
    "RabbitMQ",
    "RabbitMQCluster",
    "SecureListeners",
    "ensure_compose",
    "ensure_engine",
    "exports",
    "image_for",
    "machine_lock",
    "make_certificates",
    "start_kafka",
    "start_kafka_cluster",
    "start_postgresql",
    "start_rabbitmq",
    "start_rabbitmq_cluster",
]
