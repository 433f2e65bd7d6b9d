"""Compute machines, hours, storage and requests for a library of any size from measured figures."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

KEYS = 1000  # keys that an object store like S3 returns in one response to a listing
READS = 2  # requests per photo: for its size and for its content
PHASES = ("listed and sharded", "scores written", "run again, nothing new")  # of benchmarks.manifest
MACHINE, HOURS = 64, 24 * 7  # cores of a machine, and the time that a library may take


class Basis(NamedTuple):
    """Measured figures that a plan is computed from.

    Attributes:
        rate: photos per second and core.
        rows: rows of the manifest on which all that follows was measured.
        listing, writing, again: seconds to list and shard it, to write its table, to find on a second run that
            nothing is new.
        memory: peak memory of any of these in MB.
        bytes_a_row: bytes per row of manifest and table on disk.
    """

    rate: float
    rows: int
    listing: float
    writing: float
    again: float
    memory: float
    bytes_a_row: float

    @property
    def driver_rate(self) -> float:
        """Return the photos per second for which one driver can list, shard and write the table."""
        return self.rows / (self.listing + self.writing)


class Plan(NamedTuple):
    """Plan for a library of `photos`, divided into `parts` of the measured size, each scored in a separate run."""

    photos: float
    parts: int
    core_hours: float
    machines: int
    driver_hours: float
    again_hours: float
    table_bytes: float
    files: float
    requests: float
    listings: float


def basis(rate: float | None, cores: int, manifest: dict[str, list[dict]]) -> Basis | None:
    """Return the basis of a plan, or None unless both `rate` and `manifest` were measured.

    Args:
        rate: photos per second on `cores`.
        manifest: tables of that benchmark; the largest one that was not cut short counts.
    """
    sizes = {
        int(found[1].replace(",", "")): name for name in manifest if (found := re.fullmatch("([0-9,]+) rows", name))
    }
    if not rate:
        return None
    for size in sorted(sizes, reverse=True):
        medians = {row["name"]: row["median"] for row in manifest[sizes[size]]}
        times = [medians.get(f"{phase}: time") for phase in PHASES]
        stored = [medians.get(f"{name} on disk") for name in ("manifest", "scores")]
        if None not in (*times, *stored):  # not cut short
            memory = max(value for name, value in medians.items() if name.endswith("memory"))
            return Basis(rate / cores, size, *times, memory, sum(stored))
    return None


def plan(photos: float, known: Basis, shard_rows: int) -> Plan:
    parts = math.ceil(photos / known.rows)
    core_hours = photos / known.rate / 3600
    return Plan(
        photos=photos,
        parts=parts,
        core_hours=core_hours,
        machines=math.ceil(core_hours / HOURS / MACHINE),
        driver_hours=parts * (known.listing + known.writing) / 3600,
        again_hours=parts * known.again / 3600,
        table_bytes=photos * known.bytes_a_row,
        files=2 * photos / shard_rows,
        requests=READS * photos,
        listings=photos / KEYS,
    )
