"""Measures the blur radius (of the circle of confusion) at every pixel, from the views at which it leaves focus.

    radius = blur_radius(analyser, rgb)         # uint8 H×W×3 -> float32 H×W, pixels of the photo; 0 = in focus at 1:1

At every scale, the network calls a region blurred when its blur radius exceeds about one pixel of the input. A view
with k photo pixels per pixel is therefore a threshold at a radius of about k, and views that grow by the square root of
2 form a ladder of thresholds. The logit at each view says where the radius lies relative to its threshold, from half an
octave below (0) to half an octave above (1). The sum over the ladder is the logarithm of the radius, in ladder steps.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.resize import resize
from r2mrf.prediction.blend import strips, to_logits
from r2mrf.prediction.focus import FLAT_CONTRAST
from r2mrf.prediction.views import SURE, refine
from r2mrf.prediction.windows import crop_map

if TYPE_CHECKING:
    from r2mrf.prediction.analyser import Analyser

LARGEST = 0.05  # share of the long side up to which radii are measured
STEP = 0.5  # octaves from one view to the next
NEIGHBOURHOOD = 17  # pixels of a view: side of the square that needs texture for a measurement
HALF = 128  # of 255: share of texture from which a radius is known
UNKNOWN = 65535  # value for NaN in a 16-bit radius image, whose unit is a hundredth of a pixel

log = logging.getLogger(__name__)


def blur_radius(analyser: Analyser, rgb: np.ndarray) -> np.ndarray:
    """Return the blur radius at every pixel of a photo, uint8 H×W×3.

    Returns:
        float32 H×W, in pixels of the photo: 0 = in focus at 1:1, otherwise from about 1 pixel to 5 % of the long side;
        NaN = cannot be measured, because no view shows texture or all views are out of focus.
    """
    scale = analyser.blur_scale
    if not scale.measured:
        log.warning("this model's blur scale has not been measured: radii may be wrong by a constant factor")
    steps = texture = defocus = None
    height, width = rgb.shape[:2]
    for h, w in ladder(height, width, scale.radius):
        steps, texture, defocus = _climb(analyser, resize(rgb, h, w), steps, texture, defocus)
    assert steps is not None and texture is not None  # the ladder has at least one view
    del defocus  # each map of a large photo takes more memory than the photo
    for rows in strips(height):
        radius = np.exp2((steps[rows] - 0.5) * STEP) * np.float32(scale.radius)
        radius[radius < scale.radius] = 0  # in focus
        radius[(texture[rows] < HALF) | (radius > LARGEST * max(height, width))] = np.nan
        steps[rows] = radius
    return steps


def ladder(height: int, width: int, threshold: float) -> list[tuple[int, int]]:
    """Return (height, width) of the views, from the one that measures the largest radius up to 1:1."""
    steps = max(math.ceil(math.log2(max(height, width) * LARGEST / threshold) / STEP - 0.5), 0)
    scales = [2 ** (-STEP * n) for n in range(steps, -1, -1)]
    return [(max(round(height * scale), 1), max(round(width * scale), 1)) for scale in scales]


def to_hundredths(radius: np.ndarray) -> np.ndarray:
    """Return a radius map in its stored form: uint16, hundredths of a pixel, `UNKNOWN` for NaN."""
    stored = np.full(radius.shape, UNKNOWN, np.uint16)
    for rows in strips(len(radius)):
        known = ~np.isnan(radius[rows])
        stored[rows][known] = np.rint(radius[rows][known] * 100).clip(0, UNKNOWN - 1)
    return stored


def _climb(
    analyser: Analyser,
    pixels: np.ndarray,
    steps: np.ndarray | None,
    texture: np.ndarray | None,
    defocus: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Process one view of the ladder.

    Args:
        pixels: the photo at this view, uint8 h×w×3.
        steps: sum of `exceeded` over the views so far, float32.
        texture: 255 where a view that found focus has seen enough texture, else 0; uint8.
        defocus: the map of the previous view. All three are None at the first view.

    Returns:
        The three updated by this view, h×w.
    """
    height, width = pixels.shape[:2]
    found, grey = refine(analyser, pixels, defocus), cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    total, seen = np.empty((height, width), np.float32), np.empty((height, width), np.uint8)
    for rows in strips(height):
        share = exceeded(found[rows], analyser.blur_scale)
        visible = np.rint(255 * (1 - share) * _has_texture(grey, rows)).astype(np.uint8)
        if defocus is not None:
            assert steps is not None and texture is not None
            before, above, visible_before = (
                crop_map(coarse, rows, slice(0, width), height, width) for coarse in (defocus, steps, texture)
            )
            share[before >= SURE], visible[before >= SURE] = 1, 0
            share += above * np.minimum(2 * share, 1)  # what is in focus here counts as in focus in all smaller views
            visible = np.maximum(visible, visible_before)
        total[rows], seen[rows] = share, visible
    return total, seen, found


def exceeded(defocus: np.ndarray, scale: BlurScale) -> np.ndarray:
    """Return how far a radius exceeds a view's threshold: 0 = half an octave below or less, 1 = half an octave over."""
    return (0.5 + 0.5 * to_logits(defocus) / scale.logits).clip(0, 1)


def _has_texture(grey: np.ndarray, rows: slice) -> np.ndarray:
    """Return 1 where the grey levels around a pixel vary by more than noise does, else 0; float32, of some rows."""
    margin = NEIGHBOURHOOD // 2
    above = min(rows.start, margin)
    values = grey[rows.start - above : rows.stop + margin].astype(np.float32)
    side = (NEIGHBOURHOOD, NEIGHBOURHOOD)
    mean, square = cv2.blur(values, side), cv2.blur(values * values, side)
    textured = square - mean * mean > FLAT_CONTRAST**2
    return textured[above : above + rows.stop - rows.start].astype(np.float32)
