"""Probabilities of a network: the noise that it is shown, and how close an engine must come to torch."""

import numpy as np

from tests.support.model import SIDE

# Of a probability, from torch's in fp32. Networks here are untrained, and decided to the utmost: bf16 moves single
# pixels by up to 0.12. tests/model/test_released_weights.py holds what it does to the released weights' maps.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.2}
MEAN_TOLERANCE = {"fp32": 1e-5, "bf16": 0.02}


def noise(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)


def close(got: np.ndarray, expected: np.ndarray, form: str) -> None:
    """Assert that probabilities agree as closely as the precision allows, at each pixel and in the mean."""
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[form])
    assert np.abs(got - expected).mean() <= MEAN_TOLERANCE[form]
