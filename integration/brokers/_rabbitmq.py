"""RabbitMQ in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from integration.brokers._broker import Broker
from integration.brokers._container import Container, Specification
from integration.brokers._images import image_for
from integration.brokers._ports import free_ports
from integration.brokers._probes import rabbitmq_answers

if TYPE_CHECKING:
    import pika
    from pika.adapters.blocking_connection import BlockingConnection

    from integration.brokers._certificates import Certificates

AMQP, _AMQPS, MANAGEMENT = 5672, 5671, 15672
_WATERMARK = "0.4"  # the share of memory at which RabbitMQ 3 alarms by itself; RabbitMQ 4 does at 0.6
_CERTIFICATES = "/etc/busbridge"


@final
class RabbitMQ(Broker):
    """A RabbitMQ node; `url` is amqp://USER:PASSWORD@HOST:PORT/."""

    def __init__(self, url: str, container: Container | None) -> None:
        super().__init__(url, container)
        self._alarmed = False

    def answers(self) -> bool:
        return rabbitmq_answers(self.host, self.port)

    @property
    def management_url(self) -> str:
        """http://HOST:PORT of the management API; user and password are those of `url`."""
        return f"http://{self.host}:{self.container.port(MANAGEMENT)}"

    @property
    def tls_url(self) -> str:
        """amqps://USER:PASSWORD@HOST:PORT/ of its TLS listener, if it was started with certificates."""
        return f"amqps://guest:guest@{self.host}:{self.container.port(_AMQPS)}/"

    def parameters(self) -> pika.URLParameters:
        """How the bare pika client connects."""
        import pika

        return pika.URLParameters(self.url)

    def connect(self) -> BlockingConnection:
        """A connection of the bare pika client; the caller closes it (it is a context manager)."""
        import pika

        return pika.BlockingConnection(self.parameters())

    def control(self, *arguments: str) -> str:
        """Runs `rabbitmqctl ARGUMENTS` and returns what it prints."""
        return self.exec("rabbitmqctl", "--quiet", *arguments)

    def memory_alarm(self, on: bool) -> None:
        """Raises the memory alarm (every publisher is blocked) or ends it."""
        self._alarmed = True  # also if the command fails on the way
        threshold = ["absolute", "1"] if on else [_WATERMARK]
        self.control("set_vm_memory_high_watermark", *threshold)
        self._alarmed = on

    def flush_declarations(self) -> None:
        """Returns when all queues declared so far are on disk. Without it, `kill` may break those of the last seconds.

        A node writes its list of quorum queues lazily, as it relies on the other nodes of a cluster to know them.
        """
        self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def heal(self) -> None:
        super().heal()
        if self._alarmed:  # the command takes seconds
            self.memory_alarm(False)


def start_rabbitmq(
    set_name: str,
    *,
    version: str = "",
    certificates: Certificates | None = None,
    client_certificate_required: bool = False,
    settings: str = "",
) -> RabbitMQ:
    """A new RabbitMQ 4 (or the version "3.10"), started but perhaps not ready yet.

    With certificates it listens for TLS as well, at `tls_url`. `settings` are further lines of rabbitmq.conf. Raises
    BrokersUnavailableError if there is no image, DockerError if the container cannot be started.
    """
    broker = f"rabbitmq-{version}" if version else "rabbitmq"
    image = image_for(broker)
    files = _tls_files(certificates) if certificates else {}
    tls = _tls_settings(client_certificate_required) if certificates else ""
    files["/etc/rabbitmq/rabbitmq.conf"] = tls + settings
    with free_ports(3) as (amqp, amqps, management):
        url, ports = f"amqp://guest:guest@127.0.0.1:{amqp}/", {amqp: AMQP, amqps: _AMQPS, management: MANAGEMENT}
        specification = Specification(broker, url, image, ports, files=files)
        return RabbitMQ(url, Container.create(specification, set_name))


def _tls_settings(client_certificate_required: bool) -> str:
    required = "true" if client_certificate_required else "false"
    return f"""
listeners.ssl.default = {_AMQPS}
ssl_options.cacertfile = {_CERTIFICATES}-ca.pem
ssl_options.certfile = {_CERTIFICATES}-server.pem
ssl_options.keyfile = {_CERTIFICATES}-server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {required}
"""


def _tls_files(certificates: Certificates) -> dict[str, str]:
    return {
        f"{_CERTIFICATES}-ca.pem": certificates.ca.read_text(),
        f"{_CERTIFICATES}-server.pem": certificates.server.certificate.read_text(),
        f"{_CERTIFICATES}-server.key": certificates.server.key.read_text(),
    }
