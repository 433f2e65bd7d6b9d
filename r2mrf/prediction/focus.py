"""Summarises a map: how much of the photo is blurred, where the focus is, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from r2mrf.errors import UserError
from r2mrf.imaging.borders import Box

VERDICTS = ("sharp", "partial", "blurred", "flat", "soft", "small")

SMALLEST = 64  # pixels: a photo with a shorter side is too small to judge

# A photo without detail (sky, wall, fog, lens cap) says nothing about focus, even if its brightness changes slowly.
FLAT_CONTRAST = 2.0  # largest `local_contrast` that still counts as flat
LEAST_FOCUS = 0.02  # share of the photo: a photo with a larger region in focus is never `blurred`


@dataclass(frozen=True)
class Thresholds:
    """The thresholds that decide the verdicts.

    Attributes:
        sharp_below: a photo is sharp if its blur_fraction (0 … 1) is below.
        blurred_above: a photo may be blurred if its blur_fraction is above.
        soft_above: in pixels: a photo that would be sharp or partial is soft if its sharpest_radius is larger. With
            None, or if the sharpest place is not known, no photo is soft.

    Raises:
        UserError: a threshold is out of range, or the first is not smaller than the second.
    """

    sharp_below: float
    blurred_above: float
    soft_above: float | None = None

    def __post_init__(self):
        if not 0 <= self.sharp_below < self.blurred_above <= 1:
            raise UserError(
                f"sharp below {self.sharp_below:g} and blurred above {self.blurred_above:g}: "
                "give thresholds from 0 to 1, the first smaller than the second"
            )

        if self.soft_above is not None and not self.soft_above >= 0:
            raise UserError(f"soft above {self.soft_above:g}: give a radius in pixels, 0 or more")

    def verdict_of(self, row: Mapping[str, Any]) -> str:
        """Return one of `VERDICTS` for a row of the table. New thresholds therefore need no new run of the network.

        If the row has the box of a sharpest place, a `sharpest_radius` of None means a radius too large to measure.
        """
        if min(row["width"], row["height"]) < SMALLEST:
            return "small"
        verdict = self.verdict(row["blur_fraction"], row["focus_area"], row["contrast"])
        if self.soft_above is None or row.get("sharpest_x1") is None or verdict not in ("sharp", "partial"):
            return verdict
        radius = row["sharpest_radius"]
        return "soft" if radius is None or radius > self.soft_above else verdict

    def verdict(self, blur_fraction: float, focus_area: float, contrast: float) -> str:
        """Return the verdict from the map alone: sharp, partial, blurred or flat."""
        if contrast <= FLAT_CONTRAST:
            return "flat"
        if blur_fraction < self.sharp_below:
            return "sharp"
        return "blurred" if blur_fraction > self.blurred_above and focus_area < LEAST_FOCUS else "partial"


@dataclass(frozen=True)
class Focus:
    """Where a photo is in focus. Areas are shares of the photo; coordinates are pixels of the photo."""

    blur_fraction: float  # share of defocused pixels, 0 … 1
    focus_area: float  # the largest connected region in focus, as a share of the photo
    focus_x0: int  # its bounding box, x1 and y1 exclusive; all 0 if nothing is in focus
    focus_y0: int
    focus_x1: int
    focus_y1: int
    center_blur: float  # share of defocused pixels, weighted towards the centre
    confidence: float  # 0 … 1: mean |2p − 1|, p averaged over the last recurrent steps
    verdict: str


def describe(
    defocus: np.ndarray,
    size: tuple[int, int],
    confidence: float,
    contrast: float,
    thresholds: Thresholds,
    box: Box | None = None,
) -> Focus:
    """Summarise a map.

    Args:
        defocus: float32 h×w in [0, 1], 1 = defocused; of any resolution.
        size: (height, width) of the photo, in whose pixels the region in focus is given.
        confidence, contrast: see `analyser.certainty` and `local_contrast`.
        box: the part of the photo that the map shows, in pixels; None = the whole photo.
    """
    blurred = defocus >= 0.5
    blur_fraction = float(blurred.mean())
    area, (x0, y0, x1, y1) = _largest_region(~blurred)
    left, top, right, bottom = box or (0, 0, size[1], size[0])
    (height, width), (h, w) = (bottom - top, right - left), defocus.shape  # integer arithmetic: floats may round up
    found = area > 0
    return Focus(
        blur_fraction=blur_fraction,
        focus_area=area,
        focus_x0=found * left + x0 * width // w,
        focus_y0=found * top + y0 * height // h,
        focus_x1=found * left - (-x1 * width // w),
        focus_y1=found * top - (-y1 * height // h),
        center_blur=_center_mean(blurred),
        confidence=confidence,
        verdict=thresholds.verdict(blur_fraction, area, contrast),
    )


def local_contrast(rgb: np.ndarray) -> float:
    """Return the largest local contrast among the 8×8 tiles of a shrunk photo, uint8 H×W×3.

    A tile's contrast is the standard deviation of its grey levels (0 … 255) around its own gradient of brightness, the
    plane that fits it best. All tiles are computed at once, which takes 30 bytes of memory a pixel.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float64)
    (tops, heights, down), (lefts, widths, across) = (_tiles(n) for n in grey.shape)
    rows = [np.add.reduceat(values, tops, axis=0) for values in (grey, grey**2, grey * down[:, None])]
    total, squares, falling = (np.add.reduceat(values, lefts, axis=1) for values in rows)
    rising = np.add.reduceat(rows[0] * across, lefts, axis=1)
    count = np.outer(heights, widths)
    variance = squares / count - (total / count) ** 2
    # the two slopes of a plane are independent on a rectangle
    variance -= (falling / count) ** 2 / _spread(heights)[:, None] + (rising / count) ** 2 / _spread(widths)
    return float(np.sqrt(max(variance.max(), 0)))


def _tiles(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return starts and lengths of up to 8 tiles of n pixels, and each pixel's distance from the middle of its tile."""
    edges = np.linspace(0, n, min(n, 8) + 1).astype(int)
    lengths, middles = np.diff(edges), (edges[:-1] + edges[1:] - 1) / 2
    return edges[:-1], lengths, np.arange(n) - np.repeat(middles, lengths)


def _spread(lengths: np.ndarray) -> np.ndarray:
    """Return the variance of so many consecutive places; infinite for a single one, which has no slope."""
    return np.where(lengths > 1, (lengths**2 - 1) / 12, np.inf)


def _largest_region(focused: np.ndarray) -> tuple[float, tuple[int, int, int, int]]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(focused.astype(np.uint8), connectivity=8)
    if count == 1:
        return 0.0, (0, 0, 0, 0)
    x, y, width, height, area = (int(v) for v in max(stats[1:], key=lambda s: s[cv2.CC_STAT_AREA]))
    return area / focused.size, (x, y, x + width, y + height)


def _center_mean(blurred: np.ndarray) -> float:
    """Return the mean with Gaussian weights, σ = a quarter of each side."""
    y, x = (np.exp(-0.5 * (np.linspace(-2, 2, n)) ** 2) for n in blurred.shape)
    return float(y @ blurred @ x / (y.sum() * x.sum()))
