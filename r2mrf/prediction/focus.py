"""Sums up a map: how much of a photo is blurred, where the focus lies, a verdict, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from r2mrf.errors import UserError

VERDICTS = ("sharp", "soft", "partial", "blurred", "flat", "small")

SMALLEST = 64  # pixels: a photo with a shorter side is too small to judge
# A photo whose grey levels hardly vary anywhere says nothing about focus: sky, wall, fog, lens cap.
FLAT_CONTRAST = 2.0  # largest local standard deviation, grey levels of 255, that still counts as flat


@dataclass(frozen=True)
class Limits:
    """The limits that verdicts are given by; others can be applied later without running the network again.

    Attributes:
        sharp_below, blurred_above: of blur_fraction, 0 … 1: below the first a photo is sharp, above the second blurred.
        soft_above: of sharpest_radius, pixels: a photo that would be sharp or partial, and whose sharpest place is
            blurred by more, is soft. None, or no sharpest_radius known: no photo is.

    Raises:
        UserError: they are not in order, or out of range.
    """

    sharp_below: float = 0.15
    blurred_above: float = 0.85
    soft_above: float | None = None

    def __post_init__(self):
        if not 0 <= self.sharp_below < self.blurred_above <= 1:
            raise UserError(
                f"sharp below {self.sharp_below:g} and blurred above {self.blurred_above:g}: "
                "give limits from 0 to 1, the first smaller than the second"
            )
        if self.soft_above is not None and not self.soft_above >= 0:
            raise UserError(f"soft above {self.soft_above:g}: give a radius in pixels, 0 or more")

    def verdict(self, row: Mapping[str, Any]) -> str:
        """Return one of `VERDICTS` for a row with `width`, `height`, `contrast` and `blur_fraction`.

        Where the sharpest place was looked for, its box is known; a `sharpest_radius` of None is then a large one.
        """
        if min(row["width"], row["height"]) < SMALLEST:
            return "small"
        if row["contrast"] <= FLAT_CONTRAST:
            return "flat"
        if row["blur_fraction"] > self.blurred_above:
            return "blurred"
        if self.soft_above is not None and row.get("sharpest_x1") is not None:
            radius = row["sharpest_radius"]
            if radius is None or radius > self.soft_above:
                return "soft"
        return "sharp" if row["blur_fraction"] < self.sharp_below else "partial"


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
    limits: Limits,
) -> Focus:
    """Sum up a map.

    Args:
        defocus: float32 h×w in [0, 1], 1 = defocused; at the photo's size or smaller.
        size: (height, width) of the photo, to which the box of the focus is scaled.
        confidence, contrast: see `analyser.certainty` and `local_contrast`.
        limits: of the verdict.
    """
    blurred = defocus >= 0.5
    blur_fraction = float(blurred.mean())
    area, (x0, y0, x1, y1) = _largest_region(~blurred)
    (height, width), (h, w) = size, defocus.shape  # whole numbers all along: a float may round past the edge
    return Focus(
        blur_fraction=blur_fraction,
        focus_area=area,
        focus_x0=x0 * width // w,
        focus_y0=y0 * height // h,
        focus_x1=-(-x1 * width // w),
        focus_y1=-(-y1 * height // h),
        center_blur=_center_mean(blurred),
        confidence=confidence,
        verdict=limits.verdict(
            {"width": width, "height": height, "contrast": contrast, "blur_fraction": blur_fraction}
        ),
    )


def local_contrast(rgb: np.ndarray) -> float:
    """Return the largest standard deviation of grey in any of a photo's 8×8 tiles, in grey levels of 255."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    rows, columns = (np.linspace(0, n, min(n, 8) + 1).astype(int) for n in grey.shape)
    tiles = (grey[y0:y1, x0:x1] for y0, y1 in pairwise(rows) for x0, x1 in pairwise(columns))
    return max(float(cv2.meanStdDev(tile)[1][0, 0]) for tile in tiles)


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
