"""Does a confidence tell which photos a map is wrong about? The risk-coverage curve (El-Yaniv and Wiener 2010).

curve = risk_coverage(errors, confidences)       # mean error of the surest 1, 2, … n photos
area = curve.mean()                              # smaller is better; of a useless confidence it is errors.mean()
"""

from __future__ import annotations

import numpy as np


def risk_coverage(errors: np.ndarray, confidences: np.ndarray) -> np.ndarray:
    """Mean error of the k photos of highest confidence, for k = 1 … n: float64[n].

    Photos of equal confidence count with their common mean, in whatever order they come.

    Args:
        errors: of each photo, for example its MAE.
        confidences: of each photo; only their order matters.

    Raises:
        ValueError: the two are not of one length, or empty.
    """
    errors, confidences = np.asarray(errors, float), np.asarray(confidences, float)
    if errors.shape != confidences.shape or errors.ndim != 1 or not errors.size:
        raise ValueError(f"errors {errors.shape} and confidences {confidences.shape} must be of one length, 1 or more")
    _, group = np.unique(-confidences, return_inverse=True)
    means = np.bincount(group, errors) / np.bincount(group)
    order = np.argsort(group, kind="stable")
    return means[group[order]].cumsum() / np.arange(1, len(errors) + 1)


def excess_area(errors: np.ndarray, confidences: np.ndarray) -> float:
    """Share of what a perfect confidence gains over a useless one that this one misses.

    0: it orders photos as their errors do; 1: it tells nothing; above 1: it is worse than chance; nan: all errors are
    equal, and there is nothing to tell.
    """
    errors = np.asarray(errors, float)
    best, chance = risk_coverage(errors, -errors).mean(), errors.mean()
    return (
        float((risk_coverage(errors, confidences).mean() - best) / (chance - best)) if chance > best else float("nan")
    )
