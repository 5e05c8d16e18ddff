"""Layers, includes, variables and overrides."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from busbridge.routing import load
from tests.routing.helpers import QUEUE, faults, told, write

if TYPE_CHECKING:
    from pathlib import Path

BASE = """\
transports:
  rabbitmq: {url: "amqp://localhost", client: {connection.name: shop}}
destinations:
  order-log: {kind: queue, transport: rabbitmq, ttl: 1h}
"""


def test_a_later_layer_wins_key_by_key(tmp_path: Path) -> None:
    base = write(tmp_path, "base.yaml", BASE)
    over = write(tmp_path, "production.yaml", "transports: {rabbitmq: {url: amqps://broker}}\nstop: {grace: 9s}")
    config = load(base, over, environ={})
    assert config.transports["rabbitmq"].url == "amqps://broker"
    assert config.transports["rabbitmq"].client == {"connection.name": "shop"}
    assert (config.stop_grace, "order-log" in config.destinations) == (9.0, True)
    assert config.locate(("transports", "rabbitmq", "url")).file == str(over)


def test_an_empty_key_of_a_later_layer_takes_a_value_away(tmp_path: Path) -> None:
    base = write(tmp_path, "base.yaml", BASE)
    over = write(tmp_path, "over.yaml", "destinations: {order-log: {ttl: }}")
    assert load(base, over, environ={}).destinations["order-log"].ttl is None


@pytest.mark.parametrize("nothing", ["", "~", "{}"])
def test_a_section_that_a_later_layer_leaves_empty_stays(tmp_path: Path, nothing: str) -> None:
    base = write(tmp_path, "base.yaml", BASE)
    over = write(
        tmp_path, "over.yaml", f"destinations:\n  order-log: {nothing}\n  new: {{kind: queue, transport: rabbitmq}}"
    )
    config = load(base, over, environ={})
    assert config.destinations["order-log"].ttl == timedelta(hours=1)
    assert load(base, write(tmp_path, "top.yaml", f"destinations: {nothing}"), environ={}).destinations
    assert "new" in config.destinations


def test_a_fault_names_the_layer_it_is_in(tmp_path: Path) -> None:
    base = write(tmp_path, "base.yaml", BASE)
    over = write(tmp_path, "production.yaml", "\ndestinations: {order-log: {ttl: long}}")
    (fault,) = faults(base, over)
    assert (fault.location.file, fault.location.line) == (str(over), 2)


def test_an_included_file_lies_under_the_one_that_includes_it(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", "base.yaml", "include: more.yaml\nstop: {grace: 1s}")
    write(tmp_path / "parts", "more.yaml", "stop: {grace: 2s}\npublish: {timeout: 2s}")
    top = write(tmp_path, "top.yaml", "include: [parts/base.yaml]\ncatalog: x/")
    config = load(top, environ={})
    assert (config.stop_grace, config.publish_timeout, config.catalog) == (1.0, 2.0, "x/")


@pytest.mark.parametrize("spelling", ["a.yaml", "./a.yaml", "folder/../a.yaml"])
def test_files_that_include_each_other_are_refused(tmp_path: Path, spelling: str) -> None:
    path = write(tmp_path, "a.yaml", "include: b.yaml")
    write(tmp_path, "b.yaml", f"include: {spelling}")
    (fault,) = faults(path)
    assert "include each other: a.yaml -> b.yaml -> a.yaml" in fault.problem
    assert fault.location.file == str(tmp_path / "b.yaml")


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "\ninclude: missing.yaml")
    (fault,) = faults(tmp_path / "a.yaml")
    assert (fault.location.line, "No such file" in fault.problem) == (2, True)
    assert "Is a directory" in faults(tmp_path)[0].problem
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    assert "is not UTF-8 text" in faults(tmp_path / "binary")[0].problem


def test_what_is_no_layer_is_told() -> None:
    assert faults(17)[0].problem == "int is no layer of a configuration"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${CATALOG}", {"CATALOG": "x/"}, "x/"),
        ("${CATALOG:-y}/z", {}, "y/z/"),
        ("${CATALOG:-y}/z", {"CATALOG": ""}, "y/z/"),
        ("a/${A}${B:-}/", {"A": "1"}, "a/1/"),
        ("$${CATALOG}/", {"CATALOG": "x"}, "${CATALOG}/"),
        ("$HOME/", {}, "$HOME/"),
    ],
)
def test_variables_stand_anywhere_in_a_value(text: str, environ: dict[str, str], value: str) -> None:
    assert load({"catalog": text}, environ=environ).catalog == value


def test_a_variable_may_stand_for_a_number_or_for_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", BASE.replace("ttl: 1h", "ordered: yes, partitions: '${SHARDS}', ttl: '${TTL:-}'"))
    config = load(path, environ={"SHARDS": "7"})
    assert (config.destinations["order-log"].partitions, config.destinations["order-log"].ttl) == (7, None)


def test_a_variable_without_value_and_default_is_a_fault() -> None:
    (fault,) = faults({"catalog": "${NOWHERE}"})
    assert fault.problem == "the variable NOWHERE is not set"
    assert told({"catalog": "${no way}"}) == ["catalog: `${` begins no variable"]


def test_a_variable_is_needed_only_where_its_value_is_used() -> None:
    assert load({"catalog": "${NOWHERE}"}, {"catalog": "x/"}, environ={}).catalog == "x/"


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        (
            "BUSBRIDGE_TRANSPORTS__RABBITMQ__URL",
            "amqp://other",
            lambda c: c.transports["rabbitmq"].url == "amqp://other",
        ),
        ("busbridge_stop__grace", "3s", lambda c: c.stop_grace == 3),
        ("BUSBRIDGE_CATALOG", "x/", lambda c: c.catalog == "x/"),
        (
            "BUSBRIDGE_DESTINATIONS__ORDER_LOG__MAX_LENGTH",
            "5",
            lambda c: c.destinations["order-log"].max_length == 5,
        ),
        (
            "BUSBRIDGE_TRANSPORTS__RABBITMQ__CLIENT__CONNECTION_NAME",
            "other",
            lambda c: c.transports["rabbitmq"].client == {"connection.name": "other"},
        ),
        ("BUSBRIDGE_TRANSPORTS__RABBITMQ__USER", "0123", lambda c: c.transports["rabbitmq"].user == "0123"),
        (
            "BUSBRIDGE_TRANSPORTS__RABBITMQ__TLS__VERIFY_HOSTNAME",
            "false",
            lambda c: not c.transports["rabbitmq"].tls.verify_hostname,
        ),
        ("BUSBRIDGE_HOME", "anybody's", lambda c: c.catalog == "busbridge:contracts/"),
    ],
)
def test_a_variable_of_the_environment_overrides_a_key(tmp_path: Path, variable: str, value: str, read: object) -> None:
    config = load(write(tmp_path, "a.yaml", BASE), environ={variable: value})
    assert callable(read)
    assert read(config)


def test_an_override_may_be_a_list() -> None:
    source = {**QUEUE, "routes": {"shop.order": {"to": "elsewhere"}}}
    config = load(source, environ={"BUSBRIDGE_ROUTES__SHOP_ORDER__TO": '["orders"]'})
    assert [each.destination.name for each in config.routes["shop.order"].targets] == ["orders"]


@pytest.mark.parametrize(
    ("variable", "problem", "hint"),
    [
        (
            "BUSBRIDGE_TRANSPORT__RABBITMQ__URL",
            "it overrides no key of the configuration",
            "did you mean BUSBRIDGE_TRANSPORTS__RABBITMQ__URL?",
        ),
        (
            "BUSBRIDGE_TRANSPORTS__RABITMQ__URL",
            "it overrides no key of the configuration",
            "did you mean BUSBRIDGE_TRANSPORTS__RABBITMQ__URL?",
        ),
        (
            "BUSBRIDGE_TRANSPORTS__RABBITMQ__PASWORD",
            "it overrides no key of the configuration",
            "did you mean BUSBRIDGE_TRANSPORTS__RABBITMQ__PASSWORD?",
        ),
        (
            "BUSBRIDGE_TRANSPORTS__RABITMQ__CLIENT__CONNECTION_NAME",
            "it overrides no key of the configuration",
            "did you mean BUSBRIDGE_TRANSPORTS__RABBITMQ__CLIENT__CONNECTION_NAME?",
        ),
        (
            "BUSBRIDGE_STOP_GRACE",
            "it overrides no key of the configuration",
            "two underscores lead to a key below: BUSBRIDGE_STOP__...",
        ),
        (
            "BUSBRIDGE_TRANSPORTS_RABBITMQ__URL",
            "it overrides no key of the configuration",
            "two underscores lead to a key below: BUSBRIDGE_TRANSPORTS__...",
        ),
        ("BUSBRIDGE_CATALOG_X", "it overrides no key of the configuration", None),
        ("BUSBRIDGE_CATALOG__X", "catalog has no keys below it", None),
        ("BUSBRIDGE____", "it overrides no key of the configuration", None),
    ],
)
def test_an_override_that_fits_no_key_is_a_fault(tmp_path: Path, variable: str, problem: str, hint: str | None) -> None:
    (fault,) = faults(write(tmp_path, "a.yaml", BASE), environ={variable: "x"})
    assert (fault.location.file, fault.problem, fault.hint) == (f"environment variable {variable}", problem, hint)


def test_an_override_that_two_keys_are_spelled_like_is_a_fault() -> None:
    source = {"transports": {"a-b": {"url": "memory://"}, "a.b": {"url": "memory://"}}}
    (fault,) = faults(source, environ={"BUSBRIDGE_TRANSPORTS__A_B__USER": "x"})
    assert fault.problem == "it may mean a-b or a.b"


def test_overrides_of_a_key_and_of_what_is_in_it_are_a_fault(tmp_path: Path) -> None:
    environ = {"BUSBRIDGE_STOP": "{grace: 3s}", "BUSBRIDGE_STOP__GRACE": "4s"}
    assert any("override the same key" in each.problem for each in faults(base(tmp_path), environ=environ))


def test_a_wrong_value_of_an_override_names_the_variable(tmp_path: Path) -> None:
    (fault,) = faults(base(tmp_path), environ={"BUSBRIDGE_STOP__GRACE": "3"})
    assert fault.location.file == "environment variable BUSBRIDGE_STOP__GRACE"


def base(folder: Path) -> Path:
    return write(folder, "base.yaml", BASE)
