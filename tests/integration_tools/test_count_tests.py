"""The line that closes scripts/test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "lib" / "count_tests.py"


def _run(folder: Path, *suites: str) -> tuple[str, int]:
    for number, attributes in enumerate(suites):
        (folder / f"{number}.xml").write_text(f"<testsuites><testsuite {attributes}/></testsuites>")
    done = subprocess.run([sys.executable, str(_SCRIPT), str(folder)], capture_output=True, text=True, check=False)
    return done.stdout, done.returncode


def test_the_parts_are_added_up(tmp_path: Path) -> None:
    parts = ['tests="5" failures="0" errors="0" skipped="0"', 'tests="2" failures="0" errors="0" skipped="0"']
    assert _run(tmp_path, *parts) == ("7 passed, 0 failed\n", 0)


def test_an_error_is_a_failure_and_skipped_tests_are_named(tmp_path: Path) -> None:
    part = 'tests="6" failures="1" errors="1" skipped="1"'
    assert _run(tmp_path, part) == ("3 passed, 2 failed, 1 skipped\n", 1)


@pytest.mark.parametrize("suites", [(), ('tests="0" failures="0" errors="0" skipped="0"',)])
def test_no_test_at_all_is_no_success(tmp_path: Path, suites: tuple[str, ...]) -> None:
    assert _run(tmp_path, *suites) == ("0 passed, 0 failed\n", 1)
