"""Classical measures of local sharpness, turned into defocus maps to compare the network with.

    baseline = fit("laplacian", learn, choose, side=320)      # pairs of photo and mask
    defocus = baseline(rgb)                                   # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

These are three of the oldest (all described in Pertuz et al., "Analysis of focus measure operators for
shape-from-focus", 2013): energy of the Laplacian, energy of the gradient (Tenengrad), and share of high frequencies. A
photo is shrunk to the network's input square, so that a window covers the same part of a large photo as of a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.fft import dctn
from skimage.util import view_as_windows

from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.resize import resize

WINDOWS = (9, 17, 33)  # sides to choose from, pixels
EVERY = 4  # a curve is fitted to every fourth pixel, because neighbours say the same
FAINT = 1e-8  # energy below which noise from rounding grey values to 1/255 dominates

PhotoAndMask = tuple[np.ndarray, np.ndarray]  # photo uint8 H×W×3; mask uint8 H×W, white = defocused


def laplacian_energy(grey: np.ndarray, window: int) -> np.ndarray:
    """Mean squared Laplacian in a window: float32 H×W in [0, 1] -> float32 H×W."""
    return _mean(cv2.Laplacian(grey, cv2.CV_32F, ksize=3) ** 2, window)


def gradient_energy(grey: np.ndarray, window: int) -> np.ndarray:
    """Mean squared Sobel gradient in a window: float32 H×W in [0, 1] -> float32 H×W."""
    return _mean(cv2.Sobel(grey, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(grey, cv2.CV_32F, 0, 1) ** 2, window)


def high_frequencies(grey: np.ndarray, window: int) -> np.ndarray:
    """Share of a window's variation above half the highest frequency, 0 to 1: float32 H×W in [0, 1] -> float32 H×W.

    Windows overlap: one starts every quarter of a side. Each is cosine-transformed; values between them are
    interpolated.
    """
    h, w = grey.shape
    step = window // 4
    rows, columns = -(-h // step), -(-w // step)
    before = window // 2 - step // 2  # centres the windows on the pixels where `resize` samples
    after = [(n - 1) * step + window - before - size for n, size in ((rows, h), (columns, w))]
    padded = np.pad(grey, [(before, max(after[0], 0)), (before, max(after[1], 0))], mode="symmetric")
    blocks = view_as_windows(padded, (window, window), step)[:rows, :columns]
    energy = dctn(blocks, axes=(2, 3), norm="ortho") ** 2
    energy[..., 0, 0] = 0  # remove the mean
    frequency = np.arange(window)
    high = frequency[:, None] ** 2 + frequency**2 >= (window / 2) ** 2
    share = energy[..., high].sum(-1) / (energy.sum((2, 3)) + window**2 / 255**2)  # 0 in flat windows
    return resize(share.astype(np.float32), rows * step, columns * step)[:h, :w]


MEASURES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "laplacian": laplacian_energy,
    "gradient": gradient_energy,
    "frequency": high_frequencies,
}


@dataclass(frozen=True)
class Baseline:
    """A measure in a window, with the logistic curve that turns its logarithm into a probability."""

    measure: str
    window: int
    side: int  # of the square that photos are shrunk to
    slope: float
    offset: float

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Return the defocus map of a photo: uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused."""
        logits = self.slope * _log_energy(self.measure, self.window, self.side, rgb) + self.offset
        return resize(1 / (1 + np.exp(-logits)), *rgb.shape[:2]).clip(0, 1)


def fit(measure: str, learn: Iterable[PhotoAndMask], choose: Iterable[PhotoAndMask], side: int) -> Baseline:
    """Fit a measure: its curve to the pixels of `learn`, and its window by the highest mean F at 0.5 on `choose`.

    Of equally good windows, the smaller one is chosen.

    Args:
        measure: a key of `MEASURES`.
        learn, choose: photos with masks, at least one each.
        side: of the square that photos are shrunk to, in pixels.
    """
    learn, choose = list(learn), list(choose)
    candidates = [_fit_curve(measure, window, learn, side) for window in WINDOWS]
    return max(candidates, key=lambda candidate: _f_05(candidate, choose))


def _fit_curve(measure: str, window: int, pairs: list[PhotoAndMask], side: int) -> Baseline:
    from sklearn.linear_model import LogisticRegression

    energies, truths = [], []
    for rgb, mask in pairs:
        energies.append(_log_energy(measure, window, side, rgb)[::EVERY, ::EVERY].ravel())
        truths.append(resize(mask, side, side)[::EVERY, ::EVERY].ravel() > 127)
    energy, truth = np.concatenate(energies).astype(float), np.concatenate(truths)
    # one extra pixel of either class at the extremes: the curve then exists even if all photos are sharp, or none is
    energy, truth = np.append(energy, [energy.min(), energy.max()]), np.append(truth, [True, False])
    curve = LogisticRegression().fit(energy[:, None], truth)
    return Baseline(measure, window, side, float(curve.coef_[0, 0]), float(curve.intercept_[0]))


def _f_05(baseline: Baseline, pairs: list[PhotoAndMask]) -> float:
    counts = Counts()
    for rgb, mask in pairs:
        counts.add(to_uint8(baseline(rgb)), mask)
    return counts.summary()["f_05"]


def _log_energy(measure: str, window: int, side: int, rgb: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(resize(rgb, side, side), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    return np.log(MEASURES[measure](grey, window) + FAINT)


def _mean(energy: np.ndarray, window: int) -> np.ndarray:
    return cv2.boxFilter(energy, -1, (window, window), borderType=cv2.BORDER_REFLECT)
