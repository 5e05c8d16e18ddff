"""Services until they are told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from busbridge import Bus, Service, load
from busbridge.errors import PositionLost
from busbridge.runtime import MemoryTransports, serve
from tests.runtime.conftest import Placed


async def test_serve_stops_when_told(config):
    service = Service("stock")
    handled = asyncio.Event()

    @service.subscription("reserve").handles(Placed)
    async def handler(_: Placed) -> None:
        handled.set()

    transports, stop = MemoryTransports(), asyncio.Event()
    loaded = load(config)
    async with asyncio.timeout(10):
        serving = asyncio.ensure_future(serve([service], loaded, transports=transports, stop=stop))
        async with Bus(Service("outside", publishes=[Placed]), loaded, transports=transports) as bus:
            await bus.publish(Placed(order_id="7"))
            await handled.wait()
            stop.set()
            await serving


async def test_a_subscription_that_can_not_go_on_ends_serve_with_its_error(config, monkeypatch):
    service = Service("stock")
    service.subscription("reserve").handles(Placed)(lambda order: None)
    lost = PositionLost("reserve", "orders", 0, committed=10, low=500, high=600)

    async def receive(_: object) -> None:
        raise lost

    monkeypatch.setattr("busbridge.memory._source.MemorySource.receive", receive)
    with pytest.raises(PositionLost, match="500 to 600"):
        async with asyncio.timeout(10):
            await serve([service], load(config), transports=MemoryTransports(), stop=asyncio.Event())


PROGRAM = textwrap.dedent("""
    import asyncio, logging
    from busbridge import Contract, Service, load
    from busbridge.runtime import MemoryTransports, made_up, serve

    class Tick(Contract, name="test.tick", version=1):
        number: int

    service = Service("clock")

    @service.subscription("ticks").handles(Tick)
    async def tick(_: Tick) -> None: ...

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(serve([service], load(made_up([service])), transports=MemoryTransports()))
    print("left", flush=True)
""")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_process_gracefully(signum):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        while "serving: clock" not in process.stderr.readline():
            assert process.poll() is None
        os.kill(process.pid, signum)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (0, "left\n")
    assert f"{signum.name}: stopping" in err
