"""Measure listing, sharding, resuming and reconciling on a library of up to ten million rows, without a pixel.

    python -m benchmarks.manifest

A table of made-up addresses with sizes and times goes through the project's own Library, Listing and Ledger, as
`r2mrf score table.parquet` takes it; each phase in a process of its own. The cost of the network and of reading photos
is left out: rows are made up instead of scored.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

from benchmarks.harness.apart import largest_memory
from benchmarks.harness.figures import Figure, exponent, main, timed
from benchmarks.harness.made_up import row_of, write_table
from pipelines.library.ledger import Ledger
from pipelines.library.listing import Listing
from pipelines.library.walk import Library
from r2mrf.config import Score
from r2mrf.prediction.record import thresholds_of

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
KEY = "0123456789abcdef"  # stands for the fingerprint of the shards
CHANGED, NEW = 0.01, 0.01  # shares of the rows in the last phase


def measure(short: bool) -> Iterator[Figure]:
    sizes = (1_000, 4_000) if short else ROWS
    costs = {}
    for rows in sizes:
        costs[rows] = yield from _phases(rows)
    yield from growth(costs)


def growth(costs: dict[int, dict[str, tuple[float, float]]]) -> Iterator[Figure]:
    """Yield the exponent of each phase over the number of rows. `costs`: seconds and bytes by rows and phase."""
    table = f"growth from {min(costs):,} to {max(costs):,} rows"
    for phase in PHASES:
        by_kind = zip(*(cost[phase] for cost in costs.values()), strict=True)
        for what, values in zip(("time", "memory"), by_kind, strict=True):
            yield exponent(table, f"{phase}: {what}", costs, [values], at_most=1.0)


def _phases(rows: int) -> Generator[Figure, None, dict[str, tuple[float, float]]]:
    """Run all phases for a library of so many rows; return the seconds and bytes of each."""
    costs = {}
    with tempfile.TemporaryDirectory() as folder:
        here, table = Path(folder), f"{rows:,} rows"
        write_table(here / "first.parquet", rows)
        write_table(here / "second.parquet", round(rows * (1 + NEW)), changed=round(rows * CHANGED))
        for phase, work in PHASES.items():
            seconds, memory = result = largest_memory(_timed, work, here, rows)
            costs[phase] = result
            yield Figure(table, f"{phase}: time", "s", [seconds])
            yield Figure(table, f"{phase}: largest memory", "MB", [memory / 2**20])
        yield from _on_disk(here, rows)
    return costs


def _on_disk(here: Path, rows: int) -> Iterator[Figure]:
    for name in ("manifest", "scores"):
        files = list((here / name).iterdir())
        size = sum(file.stat().st_size for file in files)
        yield Figure(f"{rows:,} rows", f"{name} on disk", "bytes a row", [size / rows], f"{len(files):,} files")


def first(here: Path, rows: int) -> None:
    """First run: list all rows and put them on the ledger, shard by shard."""
    listing = _listing(here, "first.parquet")
    for _ in listing.waves():
        pass
    _expect(listing.new, rows)


def scored(here: Path, rows: int) -> None:
    """Write the rows of all shards, as if the photos had been scored."""
    ledger, done = _ledger(here), 0
    for number in ledger.waiting():
        photos = ledger.photos(number)
        ledger.commit(number, [row_of(photo) for photo in photos])
        done += len(photos)
    _expect(done, rows)


def again(here: Path, rows: int) -> None:
    """Run again: check and count the ledger, and find all its rows in the listing."""
    ledger = _ledger(here)
    _expect(ledger.repair(), rows)
    listing = _listing(here, "first.parquet")
    for _ in listing.waves():
        pass
    _expect(listing.new, 0)
    _expect(ledger.counts()["total"], rows)


def reconciled(here: Path, rows: int) -> None:
    """Third run: of a hundred photos one is new and one has changed, so that its row is dropped and listed again."""
    listing = _listing(here, "second.parquet")
    for _ in listing.waves():
        pass
    _expect(listing.new, round(rows * (1 + NEW)) - rows + round(rows * CHANGED))


PHASES = {
    "listed and sharded": first,
    "scores written": scored,
    "run again, nothing new": again,
    "run again, 1 % new and 1 % changed": reconciled,
}


def _ledger(here: Path) -> Ledger:
    return Ledger(here, KEY, thresholds_of(Score()))


def _listing(here: Path, table: str) -> Listing:
    return Listing(Library([str(here / table)]), _ledger(here), Score())


def _timed(work, here: Path, rows: int) -> float:
    return timed(lambda: work(here, rows))[1]


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise AssertionError(f"{found:,} rows where {wanted:,} were to be")


if __name__ == "__main__":
    main(measure)
