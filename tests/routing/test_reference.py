"""The model for its readers: every key described, the schema accepting what loads."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from busbridge.routing import reference, schema


def test_every_key_is_described() -> None:
    rows = {key.path: key for key in reference()}
    assert all(key.description for key in rows.values())
    assert rows["transports.<name>.url"].required
    assert rows["destinations.<name>.kind"].values == "queue, topic, stream"
    assert rows["destinations.<name>.retention"].values == "duration"
    assert "routes.<name>.to[].routing_key" in rows
    assert "services.<name>.subscriptions.<name>.from" in rows
    assert not any("enabled" in path or "source" in path for path in rows)


def test_the_schema_of_the_file_takes_what_loads_and_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    good = yaml.safe_load(Path(__file__).with_name("good.yaml").read_text().replace("2026-03-01T00:00:00Z", "latest"))
    jsonschema.validate(good, schema())
    good["transports"]["rabbitmq"]["tls"] = True
    good["destinations"]["order-log"]["partitions"] = "${PARTITIONS:-3}"
    jsonschema.validate(good, schema())


@pytest.mark.parametrize(
    "wrong", [{"transport": {}}, {"destinations": {"a": {"kind": "queu"}}}, {"routes": {"a": {"to": []}}}]
)
def test_the_schema_refuses_what_does_not_load(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())
