"""A stop ends, whatever handlers do, and within one grace."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager, suppress

import pytest

from busbridge import Bus, Service, load
from busbridge.runtime import MemoryTransports, serve
from tests.attack.helpers import ENVELOPE, at_work
from tests.runtime.conftest import Placed


async def begin(bench, begun, *ids):
    """Delivers, and returns when a handler has begun."""
    delivering = [
        asyncio.ensure_future(bench.deliver([*(ENVELOPE | {"ce-id": each}).items()])) for each in (ids or ("1",))
    ]
    await begun.wait()
    return delivering


async def cancelled(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_handler_that_swallows_its_cancellation_does_not_keep_the_bus_open(config):
    config["stop"]["grace"] = "10ms"
    config["services"]["stock"]["subscriptions"]["reserve"]["concurrency"] = 1
    service, begun, runs = Service("stock"), asyncio.Event(), []

    @service.subscription("reserve").handles(Placed)
    async def handler(order: Placed) -> None:
        runs.append(order)
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with asyncio.timeout(20):
        async with at_work(service, config) as bench:
            delivering = await begin(bench, begun, "1", "2", "3")
    await cancelled(delivering)
    assert len(runs) == 1, "nothing begins after the grace"


async def test_an_error_that_a_cancelled_handler_raises_is_no_failed_attempt(config):
    """Cleaning up may fail; the message is given back, neither tried again nor buried."""
    config["stop"]["grace"] = "10ms"
    service, begun, runs = Service("stock"), asyncio.Event(), []

    @service.subscription("reserve").handles(Placed)
    async def handler(order: Placed) -> None:
        runs.append(order)
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("the connection is gone") from None

    async with asyncio.timeout(20):
        async with at_work(service, config) as bench:
            delivering = await begin(bench, begun)
    await cancelled(delivering)
    assert len(runs) == 1
    assert (bench.counts.released, bench.counts.repeated, bench.counts.dead.total()) == (1, 0, 0)


async def test_what_had_not_begun_is_counted_as_released(config):
    config["stop"]["grace"] = "10ms"
    config["services"]["stock"]["subscriptions"]["reserve"]["concurrency"] = 1
    service, begun = Service("stock"), asyncio.Event()

    @service.subscription("reserve").handles(Placed)
    async def handler(_: Placed) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(20):
        async with at_work(service, config) as bench:
            delivering = await begin(bench, begun, "1", "2", "3")
    await cancelled(delivering)
    assert bench.counts.released == 3


async def test_the_grace_is_one_for_all_services_of_a_process(config):
    """Cut off together: what one handler does then can wait for the others to be cut off as well."""
    names = ["stock", "second", "third"]
    config["routes"]["shop.placed"] = {"to": "events"}
    config["services"] = {each: {"subscriptions": {"reserve": {"from": "events"}}} for each in names}
    config["stop"]["grace"] = "200ms"
    begun, cut_off, together = asyncio.Barrier(len(names) + 1), asyncio.Barrier(len(names)), []

    async def handler(order: Placed) -> None:
        await begun.wait()
        try:
            await asyncio.Event().wait()
        finally:
            await cut_off.wait()
            together.append(order)

    services = [Service(each) for each in names]
    for each in services:
        each.subscription("reserve").handles(Placed)(handler)
    loaded, transports, stop = load(config), MemoryTransports(), asyncio.Event()
    async with asyncio.timeout(30):
        serving = asyncio.ensure_future(serve(services, loaded, transports=transports, stop=stop))
        async with Bus(Service("outside", publishes=[Placed]), loaded, transports=transports) as bus:
            await bus.publish(Placed(order_id="7"))
            await begun.wait()
            stop.set()
            await serving
    assert len(together) == len(names)


async def test_a_lifespan_is_left_by_the_task_that_entered_it(config):
    """A task group or a cancel scope in it, of asyncio or anyio, can be left by no other."""
    tasks = []

    @asynccontextmanager
    async def lifespan():
        tasks.append(asyncio.current_task())
        yield
        tasks.append(asyncio.current_task())

    service, stop = Service("stock", lifespan=lifespan), asyncio.Event()
    service.subscription("reserve").handles(Placed)(lambda order: None)
    asyncio.get_running_loop().call_later(0.2, stop.set)
    async with asyncio.timeout(20):
        await serve([service], load(config), transports=MemoryTransports(), stop=stop)
    entered, left = tasks
    assert entered is left


async def test_a_stop_while_opening_undoes_what_was_opened(config):
    opening, left, stop = asyncio.Event(), [], asyncio.Event()

    @asynccontextmanager
    async def done():
        try:
            yield
        finally:
            left.append("first")

    @asynccontextmanager
    async def slow():
        opening.set()
        await asyncio.Event().wait()
        yield

    config["services"]["second"] = config["services"]["stock"]
    services = [Service("stock", lifespan=done), Service("second", lifespan=slow)]
    for each in services:
        each.subscription("reserve").handles(Placed)(lambda order: None)
    async with asyncio.timeout(20):
        serving = asyncio.ensure_future(serve(services, load(config), transports=MemoryTransports(), stop=stop))
        await opening.wait()
        stop.set()
        await serving
    assert left == ["first"]


async def test_one_service_that_can_not_open_ends_the_others_and_is_told(config):
    left = []

    @asynccontextmanager
    async def fine():
        try:
            yield
        finally:
            left.append("first")

    @asynccontextmanager
    async def broken():
        raise LookupError("no such shelf")
        yield

    config["services"]["second"] = config["services"]["stock"]
    services = [Service("stock", lifespan=fine), Service("second", lifespan=broken)]
    for each in services:
        each.subscription("reserve").handles(Placed)(lambda order: None)
    with pytest.raises(LookupError, match="no such shelf"):
        async with asyncio.timeout(20):
            await serve(services, load(config), transports=MemoryTransports(), stop=asyncio.Event())
    assert left == ["first"]


ENDS = textwrap.dedent("""
    import asyncio, logging, sys
    from busbridge import Bus, Contract, Service, load
    from busbridge.runtime import MemoryTransports, made_up, serve

    class Tick(Contract, name="test.tick", version=1, key="number"):
        number: int

    service = Service("clock")
    outside = Service("outside", publishes=[Tick])

    @service.subscription("ticks").handles(Tick)
    ASYNC def tick(_: Tick) -> None:
        ENDING

    async def main():
        config, transports = made_up([service, outside]), MemoryTransports()
        if len(sys.argv) > 1:
            config["services"]["clock"]["store"] = {"url": sys.argv[1], "upgrade": "true"}
        config = load(config)
        serving = asyncio.ensure_future(serve([service], config, transports=transports))
        async with Bus(outside, config, transports=transports) as bus:
            await bus.publish_many(Tick(number=number) for number in range(40))
        await serving

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main())
""")


@pytest.mark.parametrize("stored", [False, True], ids=["no store", "store"])
@pytest.mark.parametrize("head", ["async", ""], ids=["async", "plain"])
@pytest.mark.parametrize(("ending", "code"), [("sys.exit(3)", 3), ("raise KeyboardInterrupt", -signal.SIGINT)])
def test_a_handler_that_ends_the_process_ends_it_at_once(ending, code, head, stored, tmp_path):
    """Not after the grace: nothing is at work that it could be for."""
    program = ENDS.replace("ASYNC ", f"{head} ".lstrip()).replace("ENDING", ending)
    store = [f"sqlite:///{tmp_path}/clock.db"] if stored else []
    done = subprocess.run(
        [sys.executable, "-c", program, *store], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == code, done.stderr
    assert "cancelled after" not in done.stderr
