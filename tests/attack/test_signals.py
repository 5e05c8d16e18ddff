"""Signals, while handlers hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

PROGRAM = textwrap.dedent("""
    import asyncio, logging, time
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


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_second_signal_ends_the_process_at_once(handler, signum):
    """The first waits for the handler, 25 s long by default; the second does not, not even for a thread."""
    head, hang = HANDLERS[handler]
    program = PROGRAM.replace("HANDLER", head).replace("HANG", hang)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, signum)
        while "stopping; a second one" not in process.stderr.readline():
            assert process.poll() is None
        before = time.monotonic()
        os.kill(process.pid, signum)
        process.wait(20)
        assert time.monotonic() - before < 15
        assert process.returncode == -signum
    finally:
        process.kill()
        process.communicate()
