"""Where a photo is in focus, from its map."""

import numpy as np
import pytest

from r2mrf.errors import UserError
from r2mrf.imaging.borders import Box
from r2mrf.prediction.analyser import Analysis, certainty
from r2mrf.prediction.focus import FLAT_CONTRAST, LEAST_FOCUS, Focus, Thresholds, describe, local_contrast

THRESHOLDS = Thresholds(0.15, 0.85)


def described(defocus, size=None, **options) -> Focus:
    defocus = np.asarray(defocus, np.float32)
    options = {"confidence": 0.9, "contrast": 50.0, "thresholds": THRESHOLDS} | options
    return describe(defocus, size or defocus.shape, **options)


def box(focus: Focus) -> tuple[int, int, int, int]:
    return focus.focus_x0, focus.focus_y0, focus.focus_x1, focus.focus_y1


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.0, "sharp"), (0.149, "sharp"), (0.15, "partial"), (0.85, "partial"), (0.851, "blurred"), (1.0, "blurred")],
)
def test_verdict_by_fraction(fraction, expected):
    assert THRESHOLDS.verdict(fraction, 0.0, 50.0) == expected


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_verdict_without_contrast_is_flat(fraction):
    assert THRESHOLDS.verdict(fraction, 1 - fraction, FLAT_CONTRAST) == "flat"
    assert THRESHOLDS.verdict(fraction, 1 - fraction, FLAT_CONTRAST + 0.1) != "flat"


def test_a_region_in_focus_keeps_a_photo_from_being_blurred():
    """A sharp subject on a twentieth of the frame suffices, as in a portrait or a macro."""
    assert THRESHOLDS.verdict(0.95, 0.05, 50.0) == "partial"
    assert THRESHOLDS.verdict(0.95, LEAST_FOCUS - 0.001, 50.0) == "blurred"


@pytest.mark.parametrize("thresholds", [(0.9, 0.8), (0.5, 0.5), (-0.1, 0.5), (float("nan"), 0.5)])
def test_thresholds_out_of_order(thresholds):
    with pytest.raises(UserError, match="give thresholds from 0 to 1"):
        Thresholds(*thresholds)


def test_a_map_of_a_part_is_placed_in_the_photo():
    defocus = np.ones((6, 8))
    defocus[2:4, 3:6] = 0
    assert box(described(defocus, size=(100, 100), box=Box(20, 10, 100, 70))) == (50, 30, 80, 50)
    assert box(described(np.ones((6, 8)), size=(100, 100), box=Box(20, 10, 100, 70))) == (0, 0, 0, 0)


def in_table(thresholds: Thresholds = THRESHOLDS, **others: object) -> str:
    row = {"width": 640, "height": 480, "contrast": 50.0, "blur_fraction": 0.0, "focus_area": 1.0}
    return thresholds.verdict_of(row | others)


@pytest.mark.parametrize(("size", "expected"), [((64, 64), "sharp"), ((63, 640), "small"), ((640, 63), "small")])
def test_a_photo_with_a_side_below_64_pixels_is_small(size, expected):
    assert in_table(width=size[0], height=size[1]) == expected


@pytest.mark.parametrize(
    ("fraction", "radius", "expected"),
    [(0.0, 1.5, "sharp"), (0.0, 2.5, "soft"), (0.5, 2.5, "soft"), (0.0, None, "soft"), (1.0, 2.5, "blurred")],
)
def test_a_photo_whose_sharpest_place_is_too_blurred_is_soft(fraction, radius, expected):
    row = {"blur_fraction": fraction, "focus_area": 1 - fraction}
    found, soft_above_2 = {"sharpest_radius": radius, "sharpest_x1": 9}, Thresholds(0.15, 0.85, 2.0)
    assert in_table(soft_above_2, **row, **found) == expected
    assert in_table(soft_above_2, **row) != "soft"  # it was not looked for
    assert in_table(**row, **found) != "soft"  # without a limit none is


def test_soft_above_is_a_radius():
    with pytest.raises(UserError, match="give a radius in pixels"):
        Thresholds(0.15, 0.85, -1.0)


def test_all_blurred():
    focus = described(np.ones((6, 8)))
    assert box(focus) == (0, 0, 0, 0)
    assert (focus.blur_fraction, focus.focus_area) == (1, 0)
    assert focus.center_blur == pytest.approx(1)
    assert focus.verdict == "blurred"


def test_all_sharp():
    focus = described(np.zeros((6, 8)), size=(60, 81))
    assert box(focus) == (0, 0, 81, 60)
    assert (focus.blur_fraction, focus.focus_area, focus.center_blur) == (0, 1, 0)
    assert focus.verdict == "sharp"


def test_pixel_at_one_half_is_defocused():
    assert described([[0.5, 0.49]]).blur_fraction == 0.5


def test_box_of_the_largest_region_scaled_to_the_photo():
    defocus = np.ones((6, 8))
    defocus[0, 0:2] = 0  # 2 pixels
    defocus[2:4, 3:6] = 0  # 6 pixels: rows 2–3, columns 3–5
    assert box(described(defocus)) == (3, 2, 6, 4)
    focus = described(defocus, size=(60, 80))  # ten times as large
    assert box(focus) == (30, 20, 60, 40)
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
    assert certainty(np.concatenate([one, one, one])).mean() == 1
    assert certainty(np.concatenate([zero, zero])).mean() == 1
    assert certainty(np.concatenate([one, zero])).mean() == 0
    assert certainty(np.full((3, 4, 4), 0.5)).mean() == 0
    # mean of 1, 1, 0 is 2/3: |2 · 2/3 − 1| = 1/3
    assert certainty(np.concatenate([one, one, zero])).mean() == pytest.approx(1 / 3)


def test_confidence_is_the_mean_certainty_over_pixels():
    steps = np.array([[[1.0, 0.5], [0.0, 0.5]]])
    assert Analysis(steps[0], certainty(steps)).confidence == 0.5


def test_what_continues_a_small_photo_counts_for_nothing():
    certain = np.zeros((16, 16))
    certain[:10] = 1  # of a photo of 40×64 pixels, and of its continuation
    analysis = Analysis(np.zeros((64, 64)), certain)
    assert analysis.shown(40, 64).confidence == 1
    assert analysis.shown(40, 64).defocus.shape == (40, 64)
    assert analysis.shown(400, 640).confidence == analysis.confidence == 10 / 16


@pytest.mark.parametrize("level", [0, 127, 254, 255])
def test_contrast_of_a_wall_is_none(level):
    assert local_contrast(np.full((601, 803, 3), level, np.uint8)) < 0.001


def test_contrast_of_one_busy_tile_counts():
    photo = np.full((64, 64, 3), 100, np.uint8)
    photo[8:16, 16:24:2] = 140  # one tile of 8×8: half its columns are 40 brighter, standard deviation 20
    assert local_contrast(photo) == pytest.approx(20, rel=0.03)  # the best plane is nearly level


def test_slow_gradient_is_flat():
    # a sky: all grey levels over the whole height, 32 of them in a tile, of which only the steps remain
    sky = np.arange(256, dtype=np.uint8)[:, None, None] + np.zeros((256, 256, 3), np.uint8)
    assert local_contrast(sky) < 0.01
    assert local_contrast(np.repeat(sky[::16], 16, axis=0)) > FLAT_CONTRAST  # bars are detail
    slanted = (sky // 2 + sky.swapaxes(0, 1) // 2).astype(np.uint8)
    assert local_contrast(slanted) < 1
