"""What executes the examples of the docs does not let a wrong one pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "lib" / "examples.py"
FENCE = "```"


def executed(tmp_path: Path, page: str, *options: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "page.md"
    file.write_text(page.replace("~~~", FENCE), encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options, "page.md"], cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_files_are_written_and_commands_run_in_one_folder_in_order(tmp_path):
    page = """
~~~python title="greeting.py"
WORD = "hello"
~~~
~~~sh title="run"
python -c 'import greeting; print(greeting.WORD)'
~~~
~~~text title="output"
hello
~~~
~~~python title="greeting.py"
WORD = "goodbye"
~~~
~~~python
import greeting

print("a script of its own says", greeting.WORD)
~~~
~~~text title="output"
a script of ... says goodbye
~~~
"""
    done = executed(tmp_path, page)
    assert (done.returncode, done.stderr) == (0, "")
    assert [each.name for each in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ('\n\n~~~sh title="run"\nfalse\n~~~\n', "page.md:3: it exited with 1, not 0"),
        ('~~~sh title="run, exits 1"\ntrue\n~~~\n', "page.md:1: it exited with 0, not 1"),
        ("~~~python\nraise ValueError\n~~~\n", "line 2, in <module>"),
        (
            '~~~sh title="run"\necho one\n~~~\n~~~text title="output"\ntwo\n~~~\n',
            "page.md:4: this was printed instead:\none",
        ),
        ('~~~sh title="runn"\ntrue\n~~~\n', "page.md:1: nothing is known to be done with the title 'runn'"),
        ('text\n~~~sh title="run"\ntrue\n', "page.md:2: the block has no end"),
        (
            '~~~sh title="run in a second terminal"\nfalse\n~~~\n~~~text title="output"\nready\n~~~\n',
            "page.md:4: this was printed instead:",
        ),
    ],
)
def test_a_wrong_example_is_named_with_file_and_line(tmp_path, page, said):
    done = executed(tmp_path, page)
    assert done.returncode == 1
    assert said in done.stderr


def test_what_runs_beside_is_waited_for_by_what_it_prints_and_stopped_at_the_end(tmp_path):
    page = """
~~~python title="server.py"
import signal
import sys
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
Path("served").touch()
signal.pause()
~~~
~~~sh title="run in a second terminal"
python server.py
~~~
~~~text title="output"
ready...
~~~
~~~sh title="run"
until [ -e served ]; do :; done
~~~
"""
    done = executed(tmp_path, page)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_needs_brokers_runs_only_when_asked_for(tmp_path):
    page = '~~~sh title="run on brokers"\nfalse\n~~~\n~~~text title="output"\nnever looked at\n~~~\n'
    assert executed(tmp_path, page).returncode == 0
    assert executed(tmp_path, page, "--brokers").returncode == 1


def test_other_blocks_are_only_shown(tmp_path):
    assert executed(tmp_path, "~~~sh\nfalse\n~~~\n~~~json\n{\n~~~\n").returncode == 0
