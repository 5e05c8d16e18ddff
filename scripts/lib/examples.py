"""Executes the examples of documents: `examples.py [--brokers] README.md docs`.

A page has a folder of its own, in which its fenced blocks are taken in order:

    ```python title="inventory.py"             a file, written there; a later one of the same name replaces it
    ```python                                  a script, run there
    ```sh title="run"                          commands, run there; `run, exits 1` where they must fail
    ```sh title="run in a second terminal"     commands that go on beside what follows, until SIGTERM at the page's end
    ```sh title="run on brokers"               the same as the two before, but only with --brokers
    ```text title="output"                     what the block before printed; `...` stands for anything. Of commands in
                                               a second terminal it is waited for

Brokers are where RABBITMQ_URL and KAFKA_URL say. Other blocks are only shown. The first fault of each page is told.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECONDS: Final = 60
"""For one block."""

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w+)(?: +title=\"(?P<title>[^\"]*)\")?(?P<rest>.*)$")
_FILE: Final = re.compile(r"[\w./-]+\.\w+")
_RUN: Final = re.compile(r"run(?P<brokers> on brokers)?(?P<beside> in a second terminal)?(?:, exits (?P<code>\d+))?")


class ExampleFailed(Exception):
    """An example does not do what its page says."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str

    def failed(self, problem: str) -> ExampleFailed:
        return ExampleFailed(f"{self.page}:{self.line}: {problem}")


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    opened: re.Match[str] | None = None
    begin, lines = 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is None:
            opened, begin, lines = _FENCE.match(line), number, []
        elif line == f"{opened['indent']}```":
            text = textwrap.dedent("\n".join(lines)) + "\n"
            yield Block(page, begin, opened["language"], opened["title"], text)
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        raise ExampleFailed(f"{page}:{begin}: the block has no end")


class Command:
    """A process that a block began, in a process group of its own; what it prints goes to a file."""

    def __init__(self, block: Block, arguments: list[str], folder: Path, expected: int = 0) -> None:
        self._block = block
        self._expected = expected
        self._output = folder / f".{block.page.stem}-{block.line}.output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                arguments,
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def ended(self) -> str:
        """Waits for its end; returns what it printed. Whatever happens, nothing of it is left."""
        try:
            code = self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise self._block.failed(f"it did not end within {SECONDS} s, and printed:\n{self.printed}") from None
        finally:
            self._kill()
        if code != self._expected:
            raise self._block.failed(f"it exited with {code}, not {self._expected}, and printed:\n{self.printed}")
        return self.printed

    def await_output(self, shown: Block) -> None:
        """Waits until it has printed what a block shows."""
        deadline = time.monotonic() + SECONDS
        while not is_like(self.printed, shown.text):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise shown.failed(f"this was printed instead:\n{self.printed}")
            time.sleep(0.05)

    def stop(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """At the page's end: asks it to end, and waits until it did. After an error it is just killed."""
        if error is not None:
            self._kill()
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        self.ended()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Folder:
    """What the blocks of one page are executed in."""

    def __init__(self, path: Path, stack: ExitStack, *, brokers: bool) -> None:
        self._path = path
        self._stack = stack
        self._brokers = brokers
        self._last: Command | None = None

    def execute(self, block: Block) -> None:
        """Does with a block what its title asks for."""
        run = _RUN.fullmatch(block.title or "")
        if run and block.language == "sh":
            self._command(block, run)
        elif block.title == "output" and block.language == "text":
            self._compare(block)
        elif block.title and _FILE.fullmatch(block.title):
            self._write(block.title, block.text)
        elif block.title:
            raise block.failed(f"nothing is known to be done with the title {block.title!r}")
        elif block.language == "python":
            self._script(block)

    def _write(self, name: str, text: str) -> None:
        file = self._path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def _script(self, block: Block) -> None:
        name = f"{block.page.stem}_example.py"
        self._write(name, "\n" * block.line + block.text)  # so that a traceback names the line of the page
        self._last = Command(block, [sys.executable, name], self._path)
        self._last.ended()

    def _command(self, block: Block, run: re.Match[str]) -> None:
        self._last = None
        if run["brokers"] and not self._brokers:
            return
        arguments = ["bash", "-euo", "pipefail", "-c", block.text]
        self._last = Command(block, arguments, self._path, int(run["code"] or 0))
        if run["beside"]:
            self._stack.push(self._last.stop)
        else:
            self._last.ended()

    def _compare(self, block: Block) -> None:
        if self._last is not None:
            self._last.await_output(block)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BUSBRIDGE_", "PYTHON"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def is_like(printed: str, shown: str) -> bool:
    """Whether a page shows what was printed: `...` stands for anything, and how wide a gap is does not matter."""
    pattern = ".*".join(map(re.escape, _plain(shown).split("...")))
    return re.fullmatch(pattern, _plain(printed), re.DOTALL) is not None


def _plain(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def fault(page: Path, *, brokers: bool) -> ExampleFailed | None:
    """Executes a page; returns the first thing that is wrong with it."""
    try:
        with tempfile.TemporaryDirectory() as path, ExitStack() as stack:
            folder = Folder(Path(path), stack, brokers=brokers)
            for block in blocks(page):
                folder.execute(block)
    except ExampleFailed as error:
        return error
    return None


def pages(paths: Iterable[Path]) -> Iterator[Path]:
    """The pages among `paths`, and in the folders among them."""
    for path in paths:
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def main() -> int:
    parser = argparse.ArgumentParser(description="Executes the examples of documents.")
    parser.add_argument("--brokers", action="store_true", help="also those that need brokers")
    parser.add_argument("paths", nargs="+", type=Path)
    arguments = parser.parse_args()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [*pool.map(partial(fault, brokers=arguments.brokers), pages(arguments.paths))]
    for each in filter(None, faults):
        print(each, file=sys.stderr)
    return int(any(faults))


if __name__ == "__main__":
    sys.exit(main())
