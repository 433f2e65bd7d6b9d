"""A map laid over its photo."""

import numpy as np

from r2mrf.overlay import TINT, overlay


def photo(height=6, width=9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_what_is_in_focus_keeps_its_colours():
    rgb = photo()
    np.testing.assert_array_equal(overlay(rgb, np.zeros((6, 9), np.float32)), rgb)


def test_what_is_defocused_takes_its_share_of_the_tint():
    black = overlay(np.zeros((6, 9, 3), np.uint8), np.ones((6, 9), np.float32), strength=0.5)
    np.testing.assert_array_equal(black, np.broadcast_to(np.rint(TINT / 2), (6, 9, 3)))
    full = overlay(photo(), np.ones((6, 9), np.float32), strength=1)
    np.testing.assert_array_equal(full, np.broadcast_to(TINT, (6, 9, 3)))


def test_each_pixel_by_its_own_value():
    defocus = np.zeros((6, 9), np.float32)
    defocus[:, 5:] = 1
    rgb = photo()
    out = overlay(rgb, defocus)
    assert out.dtype == np.uint8
    assert out.shape == rgb.shape
    np.testing.assert_array_equal(out[:, :5], rgb[:, :5])
    assert (out[:, 5:] != rgb[:, 5:]).any(axis=-1).all()


def test_white_stays_within_range_and_the_photo_untouched():
    white = np.full((6, 9, 3), 255, np.uint8)
    out = overlay(white, np.full((6, 9), 0.5, np.float32))
    np.testing.assert_array_equal(out[0, 0], np.rint(255 * 0.7 + TINT * 0.3))
    assert white.min() == 255
