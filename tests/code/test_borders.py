"""Borders of one colour are cut off before prediction and painted back into the map."""

import cv2
import numpy as np
import pytest

from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.borders import Box, inside_borders
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.prediction.analyser import Analysis
from r2mrf.prediction.record import focus_of, map_of, shrink
from tests.support.picture_files import encode

PREPROCESS = Preprocess(64, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


def picture(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def framed(top: int, bottom: int, left: int, right: int, colour: int = 255) -> np.ndarray:
    return np.pad(picture(), ((top, bottom), (left, right), (0, 0)), constant_values=colour)


@pytest.mark.parametrize("detail", [False, True])
@pytest.mark.parametrize("side", [170, 240, 300])
def test_a_small_picture_in_a_large_border_is_the_same_in_every_format(side, detail):
    """A JPEG is decoded at a fraction of its size, of which too little may be left inside the border."""
    rgb = np.full((800, 800, 3), 255, np.uint8)
    place = slice(400 - side // 2, 400 + side // 2)
    smooth = cv2.resize(picture(20, 20), (side, side), interpolation=cv2.INTER_CUBIC)  # so that JPEG changes it little
    rgb[place, place] = smooth
    plain, jpeg = (
        shrink(data, PREPROCESS, 10**6, detail) for data in (encode(rgb, "PNG"), images.encode_jpeg(rgb, 95))
    )
    assert np.abs(np.subtract(plain.box, jpeg.box)).max() <= 4
    halves = Analysis(np.tile((np.arange(64) >= 32).astype(np.float32), (64, 1)), np.ones((1, 1)))
    focus = [focus_of(halves, photo, Score()) for photo in (plain, jpeg)]
    assert focus[0].blur_fraction == pytest.approx(focus[1].blur_fraction, abs=0.05)
    for photo in (plain, jpeg):
        assert np.abs(photo.pixels.astype(int) - PREPROCESS.shrink(photo.box.crop(rgb))).mean() < 12


@pytest.mark.parametrize("colour", [0, 128, 255])
@pytest.mark.parametrize("border", [(0, 0, 0, 0), (30, 30, 0, 0), (0, 0, 20, 40), (25, 10, 40, 5)])
def test_mats_and_letterboxes(border, colour):
    top, _bottom, left, _right = border
    box = inside_borders(framed(*border, colour))
    exact = (left, top, left + 160, top + 120)
    assert np.abs(np.subtract(box, exact)).max() <= 2
    assert box.x0 >= left and box.y0 >= top and box.x1 <= left + 160 and box.y1 <= top + 120


def test_a_letterbox_within_a_mat():
    inner = np.pad(picture(), ((20, 20), (0, 0), (0, 0)))
    outer = np.pad(inner, ((15, 15), (15, 15), (0, 0)), constant_values=255)
    assert np.abs(np.subtract(inside_borders(outer), (15, 35, 175, 155))).max() <= 4


def test_jpeg_and_bars_of_two_colours():
    bars = np.pad(picture(), ((40, 0), (0, 0), (0, 0)))
    both = images.decode(images.encode_jpeg(np.pad(bars, ((0, 40), (0, 0), (0, 0)), constant_values=255), 90))
    box = inside_borders(both)
    assert 40 <= box.y0 <= 44 and 156 <= box.y1 <= 160  # although blocks of 8 pixels beside the edge are disturbed
    assert (box.x0, box.x1) == (0, 160)


def test_a_sky_is_no_border():
    photo = picture()
    photo[:60] = np.linspace(120, 220, 60)[:, None, None]  # a clear sky grows lighter downwards
    assert inside_borders(photo)[1] < 8


@pytest.mark.parametrize("photo", [np.full((50, 60, 3), 9, np.uint8), framed(300, 300, 0, 0), picture(8, 8)])
def test_nearly_all_border_or_tiny_is_left_as_it_is(photo):
    height, width = photo.shape[:2]
    assert inside_borders(photo) == (0, 0, width, height)


def test_figures_are_of_the_picture_and_the_map_is_painted_back():
    photo = images.encode_png(framed(60, 60, 0, 0))
    seen = shrink(photo, PREPROCESS, images.MAX_PIXELS)
    assert (seen.width, seen.height) == (160, 240)
    assert np.abs(np.subtract(seen.box, (0, 60, 160, 180))).max() <= 2
    analysis = Analysis(np.ones((64, 64), np.float32), np.ones((16, 16)))
    focus = focus_of(analysis, seen, Score())
    assert (focus.blur_fraction, focus.verdict) == (1.0, "blurred")
    painted = map_of(analysis, seen)
    assert painted.shape == (64, 64)
    assert painted[20:44].min() == 1
    assert painted[:14].max() == painted[-14:].max() == 0


def test_without_borders_nothing_changes():
    seen = shrink(images.encode_png(picture()), PREPROCESS, images.MAX_PIXELS)
    assert (seen.pixels == PREPROCESS.shrink(picture())).all()
    analysis = Analysis(np.ones((64, 64), np.float32), np.ones((16, 16)))
    assert map_of(analysis, seen) is analysis.defocus


def test_a_box_at_another_size():
    assert Box(10, 20, 30, 40).scaled((100, 100), (50, 200)) == (20, 10, 60, 20)
    assert Box(99, 99, 100, 100).scaled((100, 100), (3, 3)) == (2, 2, 3, 3)
