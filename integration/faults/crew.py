"""The processes of a service: each that dies is replaced."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from integration.effects.child import Job

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 60


@final
class Crew:
    """Processes of `integration.effects.child`. Entered, all are there; left, none."""

    def __init__(self, job: Job, folder: Path, size: int) -> None:
        self.deaths = 0
        """How many were killed."""
        self._job = json.dumps(asdict(job))
        self._folder = folder
        self.size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        self._replacing = threading.Lock()

    async def __aenter__(self) -> Crew:
        self._processes = [self._start() for _ in range(self.size)]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for each in self._processes:
            each.kill()
            each.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "workers.log").open("ab") as log:
            command = [sys.executable, "-m", "integration.effects.child", self._job]
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        """Kills one, and starts another in its place. From any thread."""
        with self._replacing:
            self._processes[number].kill()
            self._processes[number].wait()
            self._processes[number] = self._start()
            self.deaths += 1

    def freeze(self, number: int) -> None:
        """Stops one in the middle of whatever it does."""
        self._processes[number].send_signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """Lets it go on."""
        self._processes[number].send_signal(signal.SIGCONT)

    def check(self) -> None:
        """Raises AssertionError if one has ended by itself."""
        with self._replacing:
            ended = [each.returncode for each in self._processes if each.poll() is not None]
        assert not ended, f"workers ended by themselves, with {ended}:\n{self.last_words()}"

    async def stop(self) -> None:
        """Stops all gracefully. Raises AssertionError if one does not end well."""
        self.check()
        for each in self._processes:
            each.send_signal(signal.SIGTERM)
        codes = [await asyncio.to_thread(each.wait, STOP_SECONDS) for each in self._processes]
        well = {0, -signal.SIGTERM}  # by the signal itself: it had only just been started
        assert well.issuperset(codes), f"workers that were asked to stop ended with {codes}:\n{self.last_words()}"

    def last_words(self) -> str:
        """What they have written last."""
        log = self._folder / "workers.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""
