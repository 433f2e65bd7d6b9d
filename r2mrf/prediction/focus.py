"""Sums up a map: how much of a photo is blurred, where the focus lies, a verdict, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from r2mrf.errors import UserError
from r2mrf.imaging.borders import Box

VERDICTS = ("sharp", "partial", "blurred", "flat", "soft", "small")

SMALLEST = 64  # pixels: a photo with a shorter side is too small to judge

# A photo without detail says nothing about focus: sky, wall, fog, lens cap, also where its brightness changes slowly.
FLAT_CONTRAST = 2.0  # largest `local_contrast` that still counts as flat
LEAST_FOCUS = 0.02  # share of the photo from which a region in focus is worth naming: it is then never `blurred`


@dataclass(frozen=True)
class Thresholds:
    """The thresholds that verdicts are given by.

    Attributes:
        sharp_below: of blur_fraction, 0 … 1: below it a photo is sharp.
        blurred_above: of blur_fraction: above it a photo may be blurred.
        soft_above: of sharpest_radius, in pixels: a photo that would be sharp or partial is soft if even its sharpest
            place is blurred by more. None, or no sharpest place known: no photo is soft.

    Raises:
        UserError: they are not in order, or out of range.
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
        """Return one of `VERDICTS` from a row of the table: new thresholds need no new run of the network.

        Where the sharpest place was looked for, its box is known; a `sharpest_radius` of None is then a large one.
        """
        if min(row["width"], row["height"]) < SMALLEST:
            return "small"
        verdict = self.verdict(row["blur_fraction"], row["focus_area"], row["contrast"])
        if self.soft_above is None or row.get("sharpest_x1") is None or verdict not in ("sharp", "partial"):
            return verdict
        radius = row["sharpest_radius"]
        return "soft" if radius is None or radius > self.soft_above else verdict

    def verdict(self, blur_fraction: float, focus_area: float, contrast: float) -> str:
        """Return the verdict on the map alone: sharp, partial, blurred or flat."""
        if contrast <= FLAT_CONTRAST:
            return "flat"
        if blur_fraction < self.sharp_below:
            return "sharp"
        return "blurred" if blur_fraction > self.blurred_above and focus_area < LEAST_FOCUS else "partial"


@dataclass(frozen=True)
class Focus:
    """Where a photo is in focus. Areas are shares of the photo; places are in pixels of the photo."""

    blur_fraction: float  # share of pixels that are defocused, 0 … 1
    focus_area: float  # share of the largest connected region in focus
    focus_x0: int  # its bounding box, x1 and y1 exclusive; all 0 if nothing is in focus
    focus_y0: int
    focus_x1: int
    focus_y1: int
    center_blur: float  # share of defocus, weighted towards the middle
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
    """Sum up a map.

    Args:
        defocus: float32 h×w in [0, 1], 1 = defocused; at the size of the photo or of its box, or smaller.
        size: (height, width) of the photo, in which the region in focus is placed.
        confidence, contrast: see `analyser.certainty` and `local_contrast`.
        box: the part of the photo that the map shows, in pixels; None = all of it.
    """
    blurred = defocus >= 0.5
    blur_fraction = float(blurred.mean())
    area, (x0, y0, x1, y1) = _largest_region(~blurred)
    left, top, right, bottom = box or (0, 0, size[1], size[0])
    (height, width), (h, w) = (bottom - top, right - left), defocus.shape  # whole numbers: a float may round up
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
    """Return the largest contrast of detail in a tile of a photo, uint8 H×W×3, that is cut 8 by 8.

    It is the standard deviation of grey, in levels of 255, around the tile's own gradient of brightness.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    rows, columns = (np.linspace(0, n, min(n, 8) + 1).astype(int) for n in grey.shape)
    tiles = (grey[y0:y1, x0:x1] for y0, y1 in pairwise(rows) for x0, x1 in pairwise(columns))
    return max(_detail(tile.astype(np.float64)) for tile in tiles)


def _detail(tile: np.ndarray) -> float:
    """Return the standard deviation around the plane that fits best."""
    variance = tile.var()
    for axis, n in enumerate(tile.shape):
        place = np.arange(n) - (n - 1) / 2
        spread = float((place**2).mean())
        if spread:  # the two slopes of a plane are independent on a rectangle
            variance -= float((tile.mean(axis=1 - axis) * place).mean()) ** 2 / spread
    return float(np.sqrt(max(variance, 0)))


def _largest_region(focused: np.ndarray) -> tuple[float, tuple[int, int, int, int]]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(focused.astype(np.uint8), connectivity=8)
    if count == 1:
        return 0.0, (0, 0, 0, 0)
    x, y, width, height, area = (int(v) for v in max(stats[1:], key=lambda s: s[cv2.CC_STAT_AREA]))
    return area / focused.size, (x, y, x + width, y + height)


def _center_mean(blurred: np.ndarray) -> float:
    """Mean with a Gaussian weight, σ = a quarter of each side."""
    y, x = (np.exp(-0.5 * (np.linspace(-2, 2, n)) ** 2) for n in blurred.shape)
    return float(y @ blurred @ x / (y.sum() * x.sum()))
