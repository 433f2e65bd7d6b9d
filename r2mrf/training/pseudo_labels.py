"""Labels real photographs with a model's own maps: self-training (Lee 2013, "Pseudo-Label").

Rendered defocus lacks real optics, and photographs without labels have them. Pixels of which a model is sure get a
label; the others are doubt. Where people have outlined objects, a whole object gets the label of most of its pixels: a
face is in focus as a whole, even if the map is unsure of its smooth skin.
"""

from __future__ import annotations

import cv2
import numpy as np

from r2mrf.data.batches import shrink_to
from r2mrf.imaging import images
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering.sharp_photos import Sharp

SURE = 0.85  # probability from which a pixel gets a label
MOST = 0.75  # mean probability from which a whole region gets one label
WANTED = 0.6  # smallest share of labelled pixels with which a photo is used
_DOUBT = 128


def label(predictor: Predictor, source: Sharp) -> tuple[np.ndarray, np.ndarray] | None:
    """Label a photo: return its pixels as the network sees them, uint8 H×W×3, and a mask, uint8 H×W.

    The mask is 255 where defocused, 0 where in focus, 128 in doubt. The labels come from the mean map of the photo and
    its mirror image. Photos are shrunk to the network's input as in training, and never enlarged. Returns None if too
    little of the photo gets a label.

    Raises:
        ImageError: a file of the source cannot be read.
    """
    rgb = shrink_to(images.load(source.image), predictor.preprocess.size)
    both = predictor.analyse_batch(np.stack([rgb, rgb[:, ::-1]]))
    defocus = (both[0].defocus + both[1].defocus[:, ::-1]) / 2
    mask = mask_of(defocus, _regions(source, *defocus.shape))
    return (rgb, mask) if (mask != _DOUBT).mean() >= WANTED else None


def mask_of(defocus: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Turn a map, float H×W in [0, 1], and object numbers, int H×W, 0 = none, into a mask, uint8 H×W, 128 = doubt."""
    mask = np.full(defocus.shape, _DOUBT, np.uint8)
    mask[defocus >= SURE], mask[defocus <= 1 - SURE] = 255, 0
    counts = np.bincount(regions.ravel())
    means = np.bincount(regions.ravel(), defocus.ravel()) / np.maximum(counts, 1)
    means[0] = 0.5  # background pixels keep their own label
    mask[(means >= MOST)[regions]], mask[(means <= 1 - MOST)[regions]] = 255, 0
    return mask


def _regions(source: Sharp, height: int, width: int) -> np.ndarray:
    """Return the number of the outlined object that each pixel belongs to, int H×W, 0 = none."""
    path = source.objects or source.segments
    if path is None:
        return np.zeros((height, width), int)
    drawn = cv2.resize(images.load_mask(path), (width, height), interpolation=cv2.INTER_NEAREST)
    if source.objects:
        return cv2.connectedComponents((drawn > 127).astype(np.uint8))[1]
    return drawn.astype(int) + 1
