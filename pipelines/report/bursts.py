"""Finds bursts (photos of one scene, taken in quick succession) and the sharpest photo of each.

Two photos belong together if they are in the same folder, have the same size, look alike, and were taken within seconds
of each other. If one of them has no time, their names must have consecutive numbers instead (IMG_0412.JPG,
IMG_0413.JPG). A burst is a chain of such pairs. Maps are compared inside the region that all photos of a burst show.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import PurePosixPath

import cv2
import numpy as np

from pipelines.library.columns import AnyRow, Row
from r2mrf.imaging.resize import resize

GAP = timedelta(seconds=3)
AHEAD = 4  # photos are compared with this many that follow in time: two cameras may have taken turns
ALIKE = 12  # differing bits, of 64, up to which photos look alike; those of different scenes differ in about 32

GRID = 64  # maps are compared at this resolution
LARGEST_SHIFT = GRID // 4  # largest shift between two photos of a burst
SURE_SHIFT = 0.1  # smallest response of the correlation with which a shift is trusted


def likeness(grey: np.ndarray) -> int:
    """Return 64 bits that describe a grey picture: whether it grows darker to the right, at 8×8 places."""
    small = resize(grey, 8, 9)
    return int.from_bytes(np.packbits(small[:, :-1] > small[:, 1:]).tobytes(), "big")


def find(
    rows: Sequence[AnyRow], time_of: Callable[[AnyRow], datetime | None], likeness_of: Callable[[AnyRow], int | None]
) -> list[list[AnyRow]]:
    """Find the bursts of at least two photos.

    Args:
        time_of: returns when a photo was taken; None = unknown.
        likeness_of: returns its `likeness`; None = unknown. Called only for photos that may be neighbours in a burst.

    Returns:
        The rows of each burst; rows and bursts are in the order of paths.
    """
    scored = [row for row in rows if row.status == "ok"]
    times = {row.path: time_of(row) for row in scored}
    burst_of = {row.path: [row] for row in scored}
    likenesses: dict[str, int | None] = {}
    for first, second in (*_near_in_time(scored, times), *_consecutive(scored, times)):
        one, other = burst_of[first.path], burst_of[second.path]
        if one is other:
            continue
        for row in (first, second):
            if row.path not in likenesses:
                likenesses[row.path] = likeness_of(row)
        bits = likenesses[first.path], likenesses[second.path]
        if None not in bits and (bits[0] ^ bits[1]).bit_count() <= ALIKE:  # type: ignore[operator]
            one += other
            burst_of |= {row.path: one for row in other}
    found = {id(burst): burst for burst in burst_of.values() if len(burst) > 1}
    return sorted((sorted(burst, key=_path) for burst in found.values()), key=lambda burst: burst[0].path)


def _near_in_time(rows: list[AnyRow], times: dict[str, datetime | None]) -> Iterator[tuple[AnyRow, AnyRow]]:
    for members in _by_folder_and_size([row for row in rows if times[row.path]]):
        timed = sorted(((times[row.path], row.path, row) for row in members), key=lambda entry: entry[:2])
        for i, (taken, _, row) in enumerate(timed):
            for later, _, other in timed[i + 1 : i + 1 + AHEAD]:
                if later - taken <= GAP:  # type: ignore[operator]
                    yield row, other


def _consecutive(rows: list[AnyRow], times: dict[str, datetime | None]) -> Iterator[tuple[AnyRow, AnyRow]]:
    """Yield the pairs with consecutive numbers, unless both photos have a time."""
    for members in _by_folder_and_size(rows):
        numbered: dict[tuple, list[tuple[int, AnyRow]]] = defaultdict(list)
        for row in members:
            path = PurePosixPath(row.path)
            if found := re.fullmatch(r"(.*?)(\d{1,18})(\D*)", path.stem, re.DOTALL):
                numbered[found[1], found[3], path.suffix.lower()].append((int(found[2]), row))
        for series in numbered.values():
            for (number, row), (following, other) in pairwise(sorted(series, key=lambda entry: entry[0])):
                if following == number + 1 and not (times[row.path] and times[other.path]):
                    yield row, other


def _by_folder_and_size(rows: list[AnyRow]) -> list[list[AnyRow]]:
    groups: dict[tuple, list[AnyRow]] = defaultdict(list)
    for row in rows:
        groups[row.path.rpartition("/")[0], row.width, row.height].append(row)
    return list(groups.values())


def _path(row: Row) -> str:
    return row.path


@dataclass(frozen=True)
class Picture:
    """A photo and its map, GRID×GRID: `grey` float32; `focus` float32 in [0, 1], 1 = in focus, or None (no map)."""

    grey: np.ndarray
    focus: np.ndarray | None

    @classmethod
    def of(cls, grey: np.ndarray, defocus: np.ndarray | None) -> Picture:
        """Shrink a photo, uint8 H×W, and its map, uint8 H×W with 255 = defocused."""
        focus = None if defocus is None else 1 - resize(defocus, GRID, GRID).astype(np.float32) / 255
        return cls(resize(grey, GRID, GRID).astype(np.float32), focus)


def sharpest_first(burst: list[tuple[AnyRow, Picture | None]]) -> list[AnyRow]:
    """Sort the rows of a burst, the sharpest first.

    With --detail, the photo with the smallest blur radius at its sharpest place comes first, in steps of half an
    octave. Equals are ranked by their maps: by how much a photo has in focus of all that any photo of the burst has in
    focus. Without maps, or between equals, the blur in the centre decides, then the blur overall.
    """
    shares = _shares([picture for _, picture in burst])
    rows = [row for row, _ in burst]
    detailed = all(row.sharpest_x1 is not None for row in rows)

    def key(i: int) -> tuple[float | None, ...]:
        row = rows[i]
        step = _step(row.sharpest_radius) if detailed else 0.0
        return step, -round(shares[i], 2), row.center_blur, row.blur_fraction

    order = sorted(range(len(rows)), key=key)
    return [rows[i] for i in order]


def _shares(pictures: list[Picture | None]) -> list[float]:
    """Return the share that each photo has of the burst's common focus, 0 … 1; all 0 if a photo has no map."""
    known = [picture for picture in pictures if picture is not None and picture.focus is not None]
    if len(known) < len(pictures):
        return [0.0] * len(pictures)
    shifts = [_shift(known[0].grey, picture.grey) for picture in known]
    maps = np.stack([_inside(picture.focus, shift, shifts) for picture, shift in zip(known, shifts, strict=True)])
    subject = maps.max(axis=0)
    return [float((focus * subject).sum() / max(subject.sum(), 1e-6)) for focus in maps]


def _shift(reference: np.ndarray, grey: np.ndarray) -> tuple[int, int]:
    """Return how far (down, right) a photo's content is shifted from the reference's; (0, 0) if unsure."""
    window = cv2.createHanningWindow((GRID, GRID), cv2.CV_32F)
    (right, down), response = cv2.phaseCorrelate(reference, grey, window)
    sure = response >= SURE_SHIFT and max(abs(right), abs(down)) <= LARGEST_SHIFT
    return (round(down), round(right)) if sure else (0, 0)


def _inside(focus: np.ndarray | None, shift: tuple[int, int], shifts: list[tuple[int, int]]) -> np.ndarray:
    """Cut a map to the region that all photos show."""
    assert focus is not None
    spans = []
    for axis in (0, 1):
        low, high = min(s[axis] for s in shifts), max(s[axis] for s in shifts)
        spans.append(slice(shift[axis] - low, GRID - high + shift[axis]))
    return focus[spans[0], spans[1]]


def _step(radius: float | None) -> float:
    """Return a radius in steps of half an octave, below which radii count as equal; 0 is first, unknown is last."""
    if radius is None or math.isnan(radius):
        return math.inf
    return round(2 * math.log2(radius)) if radius > 0 else -math.inf
