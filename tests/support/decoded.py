"""Checks of what decoding returns: a picture that is near to another one, or a refusal."""

import numpy as np
import pytest

from r2mrf.imaging.images import ImageError, decode


def refused(data: bytes, **options) -> ImageError:
    """Return the error with which a file's bytes are refused; it is one line."""
    with pytest.raises(ImageError) as caught:
        decode(data, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def assert_near(shown: np.ndarray, expected: np.ndarray, tolerance: float = 4):
    assert shown.shape == expected.shape
    assert shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - expected).mean() < tolerance
