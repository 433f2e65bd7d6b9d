"""Write docs/performance.md and docs/scale.md from the benchmarks' files in reports/bench, and from nothing else.

    python -m benchmarks.harness.page

A missing measurement is named with the command that makes it. The text is in the templates beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.harness.figures import FOLDER
from benchmarks.harness.plan import HOURS, MACHINE, basis, plan
from benchmarks.score import STEADY
from pipelines.project import pages
from r2mrf.config import Score

BENCHMARKS = (
    "startup",
    "network",
    "training",
    "augment",
    "score",
    "decoding",
    "scaling",
    "growth",
    "view",
    "memory",
    "manifest",
)
LIBRARIES = (1e8, 1e10)  # photos for which docs/scale.md plans
PHOTOS = "4000×3000"  # of which libraries of that size are made
BEFORE = "before"  # folder in `FOLDER` of earlier measurements
COMPARED = ("start to first shard on disk", "beside the steps", "each further photo", "r2mrf map, one photo")
PERFORMANCE, SCALE = Path("docs/performance.md"), Path("docs/scale.md")


class Measured:
    """Measured figures by benchmark. A benchmark that was run only in its short form does not count."""

    def __init__(self, folder: Path):
        found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
        self.runs = {facts["benchmark"]: facts for facts in found if not facts["short"]}
        for facts in self.runs.values():
            facts["rows"] = [{"unit": ""} | row for row in facts["rows"]]  # a mere number has none in the file

    def tables(self, benchmark: str) -> dict[str, list[dict]]:
        """Return the rows of a benchmark by table, in the order in which they were measured."""
        tables: dict[str, list[dict]] = {}
        for row in self.runs.get(benchmark, {}).get("rows", []):
            tables.setdefault(row["table"], []).append(row)
        return tables

    def median(self, benchmark: str, name: str, table: str = "") -> float | None:
        """Return the median of the first measured row of this name in a table whose title contains `table`, or None."""
        rows = (row for title, rows in self.tables(benchmark).items() if table in title for row in rows)
        return next((row["median"] for row in rows if row["name"] == name and row["values"]), None)

    def aims(self) -> list[dict]:
        """Return the rows that have a target."""
        rows = ((name, row) for name in BENCHMARKS for row in self.runs.get(name, {}).get("rows", []))
        return [row | {"benchmark": name} for name, row in rows if "reached" in row]


def changes(before: Measured, after: Measured) -> list[dict]:
    """Return the rows that were measured before as well and can be compared: ratios, and those of `COMPARED`."""
    rows = []
    for benchmark in before.runs:
        for table, old in before.tables(benchmark).items():
            new = {row["name"]: row for row in after.tables(benchmark).get(table, [])}
            both = [(row, new[row["name"]]) for row in old if row["name"] in new and _comparable(row)]
            rows += [{"benchmark": benchmark, "before": a, "after": b} for a, b in both if a["values"] and b["values"]]
    return rows


def _comparable(row: dict) -> bool:
    return row["unit"] == "×" or row["name"] in COMPARED


def number(value: float) -> str:
    """Format a number with three significant digits and commas between thousands."""
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.3g}"
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 1e3 else f"{value:.1e}"


def large(value: float) -> str:
    """Format a number, with a word for large ones: 25 million."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return number(value)


def cell(row: dict) -> str:
    """Format a row's median with its spread."""
    if not row["values"]:
        return f"not run: {row['note']}"
    spread = f" ({number(row['low'])} to {number(row['high'])})" if len(row["values"]) > 1 else ""
    return number(row["median"]) + spread


def aim(row: dict) -> str:
    """Format a row's target, and whether it is reached."""
    if "reached" not in row:
        return ""
    bound = f"≥ {number(row['at_least'])}" if "at_least" in row else f"≤ {number(row['at_most'])}"
    return f"{bound}: {'reached' if row['reached'] else '**not reached**'}"


def main() -> None:
    measured = Measured(FOLDER)
    rate = measured.median("score", STEADY, PHOTOS)
    cores = measured.runs.get("score", {}).get("cores", 1)
    known = basis(rate, cores, measured.tables("manifest"))
    plans = [plan(photos, known, Score().shard_rows) for photos in LIBRARIES] if known else []
    two = measured.median("scaling", "2 over 1", "machines")
    detail = measured.median("view", f"{PHOTOS}, shallow focus: with / without", "--detail")
    words: dict = {"photos": PHOTOS, "two": two, "detail": detail}
    before = Measured(FOLDER / BEFORE)
    words |= {"measured": measured, "basis": known, "plans": plans}
    words |= {"before": before, "changes": changes(before, measured)}
    words |= {"machine_cores": MACHINE, "hours": HOURS, "number": number, "large": large, "cell": cell, "aim": aim}
    for page in (PERFORMANCE, SCALE):
        pages.write(page, pages.render(Path(__file__).with_name(f"{page.name}.j2"), **words))


if __name__ == "__main__":
    main()
