"""Finds the sharpest photo of a burst by the maps, inside the region that all of its photos show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from r2mrf.imaging.resize import resize

GRID = 64  # maps are compared at this resolution
LARGEST_SHIFT = GRID // 4  # largest shift between two photos of a burst
SURE_SHIFT = 0.1  # smallest response of the correlation with which a shift is trusted


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


def sharpest_first(burst: list[tuple[dict, Picture | None]]) -> list[dict]:
    """Sort the rows of a burst, the sharpest first.

    With maps, photos are ranked by how much they have in focus of all that any photo of the burst has in focus. Without
    maps, or between equals, `sharpest_radius` decides if the table has it, then the blur in the centre, then the blur
    overall.
    """
    shares = _shares([picture for _, picture in burst])
    rows = [row for row, _ in burst]
    order = sorted(range(len(rows)), key=lambda i: (-round(shares[i], 2), *_blur(rows[i])))
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


def _blur(row: dict) -> tuple[float, float, float]:
    radius = row.get("sharpest_radius")
    return (float("inf") if radius is None or np.isnan(radius) else radius, row["center_blur"], row["blur_fraction"])
