"""Blur in pixels of the photo, from the views at which it stops being in focus."""

import numpy as np
import pytest

from pipelines.project.samples import samples
from r2mrf.imaging import images
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.resize import resize
from r2mrf.network import checkpoint
from r2mrf.prediction.analyser import Analyser, Analysis
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.radius import UNKNOWN, exceeded, ladder, to_hundredths
from r2mrf.rendering import lens
from r2mrf.rendering.camera import Camera, to_linear
from r2mrf.rendering.scenes import render_scene
from tests.support.model import save_tiny_model

SCALE = BlurScale(1.0, 10.0, True)


@pytest.fixture(scope="module")
def released() -> Predictor:
    return Predictor.load("lite", "openvino")


@pytest.fixture(scope="module")
def sharp() -> np.ndarray:
    """Return a photo in focus, a cup of coffee on a wooden table, 300×200 pixels."""
    rgb = images.load(next(path for path in samples() if path.stem == "coffee"))
    return resize(rgb, 200, 300)


def blurred(rgb: np.ndarray, radius: float) -> np.ndarray:
    light = lens.defocus(to_linear(rgb), radius)
    return Camera(contrast=0, sharpening=0).develop(light, np.random.default_rng(0))[0]


def test_the_ladder_rises_to_1_to_1_by_half_octaves():
    steps = ladder(3000, 4000, 1.0)
    assert steps[-1] == (3000, 4000)
    assert steps[-3] == (1500, 2000)
    assert steps[-2] == (2121, 2828)
    assert 4000 / steps[0][1] * 2**0.25 >= 0.05 * 4000  # the smallest view tells 5 % of the long side
    assert ladder(1, 1, 1.0) == [(1, 1)]


def test_a_view_says_how_far_a_radius_exceeds_its_threshold():
    found = exceeded(np.array([0, 0.5, 1, 1 / (1 + np.exp(5))], np.float32), SCALE)
    np.testing.assert_allclose(found, [0, 0.5, 1, 0.25], atol=1e-4)


class Ideal(Analyser):
    """A stand-in for a network that calls a photo of one radius blurred exactly at the views where it should.

    The photo is a ramp, whose slope tells the view's scale; the logit rises by 20 an octave.
    """

    def __init__(self, predictor: Predictor, radius: float):
        super().__init__(predictor.preprocess, predictor.engine, SCALE)
        self.radius = radius

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        return [
            Analysis(np.full(photo.shape[:2], self._probability(photo), np.float32), np.ones((1, 1)))
            for photo in photos
        ]

    def _probability(self, photo: np.ndarray) -> float:
        scale = np.abs(np.diff(photo[0, :, 0].astype(float))).mean() * (RAMP / 255)  # photo pixels a pixel
        return float(1 / (1 + np.exp(-20 * np.log2(self.radius / scale))))


RAMP = 320


@pytest.mark.parametrize("radius", [1.05, 1.2, 1.41, 1.7, 2.0, 2.6, 3.3, 4.7])
def test_radii_between_the_views_are_interpolated(tmp_path, radius):
    predictor = Predictor.load(save_tiny_model(tmp_path / "model"))
    photo = np.zeros((40, RAMP, 3), np.uint8) + np.linspace(0, 255, RAMP)[None, :, None].astype(np.uint8)
    ideal = Ideal(predictor, radius)
    measured = ideal.blur_radius(photo)
    assert np.nanmedian(measured) == pytest.approx(radius, rel=0.08)


def test_known_radii_are_found_and_rise(released, sharp):
    medians = [float(np.nanmedian(released.blur_radius(blurred(sharp, radius)))) for radius in (2, 3, 5)]
    assert medians == sorted(medians)
    for median, radius in zip(medians, (2, 3, 5), strict=True):
        assert median == pytest.approx(radius, rel=0.3)


def test_what_is_sharp_at_1_to_1_has_radius_0(released, sharp):
    assert np.mean(released.blur_radius(sharp) == 0) > 0.9


def test_a_half_that_is_blurred_is_found_at_its_radius(released, sharp):
    photo = sharp.copy()
    photo[:, 150:] = blurred(sharp, 4)[:, 150:]
    radius = released.blur_radius(photo)
    assert radius.shape == (200, 300)
    assert radius.dtype == np.float32
    assert np.mean(radius[:, :125] == 0) > 0.8
    assert np.nanmedian(radius[:, 180:]) == pytest.approx(4, rel=0.3)


def test_without_texture_nothing_can_be_told(released):
    assert np.isnan(released.blur_radius(np.full((400, 500, 3), 90, np.uint8))).all()


def test_hundredths_of_a_pixel():
    radius = np.array([[0, 1.234, np.nan, 5000]], np.float32)
    stored = to_hundredths(radius)
    np.testing.assert_array_equal(stored, [[0, 123, UNKNOWN, UNKNOWN - 1]])
    assert stored.dtype == np.uint16


def test_the_scale_is_kept_with_the_model(tmp_path):
    folder = save_tiny_model(tmp_path / "model")
    loaded = checkpoint.load(folder)
    assert not loaded.blur_scale.measured
    changed = checkpoint.Checkpoint(
        loaded.network, loaded.model, loaded.preprocess, blur_scale=BlurScale(1.5, 8.0, True)
    )
    again = Predictor.load(checkpoint.save(tmp_path / "other", changed))
    assert again.blur_scale == BlurScale(1.5, 8.0, True)
    assert again.checkpoint.sha256 == loaded.sha256  # maps are the same


def test_a_scale_that_is_not_measured_is_said(tmp_path, caplog):
    predictor = Predictor.load(save_tiny_model(tmp_path / "model"))
    predictor.blur_radius(images.decode(render_scene(0, 64).jpeg))
    assert "has not been measured" in caplog.text
