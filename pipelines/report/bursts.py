"""Finds bursts: photos of one scene, taken in quick succession, of which only the sharpest is wanted.

Two photos belong together if they are in the same folder, have the same size, look alike, and were taken within seconds
of each other. If one of them has no time, their names must have consecutive numbers instead (IMG_0412.JPG,
IMG_0413.JPG). A burst is a chain of such pairs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from r2mrf.imaging.resize import resize

GAP = timedelta(seconds=3)
AHEAD = 4  # photos are compared with this many that follow in time: two cameras may have taken turns
ALIKE = 12  # differing bits, of 64, up to which photos look alike; those of different scenes differ in about 32

Pair = tuple[dict, dict]


def likeness(grey: np.ndarray) -> int:
    """Return 64 bits that describe a grey picture: whether it grows darker to the right, at 8×8 places."""
    small = resize(grey, 8, 9)
    return int.from_bytes(np.packbits(small[:, :-1] > small[:, 1:]).tobytes(), "big")


def find(
    rows: list[dict], time_of: Callable[[dict], datetime | None], likeness_of: Callable[[dict], int | None]
) -> list[list[dict]]:
    """Find the bursts of at least two photos.

    Args:
        rows: rows of `columns.SCORES`.
        time_of: returns when a photo was taken; None = unknown.
        likeness_of: returns its `likeness`; None = unknown. Called only for photos that may be neighbours in a burst.

    Returns:
        The rows of each burst; rows and bursts are in the order of paths.
    """
    scored = [row for row in rows if row["status"] == "ok"]
    times = {row["path"]: time_of(row) for row in scored}
    burst_of = {row["path"]: [row] for row in scored}
    looks: dict[str, int | None] = {}
    for first, second in (*_near_in_time(scored, times), *_consecutive(scored, times)):
        one, other = burst_of[first["path"]], burst_of[second["path"]]
        if one is other:
            continue
        for row in (first, second):
            if row["path"] not in looks:
                looks[row["path"]] = likeness_of(row)
        bits = looks[first["path"]], looks[second["path"]]
        if None not in bits and (bits[0] ^ bits[1]).bit_count() <= ALIKE:  # type: ignore[operator]
            one += other
            burst_of |= {row["path"]: one for row in other}
    found = {id(burst): burst for burst in burst_of.values() if len(burst) > 1}
    return sorted((sorted(burst, key=_path) for burst in found.values()), key=lambda burst: burst[0]["path"])


def _near_in_time(rows: list[dict], times: dict[str, datetime | None]) -> Iterator[Pair]:
    for members in _by_folder_and_size([row for row in rows if times[row["path"]]]):
        timed = sorted(((times[row["path"]], row["path"], row) for row in members), key=lambda entry: entry[:2])
        for i, (taken, _, row) in enumerate(timed):
            for later, _, other in timed[i + 1 : i + 1 + AHEAD]:
                if later - taken <= GAP:  # type: ignore[operator]
                    yield row, other


def _consecutive(rows: list[dict], times: dict[str, datetime | None]) -> Iterator[Pair]:
    """Yield the pairs with consecutive numbers, unless both photos have a time."""
    for members in _by_folder_and_size(rows):
        numbered: dict[tuple, list[tuple[int, dict]]] = defaultdict(list)
        for row in members:
            path = PurePosixPath(row["path"])
            if found := re.fullmatch(r"(.*?)(\d{1,18})(\D*)", path.stem, re.DOTALL):
                numbered[found[1], found[3], path.suffix.lower()].append((int(found[2]), row))
        for series in numbered.values():
            for (number, row), (following, other) in pairwise(sorted(series, key=lambda entry: entry[0])):
                if following == number + 1 and not (times[row["path"]] and times[other["path"]]):
                    yield row, other


def _by_folder_and_size(rows: list[dict]) -> list[list[dict]]:
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["path"].rpartition("/")[0], row["width"], row["height"]].append(row)
    return list(groups.values())


def _path(row: dict) -> str:
    return row["path"]
