"""Maps in the form that is stored, and as an overlay on their photos."""

from __future__ import annotations

import cv2
import numpy as np

TINT = np.array([255, 120, 0], np.float32)  # colour of the defocused regions; regions in focus keep their colours
STRENGTH = 0.6  # share of the tint where a region is certainly defocused

# Mask values in [0, 1] between these two mean doubt (edges of annotations, slight blur) and are not trained on.
DOUBT = (0.1, 0.9)


def overlay(rgb: np.ndarray, defocus: np.ndarray) -> np.ndarray:
    """Tint the defocused regions of a photo, uint8 H×W×3, by its map, float32 H×W in [0, 1]; return uint8 H×W×3."""
    share = STRENGTH * defocus[..., None].astype(np.float32)
    return np.rint(rgb * (1 - share) + TINT * share).astype(np.uint8)


def to_uint8(defocus: np.ndarray) -> np.ndarray:
    """Convert a map in [0, 1] to the stored form: uint8, 255 = defocused."""
    rows = defocus.reshape(len(defocus), -1)
    return cv2.convertScaleAbs(rows, alpha=255).reshape(defocus.shape)  # rounds like np.rint, without a float copy
