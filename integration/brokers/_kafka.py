"""Apache Kafka in a container: one node, broker and controller at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, final

from integration.brokers._broker import Broker
from integration.brokers._container import Container, Specification
from integration.brokers._images import image_for
from integration.brokers._kafka_settings import (
    LineListener,
    SecureListeners,
    plain_settings,
    secure_files,
    secure_settings,
)
from integration.brokers._ports import free_ports
from integration.brokers._probes import kafka_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

    from integration.brokers._certificates import Certificates

SETTINGS_FILE = "/mnt/shared/config/server.properties"
_ENVIRONMENT = {"KAFKA_HEAP_OPTS": "-Xmx512m -Xms256m"}
_SCRAM_ITERATIONS = 4096  # the fewest that Kafka takes
_ADMIN_SECONDS = 30


@final
class Kafka(Broker):
    """A Kafka node; `url` is kafka://HOST:PORT, without TLS or a password.

    Started with certificates, it has `secure` listeners as well. Its command-line tools, run inside by `exec`, reach it
    at the same address as clients outside.
    """

    def __init__(
        self,
        url: str,
        container: Container | None,
        secure: SecureListeners | None = None,
        line: LineListener | None = None,
    ) -> None:
        super().__init__(url, container)
        self.secure = secure
        self.line = line

    def answers(self) -> bool:
        return kafka_answers(self.host, self.port)

    @property
    def bootstrap(self) -> str:
        """HOST:PORT, as Kafka's own clients want it."""
        return f"{self.host}:{self.port}"

    def producer(self, **settings: Any) -> Producer:
        """A bare producer; settings are librdkafka's with `_` for each dot."""
        from confluent_kafka import Producer

        return Producer(self._client_settings(settings))

    def consumer(self, group: str, **settings: Any) -> Consumer:
        """A bare consumer of that group, from the earliest message unless told otherwise; the caller closes it."""
        from confluent_kafka import Consumer

        return Consumer(self._client_settings({"group_id": group, "auto_offset_reset": "earliest", **settings}))

    def admin(self, **settings: Any) -> AdminClient:
        """A bare admin client."""
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._client_settings(settings))

    def _client_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        dotted = {name.replace("_", "."): value for name, value in settings.items()}
        return {"bootstrap.servers": self.bootstrap, **dotted}

    def tool(self, name: str, *arguments: str) -> str:
        """Runs one of Kafka's own tools (`topics`, `console-consumer`, ...) inside; returns what it prints."""
        return self.exec(f"/opt/kafka/bin/kafka-{name}.sh", "--bootstrap-server", self.bootstrap, *arguments)

    def add_scram_user(self, user: str, password: str) -> None:
        """Creates the user for SCRAM-SHA-256 and SCRAM-SHA-512."""
        from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

        admin = self.admin()
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            credential = ScramCredentialInfo(mechanism, _SCRAM_ITERATIONS)
            wanted = UserScramCredentialUpsertion(user, credential, password.encode())
            # One by one: the broker refuses two of a user in one request.
            admin.alter_user_scram_credentials([wanted])[user].result(_ADMIN_SECONDS)
        _until(lambda: len(_scram_credentials(admin, user)) == 2)

    def deny(self, user: str, kafka_topic: str) -> None:
        """Takes every permission on a Kafka topic from that user; all others at secure listeners lose it too."""
        from confluent_kafka.admin import (
            AclBinding,
            AclBindingFilter,
            AclOperation,
            AclPermissionType,
            ResourcePatternType,
            ResourceType,
        )

        where = (ResourceType.TOPIC, kafka_topic, ResourcePatternType.LITERAL)
        rule = AclBinding(*where, f"User:{user}", "*", AclOperation.ALL, AclPermissionType.DENY)
        admin = self.admin()
        admin.create_acls([rule])[rule].result(_ADMIN_SECONDS)
        wanted = AclBindingFilter(*where, f"User:{user}", "*", AclOperation.ALL, AclPermissionType.DENY)
        _until(lambda: bool(admin.describe_acls(wanted).result(_ADMIN_SECONDS)))


def _scram_credentials(admin: AdminClient, user: str) -> list[Any]:
    """Those that the broker knows of that user: it hears of a change after the controller has kept it."""
    from confluent_kafka import KafkaException

    try:
        described = admin.describe_user_scram_credentials([user])[user].result(_ADMIN_SECONDS)
    except KafkaException:  # no such user yet
        return []
    return list(described.scram_credential_infos)


def _until(holds: Callable[[], bool]) -> None:
    """Waits until the node has applied what its controller has kept. Raises TimeoutError if it never does."""
    deadline = time.monotonic() + _ADMIN_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Kafka has not applied a change after {_ADMIN_SECONDS} s")
        time.sleep(0.02)


def start_kafka(
    set_name: str, *, certificates: Certificates | None = None, settings: str = "", with_line: bool = False
) -> Kafka:
    """A new Kafka, started but perhaps not ready yet; with certificates it has secure listeners.

    `with_line` gives it a listener whose clients a test may cut off.

    `settings` are further lines of server.properties. Raises BrokersUnavailableError if there is no image, DockerError
    if the container cannot be started.
    """
    image = image_for("kafka")
    with free_ports(6) as (port, ssl, sasl_plaintext, sasl_ssl, inside, outside):
        secure = SecureListeners(ssl, sasl_plaintext, sasl_ssl) if certificates else None
        line = LineListener(inside, outside) if with_line else None
        lines = secure_settings(port, secure) if secure else plain_settings(port, line)
        files = {SETTINGS_FILE: f"{lines}\n{settings}", **(secure_files(certificates) if certificates else {})}
        more = (*(secure.ports if secure else ()), *((line.port,) if line else ()))
        ports = {published: published for published in (port, *more)}
        specification = Specification("kafka", f"kafka://127.0.0.1:{port}", image, ports, _ENVIRONMENT, files)
        return Kafka(specification.url, Container.create(specification, set_name), secure, line)
