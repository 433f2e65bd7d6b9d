"""The sharpest photo of a burst: by the maps, inside the region that all of its photos show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.library.columns import AnyRow, Row
from r2mrf.imaging.resize import resize

GRID = 64  # maps are compared at this many places a side
LARGEST_SHIFT = GRID // 4  # between two photos of a burst
SURE_SHIFT = 0.1  # response of the correlation from which a shift is believed


@dataclass(frozen=True)
class Picture:
    """A photo and its map, GRID×GRID: `grey` float32, `focus` float32 in [0, 1], 1 = in focus; None: no map."""

    grey: np.ndarray
    focus: np.ndarray | None

    @classmethod
    def of(cls, grey: np.ndarray, defocus: np.ndarray | None) -> Picture:
        """Shrink a photo, uint8 H×W, and its map, uint8 H×W with 255 = defocused."""
        focus = None if defocus is None else 1 - resize(defocus, GRID, GRID).astype(np.float32) / 255
        return cls(resize(grey, GRID, GRID).astype(np.float32), focus)


def sharpest_first(burst: list[tuple[AnyRow, Picture | None]]) -> list[AnyRow]:
    """Sort the rows of a burst.

    With maps, a photo counts by how much it has in focus of what any photo of the burst has in focus; without, by its
    blur in the middle. Equals are told apart by `sharpest_radius`, where the table has it, and by the blur in all.
    """
    shares = _shares([picture for _, picture in burst])
    rows = [row for row, _ in burst]
    order = sorted(range(len(rows)), key=lambda i: (-round(shares[i], 2), *_blur(rows[i])))
    return [rows[i] for i in order]


def _shares(pictures: list[Picture | None]) -> list[float]:
    """Return the share of the common focus that each photo has, 0 … 1; all 0 if a photo has no map."""
    known = [picture for picture in pictures if picture is not None and picture.focus is not None]
    if len(known) < len(pictures):
        return [0.0] * len(pictures)
    shifts = [_shift(known[0].grey, picture.grey) for picture in known]
    maps = np.stack([_inside(picture.focus, shift, shifts) for picture, shift in zip(known, shifts, strict=True)])
    subject = maps.max(axis=0)
    return [float((focus * subject).sum() / max(subject.sum(), 1e-6)) for focus in maps]


def _shift(reference: np.ndarray, grey: np.ndarray) -> tuple[int, int]:
    """Return by how many places (down, right) a photo's content lies from the reference's; 0, 0 if unsure."""
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


def _blur(row: Row) -> tuple[float | None, ...]:
    radius = row.sharpest_radius
    return (float("inf") if radius is None or np.isnan(radius) else radius, row.center_blur, row.blur_fraction)
