"""The server.properties of the test brokers.

Every listener has the same port inside its container as outside, so that its advertised address holds on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from integration.brokers._certificates import Certificates

_PEER_PORT = 9092
_CONTROLLER_PORT = 9093
_SECRETS = "/etc/kafka/secrets"
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class SecureListeners:
    """The ports of the listeners with security, and who may log in.

    `ssl` demands a client certificate. `sasl_plaintext` and `sasl_ssl` take PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, and
    no client certificate. PLAIN knows the user below; SCRAM users are added with `Kafka.add_scram_user`.
    """

    ssl: int
    sasl_plaintext: int
    sasl_ssl: int
    user: str = "alice"
    password: str = "alice-secret"

    @property
    def ports(self) -> tuple[int, int, int]:
        """All three."""
        return (self.ssl, self.sasl_plaintext, self.sasl_ssl)


@dataclass(frozen=True, slots=True)
class LineListener:
    """A second plain listener at `port`, which sends its clients to `advertised`: there a test can stand between."""

    port: int
    advertised: int


def plain_settings(port: int, line: LineListener | None = None) -> str:
    """One node without security."""
    return _settings({"PLAINTEXT": port}, extra="", line=line)


def secure_settings(port: int, secure: SecureListeners) -> str:
    """One node with a plain listener, for the test's own hand, and the secure ones."""
    secured = {"SSL": secure.ssl, "SASL_PLAINTEXT": secure.sasl_plaintext, "SASL_SSL": secure.sasl_ssl}
    return _settings({"PLAINTEXT": port, **secured}, extra=_tls() + _sasl(secure) + _permissions())


def node_settings(port: int, number: int, hosts: Sequence[str]) -> str:
    """Node `number` (from 1) of a cluster whose nodes find each other at `hosts`; clients reach it at `port`."""
    voters = ",".join(f"{each}@{host}:{_CONTROLLER_PORT}" for each, host in enumerate(hosts, 1))
    return f"""
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://:{port},PEER://:{_PEER_PORT},CONTROLLER://:{_CONTROLLER_PORT}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PEER://{hosts[number - 1]}:{_PEER_PORT}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PEER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PEER
log.dirs=/var/lib/kafka/data
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=6
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
replica.lag.time.max.ms=6000
"""


def secure_files(certificates: Certificates) -> dict[str, str]:
    """The PEM files that the secure settings name."""
    server = certificates.server
    return {
        f"{_SECRETS}/server.pem": server.key.read_text() + server.certificate.read_text(),
        f"{_SECRETS}/ca.pem": certificates.ca.read_text(),
    }


def _settings(listeners: dict[str, int], extra: str, line: LineListener | None = None) -> str:
    bound = ",".join(f"{name}://:{port}" for name, port in listeners.items())
    advertised = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
    protocols = ",".join(f"{name}:{name}" for name in listeners)
    if line:
        bound += f",LINE://:{line.port}"
        advertised += f",LINE://127.0.0.1:{line.advertised}"
        protocols += ",LINE:PLAINTEXT"
    return f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:{_CONTROLLER_PORT}
controller.listener.names=CONTROLLER
listeners={bound},CONTROLLER://localhost:{_CONTROLLER_PORT}
advertised.listeners={advertised}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=/var/lib/kafka/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=10
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
{extra}"""


def _tls() -> str:
    return f"""
ssl.keystore.type=PEM
ssl.keystore.location={_SECRETS}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={_SECRETS}/ca.pem
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.ssl.client.auth=none
"""


def _sasl(secure: SecureListeners) -> str:
    lines = ["sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"]
    for listener in ("sasl_plaintext", "sasl_ssl"):
        plain = f'{_LOGIN}.plain.PlainLoginModule required user_{secure.user}="{secure.password}";'
        scram = f"{_LOGIN}.scram.ScramLoginModule required;"
        lines.append(f"listener.name.{listener}.plain.sasl.jaas.config={plain}")
        lines += [f"listener.name.{listener}.scram-sha-{bits}.sasl.jaas.config={scram}" for bits in (256, 512)]
    return "\n".join(lines) + "\n"


def _permissions() -> str:
    """Everyone may do everything until a test denies it; the plain listener's anonymous user may always."""
    return """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
"""
