"""A photo seen in a pyramid of windows: what must hold for any weights."""

from pathlib import Path

import numpy as np
import pytest

from r2mrf.errors import UserError
from r2mrf.imaging.resize import lay_in
from r2mrf.prediction import views
from r2mrf.prediction.analyser import Analyser, Analysis
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.windows import count, crop_map, windows
from tests.support.model import save_tiny_model

SIDE = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("views") / "model")


@pytest.fixture(scope="module")
def predict(model) -> Predictor:
    return Predictor.load(model)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_coarse_map_is_enlarged_to_the_width_of_a_panorama():
    """It is enlarged in pieces, because OpenCV cannot do so with 32,767 columns or more."""
    coarse = np.tile(np.linspace(0, 1, 500, dtype=np.float32), (3, 1))
    width = 40_000
    places = ((np.arange(width) + 0.5) * 500 / width - 0.5).clip(0, 499)
    fine = crop_map(coarse, slice(0, 6), slice(0, width), 6, width)
    np.testing.assert_allclose(fine, np.tile(places / 499, (6, 1)), atol=1e-4)


class Bright(Analyser):
    """A stand-in for a network that calls bright pixels out of focus; it counts the windows that it is given."""

    def __init__(self, predictor: Predictor):
        super().__init__(predictor.preprocess, predictor.engine)
        self.seen = 0

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        assert photos.shape[1:] == (SIDE, SIDE, 3)
        self.seen += len(photos)
        return [Analysis(photo[..., 0].astype(np.float32) / 255, np.ones((1, 1))) for photo in photos]


@pytest.fixture
def bright(predict) -> Bright:
    return Bright(predict)


@pytest.mark.parametrize("shape", [(64, 64), (65, 64), (200, 333), (30, 500), (1, 1), (129, 10)])
def test_windows_cover_every_pixel_once(shape):
    total, number = np.zeros(shape), 0
    for window in windows(*shape, SIDE):
        assert window.share.min() > 0
        total[window.rows, window.columns] += window.share
        number += 1
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert number == count(*shape, SIDE)


def test_padding_to_a_window_keeps_pixels_and_reflects_them():
    pixels = noise(20, 7)
    laid = lay_in(pixels, SIDE)
    np.testing.assert_array_equal(laid[:20, :7], pixels)
    np.testing.assert_array_equal(laid[20:40, :7], pixels[::-1])
    np.testing.assert_array_equal(laid[:20, 7:14], pixels[:, ::-1])


@pytest.mark.parametrize(
    ("shape", "view", "expected"),
    [
        ((300, 400), "whole", []),
        ((300, 400), "full", [(75, 100), (150, 200), (300, 400)]),
        ((300, 400), 200, [(75, 100), (150, 200)]),
        ((300, 400), 5000, [(75, 100), (150, 200), (300, 400)]),
        ((64, 64), "full", [(64, 64)]),
        ((40, 50), "full", [(40, 50)]),
        ((2, 2000), 125, [(1, 125)]),
    ],
)
def test_views_double_up_to_the_one_that_is_asked_for(shape, view, expected):
    assert views.sizes(*shape, SIDE, view) == expected


def test_full_view_of_a_photo_of_the_inputs_size_is_the_whole_view(predict):
    photo = noise(SIDE, SIDE)
    np.testing.assert_allclose(predict(photo, "full"), predict(photo), atol=1e-6)
    np.testing.assert_allclose(predict(photo, view=SIDE), predict(photo), atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (200, 90), (9, 700), (700, 65)])
@pytest.mark.parametrize("view", ["full", 100])
def test_every_shape_has_a_map_of_its_size(predict, shape, view):
    defocus = predict(noise(*shape), view)
    assert (defocus.shape, defocus.dtype) == (shape, np.float32)
    assert 0 <= defocus.min() <= defocus.max() <= 1


def test_what_lies_at_any_place_is_seen_there(bright):
    photo = np.zeros((300, 500, 3), np.uint8)
    photo[100:220, 150:410] = 255
    defocus = bright(photo, "full")
    inner, outer = np.zeros((300, 500), bool), np.ones((300, 500), bool)
    inner[108:212, 158:402], outer[92:228, 142:418] = True, False
    assert defocus[inner].min() > 0.99
    assert defocus[outer].max() < 0.01


def test_clearly_blurred_windows_are_not_examined_again(bright):
    bright(np.full((512, 512, 3), 255, np.uint8), "full")
    assert bright.seen == 1
    bright(np.zeros((512, 512, 3), np.uint8), "full")
    assert bright.seen == 2 + count(128, 128, SIDE) + count(256, 256, SIDE) + count(512, 512, SIDE)


def test_regions_blurred_in_a_small_view_stay_blurred(bright):
    """Specks that only the 1:1 view shows, such as noise, do not change what the whole view is sure of."""
    photo = np.full((256, 256, 3), 255, np.uint8)
    photo[::8, ::8] = 64
    photo[200:, 200:] = 0  # makes the windows there worth a look
    assert bright(photo, "full")[:150, :150].min() > 0.9


def test_a_larger_view_decides_where_a_small_one_is_not_sure(bright):
    photo = np.zeros((256, 256, 3), np.uint8)
    photo[::2] = 255  # grey in all views but 1:1
    np.testing.assert_allclose(bright(photo, "full"), photo[..., 0] / 255, atol=1e-5)


def test_shift_by_a_stride_moves_the_map(predict):
    """Within one view, a photo and its crop by a stride have the same windows; other windows reach no farther."""
    stride = SIDE - SIDE // 4
    photo = noise(SIDE, 9 * stride + SIDE)
    all_of_it = views.refine(predict, photo, None)
    crop = views.refine(predict, photo[:, stride:], None)
    far = 4 * stride  # from the window that only one of them has
    np.testing.assert_allclose(crop[:, far:], all_of_it[:, stride + far :], atol=1e-3)


class Opinionated(Bright):
    """A stand-in for a network that calls a whole window what its first pixel says: bright = out of focus.

    So windows contradict each other as much as they can, as a network's may on a photo without texture.
    """

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        first = [float(photo[0, 0, 0]) / 255 for photo in photos]
        return [Analysis(np.full((SIDE, SIDE), defocus, np.float32), np.ones((1, 1))) for defocus in first]


def test_edges_of_windows_that_contradict_each_other_do_not_show(predict):
    """The map passes from one window to the next over more than half a window; a weighted mean takes an eighth."""
    stride = SIDE - SIDE // 4
    photo = np.full((SIDE, 5 * stride + SIDE, 3), 5, np.uint8)
    photo[:, 3 * stride :] = 250
    defocus = views.refine(Opinionated(predict), photo, None)[SIDE // 2]
    assert (np.diff(defocus) > -0.02).all()
    assert ((defocus > 0.1) & (defocus < 0.9)).sum() > SIDE // 2
    np.testing.assert_allclose(defocus[[0, -1]], np.array([5, 250]) / 255, atol=0.01)


def test_engines_agree(model, predict):
    photo = noise(150, 190)
    for engine in ("onnx", "openvino"):
        np.testing.assert_allclose(Predictor.load(model, engine)(photo, "full"), predict(photo, "full"), atol=1e-3)


@pytest.mark.parametrize("view", ["half", 63, -1, "", "1e3", 0.5])
def test_an_invalid_view_is_refused_with_advice(predict, view):
    with pytest.raises(UserError, match="whole, full, or the length of the long side"):
        predict(noise(80, 80), view)
