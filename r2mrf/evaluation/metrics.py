"""Computes MAE, F-measures, PR curve and IoU. Every figure is a pure function of streamed counts.

    counts = Counts()
    for defocus, mask in pairs:                 # anyone's maps: uint8 H×W each, white = defocused
        counts.add(defocus, mask)
    print(counts.summary())

The protocol is pinned: positive = defocus; β² = 0.3; masks are binarised at > 0.5; maps are 8-bit, compared at the
mask's size, and not normalised per image; a pixel is predicted at threshold k/255 if its value is >= k.

    precision, with no predicted pixel:            1 if the mask has no defocus either, else 0
    recall, with no defocused pixel in the mask:   1 if no pixel is predicted either, else 0

An image without any positive pixel is therefore defined: right if the map says "all sharp", wrong if not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BETA2 = 0.3
THRESHOLDS = np.arange(256) / 255
HALF = 128  # 8-bit maps: value >= 0.5 means k >= 128


@dataclass(frozen=True)
class ImageCounts:
    """Counts of one image, sufficient for all its figures. The arrays have one entry per threshold, 0/255 … 255/255."""

    true_positive: np.ndarray  # int64[256]: defocused pixels predicted at the threshold
    predicted: np.ndarray  # int64[256]: pixels predicted at the threshold
    positive: int  # defocused pixels of the mask
    pixels: int
    absolute_error: float  # mean |P − G| over the pixels
    map_mean: float  # mean of P, in [0, 1]


def count(defocus: np.ndarray, mask: np.ndarray) -> ImageCounts:
    """Count one pair of map and mask.

    Args:
        defocus: uint8 H×W, 255 = surely defocused.
        mask: uint8 H×W, white (> 127) = defocused.

    Raises:
        ValueError: shapes differ or arrays are not uint8 H×W.
    """
    check_pair(defocus, mask)
    truth = mask > 127
    histogram = np.bincount(defocus.ravel(), minlength=256)
    true_histogram = np.bincount(defocus[truth], minlength=256)
    values = np.arange(256)
    # |P − G| is 1 − P on positives, P elsewhere
    error = (true_histogram * (255 - values) + (histogram - true_histogram) * values).sum() / 255
    return ImageCounts(
        true_positive=_from_above(true_histogram),
        predicted=_from_above(histogram),
        positive=int(truth.sum()),
        pixels=mask.size,
        absolute_error=float(error / mask.size),
        map_mean=float((histogram * values).sum() / 255 / mask.size),
    )


def check_pair(defocus: np.ndarray, mask: np.ndarray) -> None:
    """Raise a ValueError that says what is wrong if these are no pair: uint8 H×W of one size."""
    if defocus.shape != mask.shape or defocus.ndim != 2:
        raise ValueError(f"map {defocus.shape} and mask {mask.shape} must be H×W of one size: resize the map first")
    if defocus.dtype != np.uint8 or mask.dtype != np.uint8:
        raise ValueError(f"map ({defocus.dtype}) and mask ({mask.dtype}) must be 8-bit")


@dataclass
class Counts:
    """Counts of a set of images, added one by one."""

    images: list[ImageCounts] = field(default_factory=list)

    def add(self, defocus: np.ndarray, mask: np.ndarray) -> ImageCounts:
        """Count a pair, both uint8 H×W, and keep its counts."""
        self.images.append(count(defocus, mask))
        return self.images[-1]

    def summary(self) -> dict[str, float | int]:
        """Return the pinned figures (mae, f_max, f_adaptive, f_05, iou) and the numbers of images.

        Raises:
            ValueError: no image was added.
        """
        if not self.images:
            raise ValueError("no image was compared: check that maps and masks match")
        precision, recall = self.curve()
        return {
            "mae": float(np.mean([c.absolute_error for c in self.images])),
            "f_max": float(f_measure(precision, recall).max()),
            "f_adaptive": float(np.mean([f_adaptive(c) for c in self.images])),
            "f_05": float(np.mean([f_at(c, HALF) for c in self.images])),
            "iou": self.iou(),
            "images": len(self.images),
            "images_without_defocus": sum(c.positive == 0 for c in self.images),
        }

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return image-averaged precision and recall, float64[256] each, at `THRESHOLDS`."""
        pairs = [precision_recall(c) for c in self.images]
        return np.mean([p for p, _ in pairs], axis=0), np.mean([r for _, r in pairs], axis=0)

    def iou(self) -> float:
        """Return the intersection over union at 0.5, pooled over all pixels; 1 if both are empty."""
        both = sum(int(c.true_positive[HALF]) for c in self.images)
        either = sum(int(c.predicted[HALF]) + c.positive for c in self.images) - both
        return both / either if either else 1.0


def precision_recall(counts: ImageCounts) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and recall of one image at the 256 thresholds, float64[256] each."""
    precision = np.full(256, float(counts.positive == 0))
    some = counts.predicted > 0
    precision[some] = counts.true_positive[some] / counts.predicted[some]
    if counts.positive:
        return precision, counts.true_positive / counts.positive
    return precision, (counts.predicted == 0).astype(float)


def f_measure(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Return F_β with β² = 0.3; 0 where precision and recall are both 0."""
    low = BETA2 * precision + recall
    return np.divide((1 + BETA2) * precision * recall, low, out=np.zeros_like(low), where=low > 0)


def f_at(counts: ImageCounts, k: int) -> float:
    """Return F_β of one image at threshold k/255."""
    precision, recall = precision_recall(counts)
    return float(f_measure(precision[k], recall[k]))


def f_adaptive(counts: ImageCounts) -> float:
    """Return F_β of one image at 1.5 × the mean of its map, capped at 1.

    A map that is 0 everywhere has threshold 0, which every pixel reaches. If the mask has no defocus either, that map
    is right, so in this case nothing counts as predicted.
    """
    k = int(np.ceil(min(1.5 * counts.map_mean, 1.0) * 255 - 1e-9))
    return f_at(counts, k if counts.positive else max(k, 1))


def _from_above(histogram: np.ndarray) -> np.ndarray:
    """Return the number of values >= k, for each k."""
    return histogram[::-1].cumsum()[::-1]
