"""Labels for real photographs from a model's own maps: self-training (Lee 2013, "Pseudo-Label").

Rendered defocus has no real optics in it; photographs that nobody has labelled do. What a model is sure of in them
becomes label, the rest is doubt. Where people have outlined things, a thing takes the label of most of it: a face is
in focus as a whole, although the map is unsure of the smooth skin in it.
"""

from __future__ import annotations

import cv2
import numpy as np

from r2mrf.data.batches import at_most
from r2mrf.imaging import images
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering.sharp_photos import Sharp

SURE = 0.85  # a pixel's probability from which its label is taken
MOST = 0.75  # a thing's mean probability from which all of it is
WANTED = 0.6  # share of a photo that must have a label, for the photo to be of use
_DOUBT = 128


def label(predictor: Predictor, source: Sharp) -> tuple[np.ndarray, np.ndarray] | None:
    """Photo as the network sees it, uint8 H×W×3, and its mask, uint8 H×W: 255 = defocused, 0 = in focus, 128 = doubt.

    None if the model is too unsure of the photo. The map is the mean over the photo and its mirror image. Photos
    are shrunk to the network's input as in training, and never enlarged.

    Raises:
        ImageError: a file of the source cannot be read.
    """
    rgb = at_most(images.load(source.image), predictor.preprocess.size)
    both = predictor.analyse_batch(np.stack([rgb, rgb[:, ::-1]]))
    defocus = (both[0].defocus + both[1].defocus[:, ::-1]) / 2
    mask = settle(defocus, _regions(source, *defocus.shape))
    return (rgb, mask) if (mask != _DOUBT).mean() >= WANTED else None


def settle(defocus: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Map, float H×W in [0, 1], and outlined things, int H×W, 0 = none -> mask, uint8 H×W, 128 = doubt."""
    mask = np.full(defocus.shape, _DOUBT, np.uint8)
    mask[defocus >= SURE], mask[defocus <= 1 - SURE] = 255, 0
    counts = np.bincount(regions.ravel())
    means = np.bincount(regions.ravel(), defocus.ravel()) / np.maximum(counts, 1)
    means[0] = 0.5  # of what is no thing each pixel speaks for itself
    mask[(means >= MOST)[regions]], mask[(means <= 1 - MOST)[regions]] = 255, 0
    return mask


def _regions(source: Sharp, height: int, width: int) -> np.ndarray:
    """int H×W: number of the outlined thing that a pixel is of, 0 = none."""
    path = source.objects or source.segments
    if path is None:
        return np.zeros((height, width), int)
    drawn = cv2.resize(images.decode_mask(images.read_bytes(path)), (width, height), interpolation=cv2.INTER_NEAREST)
    if source.objects:
        return cv2.connectedComponents((drawn > 127).astype(np.uint8))[1]
    return drawn.astype(int) + 1
