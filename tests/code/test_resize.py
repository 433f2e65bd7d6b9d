"""The one resize: area average when shrinking, linear when growing, each axis on its own."""

import numpy as np
import pytest

from r2mrf.imaging.resize import resize

SIZES = [(16, 16), (7, 9), (96, 80), (16, 80), (96, 9), (33, 1), (1, 1)]  # from 32×40


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("size", SIZES)
def test_constant_stays_constant(size, dtype):
    small = resize(np.full((32, 40, 3), 77, dtype), *size)
    assert small.shape == (*size, 3)
    assert small.dtype == dtype
    np.testing.assert_allclose(small, 77, rtol=1e-6)


def test_same_size_changes_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize(pixels, 9, 7), pixels)


@pytest.mark.parametrize("size", [(16, 20), (7, 9), (11, 40), (32, 13), (1, 1)])
def test_shrinking_keeps_the_mean(size):
    values = np.random.default_rng(0).random((32, 40), dtype=np.float32)
    assert resize(values, *size).mean() == pytest.approx(values.mean(), abs=1e-5)


def test_shrinking_by_a_whole_number_averages_blocks():
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    # 2×3 blocks; the first one holds 0 1 2 6 7 8, mean 4
    expected = values.reshape(2, 2, 2, 3).mean(axis=(1, 3))
    assert expected[0, 0] == 4
    np.testing.assert_allclose(resize(values, 2, 2), expected, rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_checkerboard_goes_grey(factor):
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = resize(board, 32 // factor, 32 // factor)
    assert set(np.unique(small)) <= {127, 128}  # 127.5


def test_shrinking_one_axis_while_the_other_grows():
    # rows alternate black and white: halved in height they are grey, whatever happens to the width
    stripes = np.zeros((32, 10), np.float32)
    stripes[::2] = 1
    np.testing.assert_allclose(resize(stripes, 16, 35), 0.5, atol=1e-6)
    np.testing.assert_allclose(resize(stripes.T, 35, 16), 0.5, atol=1e-6)


def test_growing_is_linear_between_pixel_centres():
    # centres of the 4 new pixels lie at −0.25, 0.25, 0.75, 1.25 of the old ones: 0, 1/4, 3/4, 1
    np.testing.assert_allclose(resize(np.float32([[0, 1]]), 1, 4), [[0, 0.25, 0.75, 1]], atol=1e-6)


def test_growing_stays_in_range():
    values = np.random.default_rng(0).random((5, 6), dtype=np.float32)
    large = resize(values, 31, 45)
    assert values.min() <= large.min() <= large.max() <= values.max()
