"""From rounds to figures: medians, ratios, a table for people and JSON for programs."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.works import BUSBRIDGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.footprint import Footprint
    from benchmarks.rounds import Measured
    from benchmarks.works import Side, Work

    Results = Mapping[str, Sequence[Measured]]
    """The rounds of one work, by side."""

_QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Figures:
    """The medians of one side's rounds."""

    rate: float
    lowest: float
    highest: float
    cpu: float
    latencies: tuple[float, ...]
    """Milliseconds at p50, p95, p99; empty where latency is not the work."""

    @classmethod
    def of(cls, rounds: Sequence[Measured]) -> Figures:
        rates = [each.rate for each in rounds]
        quantiles = [[quantile(each.latencies, q) for q in _QUANTILES] for each in rounds if each.latencies]
        return cls(
            rate=median(rates),
            lowest=min(rates),
            highest=max(rates),
            cpu=median(each.cpu for each in rounds),
            latencies=tuple(median(column) for column in zip(*quantiles, strict=True)),
        )

    def value(self, work: Work) -> float:
        """What the ratio is made of: the p99 in milliseconds, or the rate in messages per second."""
        return self.latencies[-1] if work.is_latency else self.rate


def quantile(ascending: Sequence[float], q: float) -> float:
    """The value that a share `q` of all does not exceed."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * q))]


def ratio(work: Work, results: Results, peer: str) -> float:
    """busbridge over the peer, from the medians: of rates (more is better), or of p99 latencies (less is better)."""
    return Figures.of(results[BUSBRIDGE]).value(work) / Figures.of(results[peer]).value(work)


def reached(work: Work, peer: str, found: float) -> bool:
    """Whether the ratio is what is wanted."""
    return found <= work.targets[peer] if work.is_latency else found >= work.targets[peer]


def as_json(measured: Mapping[Work, Results], footprint: Footprint | None) -> dict[str, Any]:
    """`rate` is busbridge's, `peer_rate` the peer's: messages per second, for latency works the p99 in ms."""
    return {
        "results": [_entry(work, results, peer) for work, results in measured.items() for peer in work.peers],
        "footprint": footprint.as_json() if footprint else None,
    }


def _entry(work: Work, results: Results, peer: str) -> dict[str, Any]:
    return {
        "work": work.name,
        "peer": peer,
        "rate": round(Figures.of(results[BUSBRIDGE]).value(work), 3),
        "peer_rate": round(Figures.of(results[peer]).value(work), 3),
        "ratio": round(ratio(work, results, peer), 3),
        "target": work.targets[peer],
    }


def table(measured: Mapping[Work, Results]) -> Table:
    """Every side of every work, with the ratio that is wanted beside the one that was reached."""
    made = Table(title="busbridge side by side (medians; ratio: busbridge over the side of that row)")
    for heading in ("work", "side"):
        made.add_column(heading)
    for heading in ("rate /s", "lowest to highest", "CPU µs/msg", "p50 / p95 / p99 ms", "ratio", "wanted"):
        made.add_column(heading, justify="right")
    for work, results in measured.items():
        for side in work.sides:
            if side.name in results:
                made.add_row(*_row(work, results, side))
        made.add_section()
    return made


def _row(work: Work, results: Results, side: Side) -> list[str]:
    figures = Figures.of(results[side.name])
    return [
        work.name if side is work.sides[0] else "",
        side.name,
        f"{figures.rate:,.0f}",
        f"{figures.lowest:,.0f} to {figures.highest:,.0f}",
        f"{figures.cpu:,.1f}",
        " / ".join(f"{each:.2f}" for each in figures.latencies),
        *_compared(work, results, side),
    ]


def _compared(work: Work, results: Results, side: Side) -> tuple[str, str]:
    if side.name == BUSBRIDGE or BUSBRIDGE not in results:
        return "", ""
    found = ratio(work, results, side.name)
    if side.aside:
        return f"{found:.2f}", side.aside
    colour = "green" if reached(work, side.name, found) else "red"
    sign = "≤" if work.is_latency else "≥"
    return f"[{colour}]{found:.2f}[/]", f"{sign} {work.targets[side.name]:g}"
