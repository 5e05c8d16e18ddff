"""The arithmetic of the benchmarks, and that all sides do the same work. Nothing here looks at a clock."""

from __future__ import annotations

import json
from datetime import datetime
from importlib import import_module
from io import StringIO

import pytest
from rich.console import Console

from benchmarks.footprint import Footprint
from benchmarks.orders import BODY_BYTES, MODELS, Envelopes, OrderPlaced, encoded, orders
from benchmarks.report import Figures, as_json, quantile, ratio, reached, table
from benchmarks.rounds import Measured
from benchmarks.works import BUSBRIDGE, WORKS
from busbridge.contract import CATALOG, Writer, info_of
from busbridge.envelope import Encoder

BY_NAME = {work.name: work for work in WORKS}
CONSUME, LATENCY = BY_NAME["rabbitmq_consume"], BY_NAME["latency_p99_kafka"]


def rounds(*rates: float) -> list[Measured]:
    return [Measured(rate, 1e6 / rate) for rate in rates]


def latency(*milliseconds: float) -> list[Measured]:
    return [Measured(1_000, 100, sorted(milliseconds))]


def test_a_side_is_its_medians_so_that_one_slow_round_does_not_count():
    figures = Figures.of(rounds(100, 10, 120))
    assert (figures.rate, figures.lowest, figures.highest) == (100, 10, 120)


def test_a_quantile_is_a_value_that_was_measured():
    values = [float(each) for each in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (51, 100, 7)


def test_the_ratio_of_rates_is_busbridge_over_the_peer_and_more_is_better():
    results = {"raw": rounds(100, 90, 80), BUSBRIDGE: rounds(72, 81, 99)}
    assert ratio(CONSUME, results, "raw") == pytest.approx(0.9)
    assert reached(CONSUME, "raw", 0.8)
    assert not reached(CONSUME, "raw", 0.79)


def test_the_ratio_of_latencies_is_of_p99_and_less_is_better():
    results = {"raw": latency(1, 2, 4), BUSBRIDGE: latency(1, 2, 5)}
    assert ratio(LATENCY, results, "raw") == pytest.approx(1.25)
    assert reached(LATENCY, "raw", 1.5)
    assert not reached(LATENCY, "raw", 1.51)


def test_the_json_has_an_entry_for_each_work_and_peer():
    measured = {
        work: {side.name: latency(1.0) if work.is_latency else rounds(1_000) for side in work.sides} for work in WORKS
    }
    written = json.loads(json.dumps(as_json(measured, Footprint(20, 40, 200, 220, 45, 50, 0.1, 20))))
    found = {(each["work"], each["peer"]) for each in written["results"]}
    assert found == {(work.name, peer) for work in WORKS for peer in work.targets}
    assert all(each["ratio"] == 1 and each["rate"] == each["peer_rate"] for each in written["results"])
    assert written["footprint"]["idle_mb"] == 50


def test_the_table_shows_what_was_reached_beside_what_is_wanted():
    console = Console(width=200, file=StringIO())
    console.print(table({CONSUME: {"raw": rounds(100), BUSBRIDGE: rounds(90)}}))
    (row,) = [line for line in console.file.getvalue().splitlines() if "raw" in line]
    assert "0.90" in row
    assert "≥ 0.8" in row


@pytest.mark.parametrize("side", {(side.module, side.function) for work in WORKS for side in work.sides})
def test_every_side_offers_what_the_works_ask_of_it(side: tuple[str, str]):
    module, function = side
    assert callable(getattr(import_module(f"benchmarks.sides.{module}"), function))


def test_all_sides_write_the_same_headers_around_the_same_body():
    (order,) = orders(1)
    info = info_of(OrderPlaced)
    writer, encoder = Writer(OrderPlaced), Encoder(info, prefix="ce_", source="bench", catalog=CATALOG)
    ours = encoder.headers("id", "time", key=writer.key(order))
    theirs = Envelopes("ce_", "bench").headers(order)
    assert {name for name, _ in ours} == {name for name, _ in theirs}
    assert dict(ours) | dict(theirs) == dict(theirs)
    assert datetime.fromisoformat(dict(theirs)["ce_time"]).tzinfo is not None
    assert writer.body(order) == encoded(order)


def test_an_order_is_as_large_as_said_and_read_back_by_its_type_and_schema():
    (order,) = orders(1)
    headers = dict(Envelopes("ce_", "bench").headers(order))
    assert abs(len(encoded(order)) - BODY_BYTES) < 10
    assert MODELS[headers["ce_type"], headers["ce_dataschema"]].model_validate_json(encoded(order)) == order
