"""Where a bus gets its transports from: the installed ones, or in-memory ones in the place of each."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, cast, final

from busbridge.errors import MissingExtra

if TYPE_CHECKING:
    from busbridge.memory import MemoryBroker
    from busbridge.routing import TransportSettings
    from busbridge.transport import Transport

GROUP = "busbridge.transports"
_EXTRAS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "kafka": "kafka", "kafkas": "kafka"}


class Transports(Protocol):
    """Finds a transport's class, to ask what it can do, and makes one."""

    def find(self, settings: TransportSettings) -> type[Transport]:
        """The class for these settings. Raises MissingExtra."""
        ...

    def make(self, settings: TransportSettings) -> Transport:
        """A transport, not yet open. Raises MissingExtra."""
        ...


@final
class InstalledTransports:
    """Those that entry points declare, by the scheme of the URL."""

    def find(self, settings: TransportSettings) -> type[Transport]:
        """The class that is installed for the URL's scheme."""
        scheme = settings.scheme
        installed = entry_points(group=GROUP)  # reads the metadata of every package: once
        known = sorted(installed.names)
        if scheme not in installed.names:
            raise MissingExtra(scheme, known)
        try:
            return cast("type[Transport]", installed[scheme].load())
        except ModuleNotFoundError as error:
            raise MissingExtra(scheme, known, _EXTRAS.get(scheme, scheme)) from error

    def make(self, settings: TransportSettings) -> Transport:
        """A new transport of the class that is installed."""
        return self.find(settings)(settings)


@final
class MemoryTransports:
    """An in-memory broker in the place of each transport, shared by all buses that are given this object."""

    def __init__(self) -> None:
        self.brokers: dict[str, MemoryBroker] = {}

    def find(self, settings: TransportSettings) -> type[Transport]:  # noqa: ARG002 - the same for all
        """The in-memory transport, whatever the URL says."""
        from busbridge.memory import MemoryTransport  # noqa: PLC0415 - a service on brokers needs none in memory

        return MemoryTransport

    def make(self, settings: TransportSettings) -> Transport:
        """A client of the one in-memory broker that stands for this transport."""
        from busbridge.memory import MemoryBroker, MemoryTransport  # noqa: PLC0415 - as above

        return MemoryTransport(settings, self.brokers.setdefault(settings.name, MemoryBroker()))
