"""Judges whether a picture is a mask at all, and whether the masks of a set are inverted.

The median over the set decides: in a single photo a smooth subject may be in focus before a busy background, but over a
whole set the regions in focus are the sharper ones.
"""

from __future__ import annotations

import statistics

import cv2
import numpy as np

BLACK, WHITE = 8, 247  # JPEG noise in a black or white mask stays outside this range; values inside are grey
MOST_GREY = 0.5  # share of a picture that is neither black nor white; above, it is no mask
INVERTED, UNSURE = 0.8, 1.25  # median ratio of a set: below the first, its masks are inverted; below the second, unsure


def grey_share(mask: np.ndarray) -> float:
    """Return the share of a mask, uint8 H×W, that is neither black nor white."""
    return float(((mask > BLACK) & (mask < WHITE)).mean())


def ratio(sharpness: np.ndarray, mask: np.ndarray) -> float | None:
    """Return the mean sharpness of the region in focus divided by that of the defocused region.

    Args:
        sharpness: number ≥ 0 for each pixel, H×W: larger where a photo has more detail, or where a map finds focus.
            Half a unit is added to both means, so that two regions without any give about 1.
        mask: uint8 H×W, 255 = defocused.

    Returns:
        Usually above 1; None if either region is too small to judge. Pixels near the boundary are left out, because its
        edge would count for both regions.
    """
    margin = np.ones([2 * max(2, min(mask.shape) // 64) + 1] * 2, np.uint8)
    sides = [cv2.erode(side.astype(np.uint8), margin) > 0 for side in (mask <= BLACK, mask >= WHITE)]
    if min(side.mean() for side in sides) < 0.01:
        return None
    focused, defocused = (float(sharpness[side].mean()) + 0.5 for side in sides)
    return focused / defocused


def median(ratios: list[float | None]) -> tuple[float, int] | None:
    """Return the median of the ratios that could be judged, and their number; None if there are none."""
    judged = [one for one in ratios if one is not None]
    return (statistics.median(judged), len(judged)) if judged else None
