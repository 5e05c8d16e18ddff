"""What a transport must keep, as rows that try to break it. Shipped, so that a transport of yours can be tested too."""

from busbridge.testing.conformance._bench import Bench
from busbridge.testing.conformance._checks import Verdict, disagreements, judge, jumps, late_by_key, overlapping_keys
from busbridge.testing.conformance._ledger import Event, Ledger, What
from busbridge.testing.conformance._rig import DeadMessage, Faults, Line, Place, Rig
from busbridge.testing.conformance._row import Case, Row, RowFailed
from busbridge.testing.conformance._run import run
from busbridge.testing.conformance._tables import capability_table, conformance_table, coverage
from busbridge.testing.conformance.rows import ROWS

__all__ = [
    "ROWS",
    "Bench",
    "Case",
    "DeadMessage",
    "Event",
    "Faults",
    "Ledger",
    "Line",
    "Place",
    "Rig",
    "Row",
    "RowFailed",
    "Verdict",
    "What",
    "capability_table",
    "conformance_table",
    "coverage",
    "disagreements",
    "judge",
    "jumps",
    "late_by_key",
    "overlapping_keys",
    "run",
]
