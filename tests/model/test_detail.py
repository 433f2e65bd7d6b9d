"""The sharpest place of a photo, found and measured by a few patches."""

import numpy as np
import pytest

from pipelines.project.samples import samples
from r2mrf.imaging import images
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.resize import resize
from r2mrf.prediction.detail import Detail, judge, make_probe
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering import lens
from r2mrf.rendering.camera import Camera, to_linear

SCALE = BlurScale(1.0, 10.0, True)


def blurred(rgb: np.ndarray, radius: float) -> np.ndarray:
    light = lens.defocus(to_linear(rgb), radius)
    return Camera(contrast=0, sharpening=0).develop(light, np.random.default_rng(0))[0]


@pytest.fixture(scope="module")
def released() -> Predictor:
    return Predictor.load("lite", "openvino")


@pytest.fixture(scope="module")
def sharp() -> np.ndarray:
    """Return a photo in focus, a cup of coffee on a wooden table, mirrored to 600×400 pixels."""
    rgb = resize(images.load(next(path for path in samples() if path.stem == "coffee")), 200, 300)
    return np.block([[[rgb], [rgb[:, ::-1]]], [[rgb[::-1]], [rgb[::-1, ::-1]]]])


def probed(predictor: Predictor, rgb: np.ndarray) -> Detail:
    probe = make_probe(rgb, predictor.preprocess.size)
    (analysis,) = predictor.analyse_batch(probe.picture[None])
    return judge(probe, analysis.defocus, predictor.blur_scale, rgb.shape[:2])


@pytest.mark.parametrize("shape", [(3000, 4000), (300, 400), (64, 64), (8, 8), (9, 4000), (4000, 9)])
def test_the_place_lies_within_the_photo(shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    probe = make_probe(rgb, 64)
    assert probe.picture.shape == (64, 64, 3)
    x0, y0, x1, y1 = probe.box
    assert 0 <= x0 < x1 <= shape[1]
    assert 0 <= y0 < y1 <= shape[0]
    assert all(probe.picture[inner].size for inner in probe.inner)
    if min(shape) > 60:
        assert (x1 - x0) * (y1 - y0) >= 0.005 * shape[0] * shape[1]


def test_the_place_with_most_detail_is_looked_at():
    rgb = np.full((600, 800, 3), 128, np.uint8)
    rgb[400:520, 600:720] = np.random.default_rng(0).integers(0, 256, (120, 120, 3))
    x0, y0, x1, y1 = make_probe(rgb, 64).box
    assert 590 <= x0 < x1 <= 730
    assert 390 <= y0 < y1 <= 530


@pytest.mark.parametrize(
    ("views", "radius", "view"), [(0, 0.0, 800), (1, 2**0.25, 673), (2, 2**0.75, 476), (6, 2**2.75, 119)]
)
def test_radius_and_view_follow_from_the_patches(views, radius, view):
    rgb = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    probe, defocus = make_probe(rgb, 64), np.zeros((64, 64), np.float32)
    for inner in probe.inner[:views]:
        defocus[inner] = 1
    detail = judge(probe, defocus, SCALE, (600, 800))
    assert detail.sharpest_radius == pytest.approx(radius, abs=1e-3)
    assert detail.sharp_view == view


def test_more_blur_than_can_be_told_is_unknown():
    rgb = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    detail = judge(make_probe(rgb, 64), np.ones((64, 64), np.float32), SCALE, (600, 800))
    assert (detail.sharpest_radius, detail.sharp_view) == (None, None)


def test_known_blur_is_measured(released, sharp):
    found = [probed(released, blurred(sharp, radius)).sharpest_radius for radius in (0, 2, 3, 5)]
    assert found[0] == 0
    for radius, measured in zip((2, 3, 5), found[1:], strict=True):
        assert measured == pytest.approx(radius, rel=0.3)
    assert found == sorted(found)


def test_the_sharp_corner_of_a_blurred_photo_is_found(released, sharp):
    photo = blurred(sharp, 5)
    photo[250:, 400:] = sharp[250:, 400:]
    detail = probed(released, photo)
    assert detail.sharpest_radius == 0
    assert detail.sharp_view == 600
    assert detail.sharpest_x0 >= 340
    assert detail.sharpest_y0 >= 200
