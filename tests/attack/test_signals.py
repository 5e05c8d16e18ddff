"""Signals, while handlers hang."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager

import pytest

from busbridge.runtime._serve import StopSignals

PROGRAM = textwrap.dedent("""
    import asyncio, logging, signal, time
    from busbridge import Bus, Contract, Service, load
    from busbridge.runtime import MemoryTransports, made_up, serve

    class Tick(Contract, name="test.tick", version=1):
        number: int

    service = Service("clock")
    outside = Service("outside", publishes=[Tick])

    @service.subscription("ticks").handles(Tick)
    HANDLER
        print("begun", flush=True)
        HANG

    async def main():
        config, transports = load(made_up([service, outside])), MemoryTransports()
        serving = asyncio.ensure_future(serve([service], config, transports=transports))
        async with Bus(outside, config, transports=transports) as bus:
            await bus.publish(Tick(number=1))
        await serving

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main())
""")
HANDLERS = {
    "async": ("async def tick(_: Tick) -> None:", "await asyncio.sleep(60)"),
    "plain": ("def tick(_: Tick) -> None:", "time.sleep(60)"),
}
BLOCKING = {
    "a call that waits": "time.sleep(60)",
    "a loop that never ends": "while True: pass",
}
SHORTLY = """while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL: time.sleep(0.01)"""


@contextmanager
def begun(head, hang):
    """The process, once its handler is called."""
    program = PROGRAM.replace("HANDLER", head).replace("HANG", hang)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_second_signal_ends_the_process_at_once(handler, signum):
    """The first waits for the handler, 25 s long by default; the second does not, not even for a thread."""
    with begun(*HANDLERS[handler]) as process:
        os.kill(process.pid, signum)
        while "stopping; a second one" not in process.stderr.readline():
            assert process.poll() is None
        before = time.monotonic()
        os.kill(process.pid, signum)
        process.wait(20)
        assert time.monotonic() - before < 15
        assert process.returncode == -signum


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hang", BLOCKING.values(), ids=BLOCKING)
def test_a_handler_that_blocks_the_event_loop_keeps_no_signal_from_ending_the_process(hang, signum):
    with begun("async def tick(_: Tick) -> None:", hang) as process:
        deadline = time.monotonic() + 15
        while process.poll() is None:  # the first has no sign that could be waited for: nothing else runs
            assert time.monotonic() < deadline
            os.kill(process.pid, signum)
            time.sleep(0.2)
        assert process.returncode == -signum


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_came_while_the_event_loop_was_blocked_is_graceful(signum):
    with begun("async def tick(_: Tick) -> None:", SHORTLY) as process:
        os.kill(process.pid, signum)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert told.count("stopping; a second one") == 1
    assert "handled=1" in told


async def test_what_handled_signals_before_handles_them_afterwards():
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(signals.stopped.wait(), 10)
    assert {each: signal.getsignal(each) for each in before} == before


async def test_another_thread_than_the_main_one_is_told_that_it_hears_no_signals():
    async def enter() -> None:
        StopSignals().__enter__()

    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(asyncio.run, enter())
