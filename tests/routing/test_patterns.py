"""What a pattern takes."""

from __future__ import annotations

import pytest

from busbridge.routing import Binding
from busbridge.routing._patterns import matches, takes


@pytest.mark.parametrize(
    ("pattern", "key", "taken"),
    [
        ("#", "", True),
        ("#", "a.b.c", True),
        ("*", "a", True),
        ("*", "a.b", False),
        ("*", "", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#.c", "a.b.c", True),
        ("a.#.c", "a.c", True),
        ("a.#.c", "a.b.b.c", True),
        ("a.#.c", "a.b.b", False),
        ("#.#", "", True),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.c", False),
        ("a.b", "a.b", True),
        ("a.b", "a.bc", False),
        ("shop.order-*", "shop.order-created", True),
        ("shop.order-*", "shop.order.created", False),
        ("shop.*-created", "shop.order-created", True),
        ("shop.a+", "shop.aa", False),
    ],
)
def test_a_pattern_takes_words(pattern: str, key: str, taken: bool) -> None:
    assert matches(pattern, key) is taken


def test_a_pattern_of_many_wildcards_takes_no_time() -> None:
    assert not matches(".".join(["#", "a"] * 60), ".".join(["a"] * 59 + ["b"]))


def test_headers_match_all_or_any() -> None:
    wanted = {"region": "eu", "tier": "gold"}
    assert not takes(Binding(None, wanted), "", {"region": "eu"})
    assert takes(Binding(None, wanted), "", {**wanted, "more": "x"})
    assert takes(Binding(None, wanted, match_all=False), "", {"region": "eu"})
