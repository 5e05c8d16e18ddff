"""The bus for synchronous code, where threads, forks and interrupts meet."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

from busbridge import BlockingBus, ClosedError, Service
from busbridge.runtime import MemoryTransports
from tests.runtime.conftest import Placed

PUBLISHER = Service("outside", publishes=[Placed])


def make(config, transports=None):
    return BlockingBus(PUBLISHER, config, transports=transports or MemoryTransports())


def run(body, seconds=20):
    """A program of its own; its exit must not hang. SIGINT reaches it, also where the tests run in a background job."""
    head = """
        import os, signal, sys, threading, time
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from busbridge import BlockingBus, Contract, Service
        from busbridge.runtime import MemoryTransports, made_up

        class Tick(Contract, name="test.tick", version=1):
            number: int

        service = Service("clock", publishes=[Tick])
        bus = BlockingBus(service, made_up([service]), transports=MemoryTransports())
    """
    text = textwrap.dedent(head) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, timeout=seconds, check=False
    )


def test_a_forked_child_that_exits_normally_leaves_the_parents_bus_alone():
    """gunicorn's preload: used in the master, forked, and the worker ends by sys.exit, with its exit handlers."""
    done = run("""
        bus.publish(Tick(number=1))
        child = os.fork()
        if child == 0:
            sys.exit(0)
        limit = time.monotonic() + 10
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > limit:
                os.kill(child, signal.SIGKILL)
                sys.exit("the child hangs")
            time.sleep(0.01)
        bus.publish(Tick(number=2))
        print("fine")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


def test_the_end_of_the_process_closes_the_bus():
    done = run("""
        bus.publish(Tick(number=1))
        portal = bus._portal
        import atexit
        sys.exit(0)
    """)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_publish_that_meets_close_ends_with_closed_error_or_success(config):
    """Never hangs, whichever comes first."""
    for _ in range(20):
        bus = make(config)
        bus.publish(Placed(order_id="0"))
        ends: list[object] = []

        def work(bus=bus, ends=ends):
            try:
                while True:
                    bus.publish(Placed(order_id="7"))
            except ClosedError as error:
                ends.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for each in threads:
            each.start()
        time.sleep(0.005)
        bus.close()
        for each in threads:
            each.join(10)
        assert len(ends) == 4


def test_close_ends_a_publish_many_that_goes_on_for_ever(config):
    bus = make(config)
    ends, begun = [], threading.Event()

    def endless():
        while True:
            begun.set()
            yield Placed(order_id="7")

    def work():
        try:
            bus.publish_many(endless())
        except ClosedError as error:
            ends.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    begun.wait()
    bus.close()
    thread.join(10)
    assert len(ends) == 1


def test_an_interrupt_while_opening_undoes_the_opening():
    """Ctrl-C in a script whose broker does not answer."""
    done = run("""
        import asyncio
        left = []
        async def wait(self):
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                left.append("undone")
        from busbridge.memory import MemoryTransport
        MemoryTransport.open = wait
        try:
            bus.publish(Tick(number=1))
        except KeyboardInterrupt:
            print(left, threading.active_count())
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "['undone'] 1\n", "")


def test_a_bus_that_could_not_open_is_tried_again_at_the_next_use(config, monkeypatch):
    bus, before = make(config), threading.active_count()
    with monkeypatch.context() as broken:
        broken.setattr("busbridge.memory.MemoryTransport.open", fails)
        with pytest.raises(ClosedError, match="broker"):
            bus.publish(Placed(order_id="7"))
    assert threading.active_count() == before
    bus.publish(Placed(order_id="7"))
    bus.close()


async def fails(_):
    raise ClosedError("the broker")


def test_a_bus_that_nobody_holds_is_forgotten(config):
    """What happens at a fork must not keep every bus that ever was."""
    bus = make(config)
    gone = weakref.ref(bus)
    del bus
    gc.collect()
    assert gone() is None


def test_a_forked_child_of_a_closed_bus_finds_it_closed(config):
    bus = make(config)
    bus.close()
    child = os.fork()
    if child == 0:
        try:
            bus.publish(Placed(order_id="7"))
        except ClosedError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
