"""Values of more than 8 bits, brought to 8 bits by the range that the file names, or by their own."""

from __future__ import annotations

import numpy as np

_BITS = (8, 10, 12, 14, 16)  # depths of cameras and scanners; values of each come in files of 16 bits
_OUTLIER = 2.0  # a maximum so many times the 99.9th percentile is a hot pixel or two, not the range


def to_eight_bits(values: np.ndarray, top: float | None = None) -> np.ndarray:
    """Scale deep values, integers or floats of any shape, to uint8.

    Args:
        values: of one picture; values that are no numbers count as 0.
        top: value of white, if the file names it. Else integers are scaled by the smallest of the usual depths that
            holds them, floats by [0, 1], and what exceeds these by its own range, apart from single hot pixels.
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
