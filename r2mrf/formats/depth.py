"""Converts values of more than 8 bits to 8 bits: those of a photo by their range, those of a map by a fixed one."""

from __future__ import annotations

import numpy as np

_BITS = (8, 10, 12, 14, 16)  # depths of cameras and scanners, all of which may be stored in 16-bit files
_OUTLIER = 2.0  # a maximum this many times above the 99.9th percentile comes from a few hot pixels


def map_to_eight_bits(values: np.ndarray, top: float | None = None) -> np.ndarray:
    """Scale the deep values of a map of probabilities to uint8, by a fixed range.

    Args:
        values: integers or floats of any shape; NaN and infinities count as 0.
        top: value of white, if the file states it. Otherwise it is 1 for floats (those that interpolation has left a
            little above 1, too) and 65535 for integers; or 255, as in a map of 8 bits stored in more, for floats from 2
            to 255, and for integers whose largest value is 255, or 1 in a mask of the classes 0 and 1.
    """
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    most = float(numbers.max(initial=0.0))
    if not top and np.issubdtype(values.dtype, np.floating):
        top = 1.0 if most < 2 else 255.0 if most <= 255 else 65535.0
    elif not top:
        top = 255.0 if most in (1, 255) else 65535.0
    return np.rint(numbers / top * 255).clip(0, 255).astype(np.uint8)


def to_eight_bits(values: np.ndarray, top: float | None = None) -> np.ndarray:
    """Scale the deep values of a photo, integers or floats of any shape, to uint8.

    Args:
        values: the values of one photo; NaN and infinities count as 0.
        top: value of white, if the file states it. Otherwise integers are scaled by the smallest usual depth that holds
            them, and floats by [0, 1]; larger values are scaled by their own range, ignoring single hot pixels.
    """
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = 0.0, float(numbers.max(initial=0.0))
    usual = float(np.quantile(numbers, 0.999)) if numbers.size else 0.0
    if high > _OUTLIER * usual > 0:
        high = usual
    if np.issubdtype(values.dtype, np.integer):
        high = next((2.0**bits - 1 for bits in _BITS if high < 2**bits), high)
    else:
        low, high = min(float(numbers.min(initial=0.0)), 0.0), max(high, 1.0)
    if top and usual <= top:
        high = float(top)
    return np.rint((numbers - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
