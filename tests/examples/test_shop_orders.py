"""Where orders come from: the purchases that come with the shop, and files of a user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples.shop.demo.orders import InvalidOrders, purchases, read_orders

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "order_id,customer_id,date,items,total\n"


def test_the_purchases_are_all_there_to_the_cent_in_the_order_of_their_dates() -> None:
    orders = purchases()

    assert len(orders) == 6_919
    assert len({each.order_id for each in orders}) == 6_919
    assert len({each.customer_id for each in orders}) == 2_357
    assert sum(each.total_cents for each in orders) == 24_409_194
    assert [each.date for each in orders] == sorted(each.date for each in orders)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("orders.csv", f"{HEAD}b,c2,2024-01-02,1,0\na,c1,2024-01-01,2,10.50\n"),
        ("orders.csv", "note,total,items,date,customer_id,order_id\n,0,1,2024-01-02,c2,b\n,10.5,2,2024-01-01,c1,a\n"),
        (
            "orders.jsonl",
            (
                '{"order_id": "b", "customer_id": "c2", "date": "2024-01-02", "items": 1, "total": 0}\n\n'
                '{"order_id": "a", "customer_id": "c1", "date": "2024-01-01", "items": 2, "total": 10.50}\n'
            ),
        ),
    ],
)
def test_a_file_of_ones_own_is_read_by_its_columns_and_sorted_by_date(tmp_path: Path, name: str, text: str) -> None:
    first, second = read_orders(written(tmp_path, name, text))

    assert (first.order_id, first.customer_id, first.items, first.total_cents) == ("a", "c1", 2, 1050)
    assert (second.order_id, second.total_cents) == ("b", 0)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("o.csv", f"{HEAD}a,c,2024-01-01,none,1", "o.csv:2: items: found 'none' (allowed: a whole number from 1"),
        ("o.csv", f"{HEAD}a,c,2024-01-01,0,1", "o.csv:2: items: found '0'"),
        ("o.csv", f"{HEAD}a,c,2024-01-01,1,1.005", "o.csv:2: total: found '1.005' (allowed: US dollars"),
        ("o.csv", f"{HEAD}a,c,2024-01-01,1,-1", "o.csv:2: total: found '-1'"),
        ("o.csv", f"{HEAD}a,c,2024-01-01,1,nan", "o.csv:2: total: found 'nan'"),
        ("o.csv", f"{HEAD}a,c,01/02/2024,1,1", "o.csv:2: date: found '01/02/2024' (allowed: a date such as"),
        ("o.csv", f"{HEAD}a,,2024-01-01,1,1", "o.csv:2: customer_id: nothing is there"),
        ("o.csv", f"{HEAD}a,c,2024-01-01,1,1,9", "o.csv:2: it has more values than there are columns"),
        ("o.csv", f"{HEAD}a,c,2024-01-01,1", "o.csv:2: total: nothing is there"),
        (
            "o.csv",
            f"{HEAD}a,c,2024-01-01,1,1\na,c,2024-01-01,1,1",
            "o.csv:3: order_id: 'a' is the order of line 2 already",
        ),
        ("o.csv", "order_id,customer_id,date,items\n", "o.csv:1: there is no column 'total'"),
        ("o.csv", HEAD, "o.csv: it holds no order"),
        ("o.csv", "", "o.csv:1: there is no column 'order_id'"),
        ("o.jsonl", "{", "o.jsonl:1: it is no JSON"),
        ("o.jsonl", "[" * 100_000, "o.jsonl:1: it is no JSON"),
        ("o.jsonl", "[]", "o.jsonl:1: it is no JSON object"),
        ("o.jsonl", '{"order_id": "a"}', "o.jsonl:1: total: nothing is there"),
        (
            "o.jsonl",
            '{"order_id": [1], "customer_id": "c", "date": 3, "items": {}, "total": NaN}',
            "o.jsonl:1: items: found '{}'",
        ),
        ("o.txt", "a", "o.txt: its name must end in .csv, .jsonl or .ndjson"),
    ],
)
def test_a_bad_row_is_named_with_its_place_and_what_is_allowed(
    tmp_path: Path, name: str, text: str, fault: str
) -> None:
    with pytest.raises(InvalidOrders) as raised:
        read_orders(written(tmp_path, name, text))

    assert f"{tmp_path}/{fault}" in str(raised.value)


def test_all_faults_of_a_file_are_told_at_once_and_very_many_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "o.csv", HEAD + "a,c,2024-01-01,x,y\n" * 50)

    with pytest.raises(InvalidOrders, match="and 80 more") as raised:
        read_orders(path)

    assert len(raised.value.faults) == 100


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.csv", "missing.csv"):
        with pytest.raises(InvalidOrders, match="it can't be read"):
            read_orders(tmp_path / name)
