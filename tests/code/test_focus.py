"""A map -> where a photo is in focus."""

import numpy as np
import pytest

from r2mrf.errors import UserError
from r2mrf.prediction.analyser import certainty
from r2mrf.prediction.focus import FLAT_CONTRAST, Focus, Limits, describe, local_contrast

LIMITS = Limits()


def verdict(fraction: float, contrast: float = 50.0, limits: Limits = LIMITS, **others: object) -> str:
    return limits.verdict({"width": 640, "height": 480, "contrast": contrast, "blur_fraction": fraction} | others)


def described(defocus, size=None, **options) -> Focus:
    defocus = np.asarray(defocus, np.float32)
    options = {"confidence": 0.9, "contrast": 50.0, "limits": LIMITS} | options
    return describe(defocus, size or defocus.shape, **options)


def box(focus: Focus) -> tuple[int, int, int, int]:
    return focus.focus_x0, focus.focus_y0, focus.focus_x1, focus.focus_y1


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.0, "sharp"), (0.149, "sharp"), (0.15, "partial"), (0.85, "partial"), (0.851, "blurred"), (1.0, "blurred")],
)
def test_verdict_by_fraction(fraction, expected):
    assert verdict(fraction) == expected


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_verdict_without_contrast_is_flat(fraction):
    assert verdict(fraction, FLAT_CONTRAST) == "flat"
    assert verdict(fraction, FLAT_CONTRAST + 0.1) != "flat"


@pytest.mark.parametrize(("size", "expected"), [((64, 64), "sharp"), ((63, 640), "small"), ((640, 63), "small")])
def test_a_photo_with_a_side_below_64_pixels_is_small(size, expected):
    assert verdict(0.0, width=size[0], height=size[1]) == expected


@pytest.mark.parametrize(
    ("fraction", "radius", "expected"),
    [(0.0, 1.5, "sharp"), (0.0, 2.5, "soft"), (0.5, 2.5, "soft"), (0.0, None, "soft"), (0.9, 2.5, "blurred")],
)
def test_a_photo_whose_sharpest_place_is_too_blurred_is_soft(fraction, radius, expected):
    assert verdict(fraction, limits=Limits(soft_above=2.0), sharpest_radius=radius, sharpest_x1=9) == expected
    assert verdict(fraction, limits=Limits(soft_above=2.0)) != "soft"  # it was not looked for
    assert verdict(fraction, sharpest_radius=radius, sharpest_x1=9) != "soft"  # without a limit none is


@pytest.mark.parametrize("limits", [{"sharp_below": 0.9}, {"blurred_above": 1.1}, {"soft_above": -1.0}])
def test_limits_out_of_order_are_refused(limits):
    with pytest.raises(UserError, match="give"):
        Limits(**limits)


def test_all_blurred():
    focus = described(np.ones((6, 8)), size=(600, 800))
    assert box(focus) == (0, 0, 0, 0)
    assert (focus.blur_fraction, focus.focus_area) == (1, 0)
    assert focus.center_blur == pytest.approx(1)
    assert focus.verdict == "blurred"


def test_all_sharp():
    focus = described(np.zeros((6, 8)), size=(66, 81))
    assert box(focus) == (0, 0, 81, 66)
    assert (focus.blur_fraction, focus.focus_area, focus.center_blur) == (0, 1, 0)
    assert focus.verdict == "sharp"


def test_pixel_at_one_half_is_defocused():
    assert described([[0.5, 0.49]]).blur_fraction == 0.5


def test_box_of_the_largest_region_scaled_to_the_photo():
    defocus = np.ones((6, 8))
    defocus[0, 0:2] = 0  # 2 pixels
    defocus[2:4, 3:6] = 0  # 6 pixels: rows 2–3, columns 3–5
    assert box(described(defocus)) == (3, 2, 6, 4)
    focus = described(defocus, size=(600, 800))  # a hundred times as large
    assert box(focus) == (300, 200, 600, 400)
    assert focus.focus_area == 6 / 48
    assert focus.blur_fraction == 40 / 48
    assert focus.verdict == "partial"


def test_regions_that_touch_at_a_corner_are_one():
    assert described([[0, 1], [1, 0]]).focus_area == 0.5


def test_box_covers_every_pixel_that_the_region_touches():
    # 3 columns onto 7 pixels: column 1 covers 7/3 … 14/3, that is pixels 2 to 4
    assert box(described([[1, 0, 1]], size=(1, 7))) == (2, 0, 5, 1)


def test_box_never_leaves_the_photo():
    # 49 · (243 / 49) is 243.00000000000003 in floating point, whose ceiling would be 244
    for width, height, side in [(243, 54, 49), (54, 117, 161), (1003, 333, 320)]:
        assert box(described(np.zeros((side, side)), size=(height, width))) == (0, 0, width, height)


def test_center_blur_weighs_the_middle_most():
    middle, corner = np.zeros((9, 9)), np.zeros((9, 9))
    middle[3:6, 3:6] = 1
    corner[:3, :3] = 1
    assert described(middle).blur_fraction == described(corner).blur_fraction
    # of three equal thirds of each axis the middle one has more than a third of the weight, so more than 1/9 in all
    assert described(corner).center_blur < 1 / 9 < described(middle).center_blur
    assert described(1 - middle).center_blur == pytest.approx(1 - described(middle).center_blur)


def test_confidence_is_handed_through():
    assert described([[0, 1]], confidence=0.25).confidence == 0.25


def test_certainty_of_agreement_and_contradiction():
    one, zero = np.ones((1, 4, 4)), np.zeros((1, 4, 4))
    assert certainty(np.concatenate([one, one, one])) == 1
    assert certainty(np.concatenate([zero, zero])) == 1
    assert certainty(np.concatenate([one, zero])) == 0
    assert certainty(np.full((3, 4, 4), 0.5)) == 0
    # mean of 1, 1, 0 is 2/3: |2 · 2/3 − 1| = 1/3
    assert certainty(np.concatenate([one, one, zero])) == pytest.approx(1 / 3)


def test_certainty_is_the_mean_over_pixels():
    assert certainty(np.array([[[1.0, 0.5], [0.0, 0.5]]])) == 0.5


@pytest.mark.parametrize("level", [0, 127, 254, 255])
def test_contrast_of_a_wall_is_none(level):
    assert local_contrast(np.full((601, 803, 3), level, np.uint8)) < 0.001


def test_contrast_of_one_busy_tile_counts():
    photo = np.full((64, 64, 3), 100, np.uint8)
    photo[8:16, 16:24:2] = 140  # one tile of 8×8: half its columns are 40 brighter, standard deviation 20
    assert local_contrast(photo) == pytest.approx(20)


def test_slow_gradient_is_flat():
    # a sky: 16 grey levels over the whole height; each tile spans 2 of them, standard deviation 0.5
    sky = np.repeat(np.arange(16, dtype=np.uint8), 8)[:, None, None] + np.zeros((128, 128, 3), np.uint8)
    assert local_contrast(sky) == pytest.approx(0.5)
    assert verdict(0.9, local_contrast(sky)) == "flat"
