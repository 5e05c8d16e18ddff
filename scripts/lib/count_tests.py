"""Prints one line that counts the tests in a folder of JUnit reports; exits with 1 if any failed or none ran."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def count(folder: Path) -> dict[str, int]:
    """Passed, failed (errors are failures) and skipped tests of all reports in that folder."""
    suites = [suite for report in folder.glob("*.xml") for suite in ET.parse(report).iter("testsuite")]
    total, skipped = _sum(suites, "tests"), _sum(suites, "skipped")
    failed = _sum(suites, "failures") + _sum(suites, "errors")
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}


def _sum(suites: list[ET.Element], attribute: str) -> int:
    return sum(int(suite.get(attribute, "0")) for suite in suites)


def main() -> int:
    counts = count(Path(sys.argv[1]))
    tail = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{tail}")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
