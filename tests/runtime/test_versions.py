"""Versions, envelopes of others, and bodies without one, at a subscription."""

from __future__ import annotations

import json

import pytest

from busbridge import Context, Contract, Service, load
from busbridge.errors import InvalidEnvelope, InvalidMessage, UnknownContract, UnknownVersion
from busbridge.runtime import Bus, MemoryTransports
from busbridge.testing._ledger import Ledger
from busbridge.transport import Entry, Status
from tests.runtime.conftest import Placed


class Sold1(Contract, name="shop.sold", version=1):
    cents: int


class Sold2(Contract, name="shop.sold", version=2, readable_by=2):
    cents: int
    currency: str


@Sold2.upcaster(from_version=1)
def with_currency(data: dict) -> dict:
    return data | {"currency": "USD"}


def envelope(contract="shop.sold", version=1, **more):
    attributes = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "elsewhere",
        "ce-type": contract,
        "ce-dataschema": f"https://schemas.example/{contract}/{version}",
        "content-type": "application/json",
    }
    return [*(attributes | more).items()]


async def outcome(config, *contracts, headers, body):
    """What the handler got, or why the message died; written as a foreign producer would."""
    service, got = Service("stock"), []
    subscription = service.subscription("reserve")
    for contract in contracts:

        @subscription.handles(contract, name=contract.__name__)
        async def handler(message, context: Context) -> None:
            got.append((message, context.message_id, context.source))

    loaded, transports = load(config), MemoryTransports()
    ledger = Ledger(loaded.subscriptions())
    async with Bus(service, loaded, transports=transports, observer=ledger) as bus:
        foreign = transports.make(loaded.transports[loaded.destinations["orders"].transport])
        (written,) = await foreign.publish([Entry(loaded.destinations["orders"], body, headers)], 5)
        assert written.status is Status.CONFIRMED
        counts = bus.counts["reserve"]
        while not (counts.handled or ledger.dead or counts.discarded):
            ledger.changed.clear()
            await ledger.changed.wait()
    return got[0] if got else ledger.dead[0].error


async def test_a_message_goes_to_the_handler_of_its_own_version(config):
    body = b'{"cents": 5, "currency": "EUR"}'
    got = await outcome(config, Sold1, Sold2, headers=envelope(version=1), body=body)
    assert got[0] == Sold1(cents=5)


async def test_else_it_is_lifted_to_the_nearest_higher_one(config):
    got = await outcome(config, Sold2, headers=envelope(version=1), body=b'{"cents": 5}')
    assert got == (Sold2(cents=5, currency="USD"), "1", "elsewhere")


async def test_newer_than_known_is_read_only_if_it_says_so(config):
    body = b'{"cents": 5, "currency": "USD", "tax": 1}'
    readable = envelope(version=3, **{"ce-readableby": "2"})
    assert (await outcome(config, Sold2, headers=readable, body=body))[0] == Sold2(cents=5, currency="USD")
    error = await outcome(config, Sold2, headers=envelope(version=3), body=body)
    assert isinstance(error, UnknownVersion)
    assert error.version == 3


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        (envelope(contract="shop.unheard-of"), b"{}", UnknownContract),
        (envelope(version=2), b"not json", InvalidMessage),
        (envelope(version=2), b"", InvalidMessage),
        (envelope(version="latest"), b"{}", UnknownVersion),
        ([("ce-specversion", "1.0"), ("ce-type", "shop.sold")], b"{}", InvalidEnvelope),
        (envelope(**{"ce-id": ""}), b'{"cents": 5, "currency": "USD"}', InvalidEnvelope),
        ([], b'{"cents": 5}', InvalidEnvelope),
    ],
)
async def test_what_can_not_be_read_is_a_dead_letter_with_its_reason(config, headers, body, error):
    assert isinstance(await outcome(config, Sold2, headers=headers, body=body), error)


@pytest.mark.parametrize("prefix", ["ce-", "ce_", "cloudEvents:", "cloudEvents_"])
async def test_every_known_prefix_is_read(config, prefix):
    headers = [(name.replace("ce-", prefix), value) for name, value in envelope()]
    assert (await outcome(config, Sold1, headers=headers, body=b'{"cents": 5}'))[0] == Sold1(cents=5)


async def test_structured_mode_is_read(config):
    event = {
        "specversion": "1.0",
        "id": "9",
        "source": "elsewhere",
        "type": "shop.sold",
        "dataschema": "https://schemas.example/shop.sold/1",
        "data": {"cents": 5},
    }
    headers = [("content-type", "application/cloudevents+json; charset=UTF-8")]
    got = await outcome(config, Sold1, headers=headers, body=json.dumps(event).encode())
    assert got == (Sold1(cents=5), "9", "elsewhere")


async def test_a_plain_body_is_read_as_the_contract_that_the_destination_assumes(config):
    config["destinations"]["orders"]["assume"] = "shop.sold@1"
    message, message_id, source = await outcome(config, Sold2, headers=[], body=b'{"cents": 5}')
    assert (message, source) == (Sold2(cents=5, currency="USD"), "orders")
    assert message_id
    assert isinstance(await outcome(config, Sold2, headers=envelope("shop.other"), body=b"{}"), UnknownContract)


async def test_one_subscription_reads_both_envelopes_of_one_contract(config):
    """The remembered decision for one kind of envelope must not be taken for the other."""
    service, got = Service("stock"), []

    @service.subscription("reserve").handles(Sold1)
    async def handler(message: Sold1) -> None:
        got.append(message.cents)

    structured = {"specversion": "1.0", "id": "9", "source": "e", "type": "shop.sold", "dataschema": "x:1"}
    loaded, transports = load(config), MemoryTransports()
    async with Bus(service, loaded, transports=transports):
        foreign = transports.make(loaded.transports["rabbit"])
        for cents in range(4):
            data = json.dumps(structured | {"data": {"cents": cents}}).encode()
            plain = json.dumps({"cents": cents + 10}).encode()
            await foreign.publish(
                [
                    Entry(loaded.destinations["orders"], data, [("content-type", "application/cloudevents+json")]),
                    Entry(loaded.destinations["orders"], plain, envelope()),
                ],
                5,
            )
        await transports.brokers["rabbit"].settled()
    assert got == [0, 10, 1, 11, 2, 12, 3, 13]


async def test_handlers_can_not_change_what_the_next_attempt_sees(config):
    class Loose(Contract, name="shop.loose", version=1, frozen=False):
        parts: list[str]

    service, seen = Service("stock"), []

    @service.subscription("reserve").handles(Loose, Placed)
    async def handler(message: Loose | Placed) -> None:
        assert isinstance(message, Loose)
        seen.append(list(message.parts))
        message.parts.append("changed")
        if len(seen) < 3:
            raise RuntimeError

    loaded, transports = load(config), MemoryTransports()
    async with Bus(service, loaded, transports=transports):
        foreign = transports.make(loaded.transports["rabbit"])
        entry = Entry(loaded.destinations["orders"], b'{"parts": ["a"]}', envelope("shop.loose"))
        await foreign.publish([entry], 5)
        await transports.brokers["rabbit"].settled()
    assert seen == [["a"]] * 3
