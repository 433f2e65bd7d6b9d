"""A map laid over its photo."""

import numpy as np

from r2mrf.imaging.maps import STRENGTH, TINT, overlay


def photo(height=6, width=9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_each_pixel_by_its_own_value():
    defocus = np.zeros((6, 9), np.float32)
    defocus[:, 5:] = 1
    rgb = photo()
    out = overlay(rgb, defocus)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out[:, :5], rgb[:, :5])  # what is in focus keeps its colours
    np.testing.assert_array_equal(out[:, 5:], np.rint((1 - STRENGTH) * rgb[:, 5:] + STRENGTH * TINT))


def test_white_stays_within_range_and_the_photo_untouched():
    white = np.full((6, 9, 3), 255, np.uint8)
    out = overlay(white, np.full((6, 9), 0.5, np.float32))
    np.testing.assert_array_equal(out[0, 0], np.rint(255 * 0.7 + TINT * 0.3))
    assert white.min() == 255
