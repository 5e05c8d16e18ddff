"""Attempts that wait for a handler that was renamed."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest

from busbridge import Bus, Contract, Retry, Service
from busbridge.cli import main
from busbridge.runtime import MemoryTransports

CONFIG = """\
transports: {broker: {url: "memory://"}}
destinations: {orders: {kind: queue, transport: broker}}
routes: {shop.sold: {to: orders}}
services:
  shop:
    store: {url: "sqlite:///shop.db"}
    subscriptions: {work: {from: orders}}
"""


class Sold(Contract, name="shop.sold", version=1, key="order_id"):
    order_id: str


def shop(name):
    service = Service("shop", publishes=[Sold])

    @service.subscription("work").handles(Sold, name=name)
    async def handle(_):
        raise Retry(after=3600)

    return service


@pytest.fixture
def transports(tmp_path, monkeypatch):
    (tmp_path / "busbridge.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return MemoryTransports()


async def fail_once(name, transports):
    async with Bus(shop(name), transports=transports) as bus:
        await bus.publish(Sold(order_id="1"))
        await transports.brokers["broker"].settled()
        await bus.publish(Sold(order_id="2"), delay=3600)


async def test_a_start_warns_of_attempts_whose_handler_is_gone_and_of_no_others(transports, caplog):
    await fail_once("old", transports)
    with caplog.at_level(logging.WARNING, "busbridge.store"):
        caplog.clear()
        async with Bus(shop("old"), transports=transports):
            pass
        assert caplog.messages == []
        async with Bus(shop("new"), transports=transports):
            pass
    (told,) = caplog.messages
    assert told.startswith("attempts wait (1) for handler shop.work/old, which the code does not have")


async def test_the_command_lists_what_waits_and_what_nobody_takes(transports, monkeypatch, capsys, tmp_path):
    await fail_once("old", transports)
    (tmp_path / "renamed_shop.py").write_text("from tests.runtime.test_strangers import shop\nservice = shop('new')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "argv", ["busbridge", "store", "timers", "renamed_shop:service"])
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(main)
    assert not ended.value.code
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["shop.work/old", "1"] in [line[:2] for line in lines if line[-3:] == ["no", "such", "handler"]]
    assert ["shop:publish", "1"] in [line[:2] for line in lines]
