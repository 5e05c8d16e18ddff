"""The processes of the shop: started, killed, started again, and stopped in the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from busbridge.errors import BusbridgeError
from examples.shop.demo.chaos.files import serving_mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from random import Random
    from types import TracebackType
    from typing import Self

_STOPPED_WITHIN: Final = 60.0
_LAST_LINES: Final = 15
_KILLED_WHILE_STARTING: Final = 0.1


class Collapsed(BusbridgeError):
    """A process ended that nobody had killed, or did not end when it was told to."""

    def __init__(self, service: str, code: int | None, log: str) -> None:
        self.service = service
        self.code = code
        end = "did not start or stop in time" if code is None else f"ended by itself with {code}"
        super().__init__(f"a process of {service} {end}; its log ends with\n{log}")


class Fleet:
    """So many processes of each service. Leaving the block kills what is left of them."""

    def __init__(self, crew: Mapping[str, int], folder: Path, arguments: Sequence[str]) -> None:
        self.killed: Counter[str] = Counter()
        self._folder = folder
        self._arguments = arguments
        self._processes = [(name, self._started(name)) for name, count in crew.items() for _ in range(count)]

    def wait_until_serving(self, seconds: float) -> None:
        """Returns when all are at work. Raises Collapsed for one that ended, or was not in time."""
        deadline = time.monotonic() + seconds
        while starting := [name for name, process in self._processes if not self._is_serving(process)]:
            self.check()
            if time.monotonic() > deadline:
                raise Collapsed(starting[0], None, self._log(starting[0]))
            time.sleep(0.1)

    def kill_one(self, random: Random) -> None:
        """SIGKILL to any of them; another takes its place at once. Raises Collapsed for one that died before.

        One that has not begun to serve is mostly spared, or on a slow machine none ever would.
        """
        self.check()
        index = random.randrange(len(self._processes))
        name, process = self._processes[index]
        if not self._is_serving(process) and random.random() > _KILLED_WHILE_STARTING:
            return
        process.kill()
        process.wait()
        self.killed[name] += 1
        self._processes[index] = (name, self._started(name))

    def check(self) -> None:
        """Raises Collapsed for one that ended by itself."""
        for name, process in self._processes:
            if process.poll() is not None:
                raise Collapsed(name, process.returncode, self._log(name))

    def stop(self) -> None:
        """SIGTERM to all. Raises Collapsed for one that does not end, or not well."""
        for _, process in self._processes:
            process.send_signal(signal.SIGTERM)
        for name, process in self._processes:
            try:
                code: int | None = process.wait(_STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                code = None
            if code != 0:
                raise Collapsed(name, code, self._log(name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for _, process in self._processes:
            process.kill()
            process.wait()

    def _is_serving(self, process: subprocess.Popen[bytes]) -> bool:
        return serving_mark(self._folder, process.pid).exists()

    def _started(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "examples.shop.demo.chaos.worker", str(self._folder), name, *self._arguments]
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _log(self, name: str) -> str:
        text = (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-_LAST_LINES:])
