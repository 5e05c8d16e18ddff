"""The bus for synchronous code."""

from __future__ import annotations

import os
import threading

import pytest

from busbridge import BlockingBus, ClosedError, Service
from busbridge.runtime import MemoryTransports
from tests.runtime.conftest import Placed

PUBLISHER = Service("outside", publishes=[Placed])


def make(config):
    return BlockingBus(PUBLISHER, config, transports=MemoryTransports())


def test_it_opens_on_first_use_and_publishes_from_any_thread(config):
    bus = make(config)
    assert repr(bus) == "<BlockingBus of 'outside', not yet open>"
    ids = []
    threads = [threading.Thread(target=lambda: ids.append(bus.publish(Placed(order_id="7")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8
    assert len(bus.publish_many([Placed(order_id="8"), Placed(order_id="9")])) == 2
    bus.close()


def test_close_ends_its_thread_and_is_final(config):
    before = threading.active_count()
    with make(config) as bus:
        bus.publish(Placed(order_id="7"))
    bus.close()
    assert threading.active_count() == before
    with pytest.raises(ClosedError):
        bus.publish(Placed(order_id="7"))


def test_a_forked_child_opens_a_bus_of_its_own(config):
    """As under gunicorn's preload: made and used before the fork, used again after it."""
    with make(config) as bus:
        bus.publish(Placed(order_id="7"))
        child = os.fork()
        if child == 0:
            os._exit(0 if bus.publish(Placed(order_id="8")) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_used_in_its_own_thread_it_says_so_instead_of_waiting_for_itself(config):
    with make(config) as bus:

        def messages():
            bus.publish(Placed(order_id="7"))
            yield Placed(order_id="8")

        with pytest.raises(RuntimeError, match="give a list of what it yields"):
            bus.publish_many(messages())
        assert len(bus.publish_many(list(messages()))) == 1


def test_errors_come_to_the_caller(config):
    with make(config) as bus, pytest.raises(Exception, match="choose another"):
        bus.publish(Placed(order_id="7"), headers={"traceparent": "x"})
