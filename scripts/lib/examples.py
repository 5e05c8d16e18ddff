"""Executes the examples of documents: `examples.py [--brokers] README.md docs`.

A page has a folder of its own, in which its fenced blocks are taken in order:

    ```python title="inventory.py"             a file, written there; a later one of the same name replaces it
    ```python                                  a script, run there
    ```sh title="run"                          commands, run there; `run, exits 1` where they must fail
    ```sh title="run in a second terminal"     commands that go on beside what follows, until SIGTERM at the page's end
    ```sh title="run on brokers"               the same as the two before, but only with --brokers
    ```text title="output"                     what the block before printed; `...` stands for anything

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
from contextlib import ExitStack
from dataclasses import dataclass
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


class Folder:
    """What the blocks of one page are executed in."""

    def __init__(self, path: Path, *, brokers: bool) -> None:
        self.path = path
        self._brokers = brokers
        self._printed: str | None = None
        self._beside: list[tuple[Block, subprocess.Popen[str]]] = []

    def execute(self, block: Block) -> None:
        """Does with a block what its title asks for."""
        run = _RUN.fullmatch(block.title or "")
        if run and block.language == "sh":
            self._command(block, run)
        elif block.title == "output" and block.language == "text":
            self._compare(block)
        elif block.title and _FILE.fullmatch(block.title):
            self._write(block, block.title)
        elif block.title:
            raise block.failed(f"nothing is known to be done with the title {block.title!r}")
        elif block.language == "python":
            self._script(block)

    def _write(self, block: Block, name: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")

    def _script(self, block: Block) -> None:
        name = f"{block.page.stem}_example.py"
        blank = "\n" * block.line  # so that a traceback names the line of the page
        (self.path / name).write_text(blank + block.text, encoding="utf-8")
        self._printed = self._finished(block, [sys.executable, name], expected=0)

    def _command(self, block: Block, run: re.Match[str]) -> None:
        self._printed = None
        if run["brokers"] and not self._brokers:
            return
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        if run["beside"]:
            self._beside.append((block, self._started(command)))
        else:
            self._printed = self._finished(block, command, expected=int(run["code"] or 0))

    def _started(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _finished(self, block: Block, command: list[str], *, expected: int) -> str:
        return _ended(block, self._started(command), expected)

    def _compare(self, block: Block) -> None:
        if self._printed is not None and not _like(block.text).fullmatch(self._printed):
            raise block.failed(f"this was printed instead:\n{self._printed}")

    def close(self) -> None:
        """Stops what runs beside, in the reverse order of its beginning. Each must end well."""
        with ExitStack() as stack:
            for block, process in self._beside:
                stack.callback(_stopped, block, process)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BUSBRIDGE_", "PYTHON"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def _stopped(block: Block, process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    _ended(block, process, 0)


def _ended(block: Block, process: subprocess.Popen[str], expected: int) -> str:
    """What the process printed. Whatever happens, nothing of it is left."""
    try:
        printed, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise block.failed(f"it did not end within {SECONDS} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != expected:
        raise block.failed(f"it exited with {process.returncode}, not {expected}, and printed:\n{printed}")
    return printed


def _like(text: str) -> re.Pattern[str]:
    """`text` as a pattern: `...` stands for anything, blanks at the end of a line for nothing."""
    lines = (r".*".join(map(re.escape, line.rstrip().split("..."))) + r"[ ]*" for line in text.strip("\n").split("\n"))
    return re.compile(r"\s*" + "\n".join(lines) + r"\s*", re.DOTALL)


def execute(page: Path, *, brokers: bool) -> int:
    """Executes a page; returns the number of its blocks. Raises ExampleFailed."""
    found = list(blocks(page))
    with tempfile.TemporaryDirectory() as path, ExitStack() as stack:
        folder = Folder(Path(path), brokers=brokers)
        stack.callback(folder.close)
        for block in found:
            folder.execute(block)
    return len(found)


def pages(paths: Iterable[Path]) -> Iterator[Path]:
    """The pages among `paths`, and in the folders among them."""
    for path in paths:
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def main() -> int:
    parser = argparse.ArgumentParser(description="Executes the examples of documents.")
    parser.add_argument("--brokers", action="store_true", help="also those that need brokers")
    parser.add_argument("paths", nargs="+", type=Path)
    arguments = parser.parse_args()
    failed = False
    for page in pages(arguments.paths):
        try:
            execute(page, brokers=arguments.brokers)
        except ExampleFailed as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
