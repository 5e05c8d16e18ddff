"""A user's mistake on the command line is told in words that name the place, without our own frames."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

MISTAKES = {
    "missing import": ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'", 1),
    "syntax": ("\ndef x(:", "SyntaxError", 2),
    "raises": ("x = 1\n\nraise RuntimeError('no DATABASE_URL')", "RuntimeError: no DATABASE_URL", 3),
}


def check(folder):
    return subprocess.run(
        [sys.executable, "-c", "from busbridge.cli import main; main()", "check", "shop:stock"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_module_that_can_not_be_imported_shows_its_own_lines_only(tmp_path, mistake):
    text, told, line = MISTAKES[mistake]
    (tmp_path / "busbridge.yaml").write_text("")
    (tmp_path / "shop.py").write_text(text)
    done = check(tmp_path)
    assert done.returncode == 2
    assert "module 'shop' can't be imported" in done.stderr
    assert told in done.stderr
    assert f'shop.py", line {line}' in done.stderr
    assert "importlib" not in done.stderr
    assert "busbridge/cli" not in done.stderr


def test_a_wrong_handler_is_named_with_its_line(tmp_path):
    (tmp_path / "busbridge.yaml").write_text("")
    text = """\
        from busbridge import Contract, Service
        class A(Contract, name="shop.a", version=1):
            x: int
        stock = Service("stock")
        @stock.subscription("reserve").handles(A)
        async def reserve() -> None: ...
    """
    (tmp_path / "shop.py").write_text(textwrap.dedent(text))
    done = check(tmp_path)
    assert done.returncode == 1
    assert f"handler 'reserve' ({tmp_path / 'shop.py'}:5)" in done.stderr
    assert "Traceback" not in done.stderr
