"""Any input either loads or is refused in words: never another error, never without end."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from busbridge.errors import ConfigurationError
from busbridge.routing import Config, load

GOOD = Path(__file__).with_name("good.yaml").read_text()

_WORDS = [
    *["transports", "destinations", "routes", "services", "subscriptions", "transport", "kind", "queue", "topic"],
    *["stream", "url", "memory://", "from", "to", "match", "headers", "start", "latest", "retry", "attempts", "tls"],
    *["ordered", "partitions", "retention", "30d", "client", "include", "name", "-1", "1e9", "on", "null", "~", ""],
    *["${X}", "${X:-1}", "$${", "<<", "a.b", "*", "#", "shop.order-*", "\x00", "\ud800", "é"],
]
_scalars = st.one_of(
    st.sampled_from(_WORDS), st.text(max_size=8), st.none(), st.booleans(), st.integers(), st.floats(), st.dates()
)
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS) | _scalars, inner, max_size=4),
    max_leaves=12,
)
_yaml_text = st.lists(
    st.sampled_from(
        [*_WORDS, ": ", "- ", "{", "}", "[", "]", "\n", "\n  ", "&a ", "*a", "!!x ", "|", ">", "'", '"', ", "]
    ),
    max_size=30,
).map("".join)
_environs = st.dictionaries(
    st.lists(
        st.sampled_from(["TRANSPORTS", "RABBITMQ", "URL", "STOP", "GRACE", "CATALOG", "ROUTES", "CLIENT", "", "X"]),
        max_size=4,
    ).map(lambda parts: "BUSBRIDGE_" + "__".join(parts)),
    st.sampled_from(["", "x", "[", "{a: b}", "amqp://h", "5s"]),
    max_size=3,
)
_quick = settings(deadline=None, max_examples=70, suppress_health_check=[HealthCheck.too_slow])


@_quick
@given(_yaml_text | st.text(max_size=60) | st.binary(max_size=40))
@example("a: !!binary x")
@example("%YAML 9.9\n---\na: b")
@example("a: 2026-13-45")
@example("? {a: b}\n: c")
@example("<<: [a, {b: c}]")
def test_any_text_loads_or_is_refused(text: str | bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "busbridge.yaml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        _loads_or_is_refused(path, {})


@_quick
@given(_trees, _environs)
def test_any_mapping_loads_or_is_refused(tree: Any, environ: dict[str, str]) -> None:
    _loads_or_is_refused(tree, environ)


@_quick
@given(st.data(), _environs)
def test_a_good_file_with_anything_changed_loads_or_is_refused(data: st.DataObject, environ: dict[str, str]) -> None:
    tree = yaml.safe_load(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        _mutate(tree, data)
    _loads_or_is_refused(tree, environ)


@_quick
@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.sampled_from([*_WORDS, ":", "{", "]", "\t", "\n", "&a", "*a"]))
def test_a_good_file_cut_anywhere_loads_or_is_refused(position: int, length: int, put: str) -> None:
    test_any_text_loads_or_is_refused.hypothesis.inner_test(GOOD[:position] + put + GOOD[position + length :])


def _mutate(tree: Any, data: st.DataObject) -> None:
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], (dict, list)) and data.draw(st.booleans()):
            node = node[key]
            continue
        if isinstance(node, dict) and data.draw(st.booleans()):
            node[data.draw(st.sampled_from(_WORDS))] = node.pop(key)
        else:
            node[key] = data.draw(_trees)
        return


def _loads_or_is_refused(source: Any, environ: dict[str, str]) -> None:
    refused = _refusal(source, environ)
    if refused is not None:
        assert refused.faults
        assert all(each.problem for each in refused.faults)
        assert str(refused)


def _refusal(source: Any, environ: dict[str, str]) -> ConfigurationError | None:
    try:
        assert isinstance(load(source, environ=environ), Config)
    except ConfigurationError as error:
        return error
    return None
