"""From headers to a reader and handlers: with the envelope or without, what is remembered, and what is not."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from busbridge import Contract, InvalidMessage, Registry, Service, load
from busbridge.runtime.handling import _dispatch
from busbridge.runtime.handling._dispatch import Dispatcher
from busbridge.transport import Delivery, Session
from tests.attack.helpers import ENVELOPE
from tests.runtime.conftest import Placed

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADERS = [*ENVELOPE.items()]


class Other(Contract, name="shop.other", version=1):
    order_id: str


class Counting(Delivery):
    """Counts how often its headers are asked for."""

    __slots__ = ("_headers", "asked")

    def __init__(self, headers: Sequence[tuple[str, object]], body: bytes | None = b"{}") -> None:
        self.asked = 0
        super().__init__(Session(), body, headers, None)

    @property
    def headers(self):
        self.asked += 1
        return self._headers

    @headers.setter
    def headers(self, headers):
        self._headers = headers


@pytest.fixture
def dispatcher(config):
    service = Service("stock")
    reserve = service.subscription("reserve")
    reserve.handles(Placed, name="placed")(lambda _: None)
    reserve.handles(Other, name="other")(lambda _: None)
    (plan,) = load(config).subscriptions()
    return Dispatcher(plan, reserve.handlers, Registry([Placed, Other]), ThreadPoolExecutor(1), "ce-")


def names(choice):
    return [bound.name for bound in choice.handlers]


def test_with_and_without_the_envelope_the_choice_is_the_same(dispatcher):
    for _ in range(2):  # looked at, then remembered
        choice, body = dispatcher.choose(Counting(HEADERS))
        again, same, event = dispatcher.decode(Counting(HEADERS))
        assert choice is again
        assert names(choice) == ["reserve/placed"]
        assert body == same == b"{}"
        assert (event.id, event.source) == (ENVELOPE["ce-id"], ENVELOPE["ce-source"])


def test_a_message_is_decoded_with_one_look_at_its_headers(dispatcher):
    for _ in range(2):
        delivery = Counting(HEADERS)
        dispatcher.decode(delivery)
        assert delivery.asked == 1


@pytest.mark.parametrize("way", ["choose", "decode"])
def test_a_structured_event_is_looked_into_each_time(dispatcher, way):
    """Its headers say nothing of its contract."""
    whole = {"specversion": "1.0", "id": "1", "source": "checkout", "data": {"order_id": "7"}}
    for kind, name in (("shop.placed", "placed"), ("shop.other", "other"), ("shop.placed", "placed")):
        body = json.dumps(whole | {"type": kind, "dataschema": f"x/{kind}/1"}).encode()
        choice, data, *_ = getattr(dispatcher, way)(Counting([("content-type", "application/cloudevents+json")], body))
        assert names(choice) == [f"reserve/{name}"]
        assert json.loads(data) == {"order_id": "7"}


@pytest.mark.parametrize("way", ["choose", "decode"])
def test_a_message_without_a_body_is_none_that_can_be_read(dispatcher, way):
    for _ in range(2):
        with pytest.raises(InvalidMessage, match="no body"):
            getattr(dispatcher, way)(Counting(HEADERS, None))


def test_what_is_remembered_is_bounded(dispatcher, monkeypatch):
    """A foreign producer may name its schema in any number of ways."""
    monkeypatch.setattr(_dispatch, "_REMEMBERED", 3)
    for number in range(20):
        headers = [*(ENVELOPE | {"ce-dataschema": f"http://{number}.example.org/1"}).items()]
        assert names(dispatcher.choose(Counting(headers))[0]) == ["reserve/placed"]
        assert names(dispatcher.decode(Counting(headers))[0]) == ["reserve/placed"]
    assert len(dispatcher._by_headers) <= 3
    assert len(dispatcher._by_contract) <= 3
