"""A map laid over its photo, for people."""

from __future__ import annotations

import numpy as np

TINT = np.array([255, 120, 0], np.float32)  # of defocused parts; what is in focus keeps its colours
STRENGTH = 0.6  # share of the tint where a part is surely defocused


def overlay(rgb: np.ndarray, defocus: np.ndarray) -> np.ndarray:
    """uint8 H×W×3 and float32 H×W in [0, 1] -> uint8 H×W×3."""
    share = STRENGTH * defocus[..., None].astype(np.float32)
    return np.rint(rgb * (1 - share) + TINT * share).astype(np.uint8)
