"""What the pages say of the code is there."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import busbridge
import busbridge.errors
import busbridge.testing
from busbridge.retry import PREFIX, REDRIVE, Reason, record_of
from busbridge.retry._names import RUN
from busbridge.routing import load
from busbridge.testing.conformance import ROWS
from busbridge.transport import Delivery, Position, Session

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GUARANTEES = (DOCS / "guarantees.md").read_text(encoding="utf-8")
TESTS = re.findall(r"`((?:tests|integration)/[\w/]+\.py)::(\w+)`", GUARANTEES)


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_a_guarantee_names_a_test_that_exists(file, test):
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_each_guarantee_names_what_tries_to_break_it():
    promises = re.findall(r"^\| (?!promise |---)(.+?) \| (.*) \|$", GUARANTEES, re.MULTILINE)
    assert promises
    assert [promise for promise, tested in promises if not re.search(r"`C\d\d`|`(tests|integration)/", tested)] == []


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`((?:tests|integration)/[\w/]+\.py)(?=`|::)", GUARANTEES))))
def test_a_guarantee_names_a_file_of_tests(file):
    assert "def test_" in (ROOT / file).read_text(encoding="utf-8")


def test_a_guarantee_names_rows_that_exist():
    named = set(re.findall(r"`(C\d\d)`", GUARANTEES))
    assert named
    assert named <= {row.id for row in ROWS}


@pytest.mark.parametrize("package", [busbridge, busbridge.testing])
def test_the_api_page_has_every_public_name_and_no_other(package):
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    shown = re.findall(rf"^::: {re.escape(package.__name__)}\.(\w+)$", page, re.MULTILINE)
    assert sorted(shown) == sorted(package.__all__)


def docstrings(of, name):
    """What is told of an object, and of the public members of a class, inherited ones too."""
    yield name, inspect.getdoc(of) or ""
    if inspect.isclass(of):
        for member in dir(of):
            if not member.startswith("_"):
                yield f"{name}.{member}", inspect.getdoc(getattr(of, member)) or ""


@pytest.mark.parametrize("package", [busbridge, busbridge.testing, busbridge.errors])
def test_no_public_docstring_bears_a_mark_that_only_the_code_knows(package):
    told = dict(pair for name in package.__all__ for pair in docstrings(getattr(package, name), name))
    assert told
    assert {name: doc for name, doc in told.items() if re.search(r"\b[TRCS]\d{1,2}\b", doc)} == {}


def test_every_reason_of_a_dead_letter_is_explained():
    page = (DOCS / "concepts.md").read_text(encoding="utf-8")
    assert {each.value for each in Reason} <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def test_the_record_of_a_dead_letter_is_as_page_and_catalog_say():
    config = load(
        {
            "transports": {"memory": {"url": "memory://"}},
            "destinations": {"log": {"kind": "stream", "transport": "memory"}},
            "services": {"sales": {"subscriptions": {"ledger": {"from": "log"}}}},
        }
    )
    plan = replace(next(iter(config.subscriptions())), version="1.4.2")
    delivery = Delivery(Session(), b"", [(REDRIVE, "again"), (RUN, "again")], None, Position(1, 2))
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 / 0
    written = {name for name, _ in record_of(Reason.FAILED, raised.value, delivery, plan, 3, handler="book")}
    schema = json.loads((ROOT / "contracts" / "busbridge.dead-letter" / "1.json").read_text(encoding="utf-8"))
    page = (DOCS / "wire.md").read_text(encoding="utf-8")
    assert written == set(schema["properties"])
    assert written == set(re.findall(rf"`({PREFIX}[\w-]+)`", page))
    assert {each.value for each in Reason} == set(schema["properties"][f"{PREFIX}reason"]["enum"])


def test_a_stale_table_is_named_and_rendered_again(tmp_path):
    (tmp_path / "docs").mkdir()
    page = tmp_path / "README.md"
    page.write_text("<!-- yaml-stop: rendered by a script -->\nold\n<!-- /yaml-stop -->\n", encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "lib" / "render.py")]
    stale = subprocess.run([*command, "--check"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert stale.returncode == 1
    assert "README.md" in stale.stderr
    subprocess.run(command, cwd=tmp_path, check=True)
    assert "| `grace` |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_a_page_of_the_repository_links_to_what_is_there(page):
    file = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text(encoding="utf-8"))
    assert [each for each in links if not (file.parent / each).exists()] == []
