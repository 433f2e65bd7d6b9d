"""Measures blur: the radius of the circle of confusion at every pixel, from the views at which it stops being in focus.

    radius = blur_radius(analyser, rgb)         # uint8 H×W×3 -> float32 H×W, pixels of the photo; 0 = in focus at 1:1

The network calls a disc blurred from a radius of about one pixel of its input on, at every scale. A view of k photo
pixels a pixel is thus a threshold at about k, and views that grow by the square root of 2 are a ladder of thresholds.
Each view says, by its logit, how far the radius lies above or below its threshold, from half an octave under it (0) to
half an octave over it (1); the sum over the ladder is the logarithm of the radius, in units of a step.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.resize import resize
from r2mrf.prediction.focus import FLAT_CONTRAST
from r2mrf.prediction.views import SURE, cut, looks

if TYPE_CHECKING:
    from r2mrf.prediction.analyser import Analyser

LARGEST = 0.05  # radii are measured up to this share of the long side
STEP = 0.5  # octaves from view to view
NEIGHBOURHOOD = 17  # pixels of a view: side of the square in which there must be texture to tell by
UNKNOWN = 65535  # in a 16-bit image of a radius map, whose unit is a hundredth of a pixel

log = logging.getLogger(__name__)


def blur_radius(analyser: Analyser, rgb: np.ndarray) -> np.ndarray:
    """Return the blur radius at every pixel of a photo, uint8 H×W×3.

    Returns:
        float32 H×W, in pixels of the photo: 0 = in focus at 1:1, else from about 1 to 5 % of the long side; NaN =
        nothing to tell by: no texture in any view, or out of focus in all of them.
    """
    scale = analyser.blur_scale
    if not scale.measured:
        log.warning("this model's blur scale has not been measured: radii may be off by a constant factor")
    steps = texture = defocus = None
    height, width = rgb.shape[:2]
    for h, w in ladder(height, width, scale.radius):
        steps, texture, defocus = _climb(analyser, resize(rgb, h, w), steps, texture, defocus)
    assert steps is not None and texture is not None  # the ladder has one
    radius = np.exp2((steps - 0.5) * STEP) * np.float32(scale.radius)
    in_focus = radius < scale.radius
    radius[in_focus] = 0
    radius[(texture < 0.5) | (radius > LARGEST * max(height, width))] = np.nan
    return radius


def ladder(height: int, width: int, threshold: float) -> list[tuple[int, int]]:
    """Return (height, width) of the views from the one that tells the largest radius up to 1:1."""
    steps = max(math.ceil(math.log2(max(height, width) * LARGEST / threshold) / STEP - 0.5), 0)
    scales = [2 ** (-STEP * n) for n in range(steps, -1, -1)]
    return [(max(round(height * scale), 1), max(round(width * scale), 1)) for scale in scales]


def to_hundredths(radius: np.ndarray) -> np.ndarray:
    """Return a radius map as it is stored: uint16, hundredths of a pixel, `UNKNOWN` for NaN."""
    stored = np.full(radius.shape, UNKNOWN, np.uint16)
    known = ~np.isnan(radius)
    stored[known] = np.rint(radius[known] * 100).clip(0, UNKNOWN - 1)
    return stored


def _climb(
    analyser: Analyser,
    pixels: np.ndarray,
    steps: np.ndarray | None,
    texture: np.ndarray | None,
    defocus: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take a step of the ladder.

    Args:
        pixels: the photo at this view, uint8 h×w×3.
        steps: the sum of what `exceeded` says of the views so far, float32.
        texture: 1 where a view that found focus had texture to tell by, else 0; float32.
        defocus: the map of the view before. All three are None at the first step.

    Returns:
        The three at this view, float32 h×w.
    """
    height, width = pixels.shape[:2]
    new = [np.zeros((height, width), np.float32) for _ in range(3)]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    for window, found, before in looks(analyser, pixels, defocus):
        share = exceeded(found, analyser.blur_scale)
        seen = (1 - share) * _has_texture(grey[window.rows, window.columns])
        if before is None:
            above = np.zeros_like(share)
        else:
            assert steps is not None and texture is not None
            sure = before >= SURE
            share, found = np.where(sure, 1, share), np.where(sure, before, found)
            above = cut(steps, window, height, width)
            seen = np.maximum(np.where(sure, 0, seen), cut(texture, window, height, width))
        share += above * np.minimum(2 * share, 1)  # what is in focus here is so in smaller views, whatever they say
        for total, part in zip(new, (share, seen, found), strict=True):
            total[window.rows, window.columns] += window.share * part
    return new[0], new[1], new[2]


def exceeded(defocus: np.ndarray, scale: BlurScale) -> np.ndarray:
    """Return how far a radius exceeds a view's threshold: 0 = half an octave below it or less, 1 = half one above."""
    certain = defocus.clip(1e-7, 1 - 1e-7)
    logits = np.log(certain / (1 - certain))
    return (0.5 + 0.5 * logits / scale.logits).clip(0, 1).astype(np.float32)


def _has_texture(grey: np.ndarray) -> np.ndarray:
    """Return 1 where the grey levels around a pixel vary by more than noise, else 0; float32."""
    values = grey.astype(np.float32)
    side = (NEIGHBOURHOOD, NEIGHBOURHOOD)
    mean, square = cv2.blur(values, side), cv2.blur(values * values, side)
    return (square - mean * mean > FLAT_CONTRAST**2).astype(np.float32)
