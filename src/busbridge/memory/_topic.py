"""A topic: copies each message into the mailbox of every subscription whose bindings take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.memory._patterns import takes

if TYPE_CHECKING:
    from busbridge.memory._mailbox import Mailbox
    from busbridge.routing import Binding
    from busbridge.transport import Headers


@final
class Topic:
    """Subscriptions by their bindings. What a routing key leads to is remembered until a subscription comes or goes."""

    def __init__(self) -> None:
        self.mailboxes: dict[str, Mailbox] = {}
        self._bindings: dict[str, tuple[Binding, ...]] = {}
        self._by_key: dict[str, list[Mailbox]] = {}

    def bind(self, mailbox: Mailbox, bindings: tuple[Binding, ...]) -> None:
        """Adds a subscription, or bindings to the one of that name."""
        self.mailboxes[mailbox.name] = mailbox
        known = self._bindings.get(mailbox.name, ())
        self._bindings[mailbox.name] = known + tuple(each for each in bindings if each not in known)
        self._by_key.clear()

    def unbind(self, name: str) -> None:
        """Removes a subscription, with what waits for it."""
        self.mailboxes.pop(name, None)
        self._bindings.pop(name, None)
        self._by_key.clear()

    def targets(self, routing_key: str, headers: Headers) -> list[Mailbox]:
        """The subscriptions that get a copy, each once."""
        if (known := self._by_key.get(routing_key)) is not None:
            return known
        found = [
            self.mailboxes[name] for name, bindings in self._bindings.items() if takes(bindings, routing_key, headers)
        ]
        if not any(binding.headers for bindings in self._bindings.values() for binding in bindings):
            self._by_key[routing_key] = found
        return found
