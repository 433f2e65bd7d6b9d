"""Measures whether a confidence predicts a map's error: the risk-coverage curve (El-Yaniv and Wiener 2010).

curve = risk_coverage(errors, confidences)       # mean error of the 1, 2, … n most confident photos
area = curve.mean()                              # smaller is better; a useless confidence gives errors.mean()
"""

from __future__ import annotations

import numpy as np


def risk_coverage(errors: np.ndarray, confidences: np.ndarray) -> np.ndarray:
    """Return the mean error of the k photos with the highest confidence, for k = 1 … n: float64[n].

    Photos with equal confidence all count with their mean error, so that their order does not matter.

    Args:
        errors: one per photo, for example its MAE.
        confidences: one per photo; only their order matters.

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    errors, confidences = np.asarray(errors, float), np.asarray(confidences, float)
    if errors.shape != confidences.shape or errors.ndim != 1 or not errors.size:
        raise ValueError(f"errors {errors.shape} and confidences {confidences.shape} must be of one length, 1 or more")
    _, group = np.unique(-confidences, return_inverse=True)
    means = np.bincount(group, errors) / np.bincount(group)
    order = np.argsort(group, kind="stable")
    return means[group[order]].cumsum() / np.arange(1, len(errors) + 1)


def excess_area(errors: np.ndarray, confidences: np.ndarray) -> float:
    """Return the share of a perfect confidence's gain over a useless one that this confidence misses.

    0: it orders photos exactly as their errors do; 1: it tells nothing; above 1: it is worse than chance; NaN: all
    errors are equal, so there is nothing to tell.
    """
    errors = np.asarray(errors, float)
    best, chance = risk_coverage(errors, -errors).mean(), errors.mean()
    return (
        float((risk_coverage(errors, confidences).mean() - best) / (chance - best)) if chance > best else float("nan")
    )
