"""Classical sharpness measures tell a blurred half from a sharp one, whatever its texture and size."""

import cv2
import numpy as np
import pytest

from r2mrf.evaluation.baselines import MEASURES, WINDOWS, Baseline, fit
from r2mrf.evaluation.metrics import count, f_at
from r2mrf.imaging.maps import to_uint8
from r2mrf.rendering.scenes import render_scene

SIDE = 128


def half_blurred(seed: int, height: int = 128, width: int = 128, seam: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return a texture of many sizes, blurred right of the seam, and its mask."""
    rng = np.random.default_rng(seed)
    photo = np.zeros((height, width, 3))
    for size in (2, 4, 8, 16):
        noise = rng.uniform(-1, 1, (height // size + 1, width // size + 1, 3))
        photo += cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST)
    photo = np.clip(128 + 30 * photo, 0, 255).astype(np.uint8)
    column, mask = round(seam * width), np.zeros((height, width), np.uint8)
    photo[:, column:] = cv2.GaussianBlur(photo, (0, 0), 3 * height / 128)[:, column:]
    mask[:, column:] = 255
    return photo, mask


@pytest.fixture(scope="module", params=MEASURES)
def baseline(request) -> Baseline:
    learn, choose = ([half_blurred(seed, seam=s) for seed, s in enumerate(seams)] for seams in ((0.3, 0.6), (0.5, 0.7)))
    return fit(request.param, learn, choose, SIDE)


@pytest.mark.parametrize("seam", [0.25, 0.5, 0.75])
def test_finds_the_seam(baseline, seam):
    photo, _ = half_blurred(100, seam=seam)
    columns = baseline(photo).mean(axis=0)
    found = int(np.argmax(columns >= 0.5))
    assert abs(found - seam * 128) <= baseline.window / 2 + 4  # a window sees both sides; so does the blur
    assert columns[: round(seam * 128) - 20].max() < 0.5 < columns[round(seam * 128) + 20 :].min()


def test_maps_are_probabilities_of_the_photos_size(baseline):
    photo, mask = half_blurred(101, 90, 150)
    defocus = baseline(photo)
    assert defocus.shape == mask.shape
    assert defocus.dtype == np.float32
    assert 0 <= defocus.min() < defocus.max() <= 1


def test_a_larger_print_of_a_photo_gives_the_same_map(baseline):
    photo, mask = half_blurred(102)
    larger = cv2.resize(photo, (384, 384), interpolation=cv2.INTER_CUBIC)
    smaller = cv2.resize(baseline(larger), (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(smaller - baseline(photo)).mean() < 0.05
    assert f_at(count(to_uint8(baseline(larger)), cv2.resize(mask, (384, 384))), 128) > 0.85


def test_more_blur_is_less_energy():
    photo = half_blurred(103, seam=1.0)[0][..., 0]
    for measure in MEASURES.values():
        for window in WINDOWS:
            steps = [
                measure((cv2.GaussianBlur(photo, (0, 0), s) if s else photo).astype(np.float32) / 255, window)
                for s in (0, 1, 2)  # beyond, shares are of rounding alone
            ]
            assert all(e.shape == photo.shape for e in steps)
            assert (np.diff([np.median(e) for e in steps]) < 0).all()


@pytest.mark.parametrize("measure", MEASURES.values())
def test_energy_of_shapes_that_no_window_divides(measure):
    for shape in ((33, 50), (64, 37), (101, 203)):
        energy = measure(np.random.default_rng(0).random(shape, np.float32), 17)
        assert energy.shape == shape
        assert np.isfinite(energy).all()
    assert measure(np.full((40, 40), 0.5, np.float32), 9).max() < 1e-6  # nothing to see


def test_the_window_is_chosen_on_the_other_pairs():
    # what is learnt from is the same; where blur lies in stripes, only a small window can tell
    learn = [half_blurred(seed) for seed in range(2)]
    photo, mask = half_blurred(7, seam=1.0)
    for left in range(0, 128, 32):
        photo[:, left : left + 16] = cv2.GaussianBlur(photo, (0, 0), 3)[:, left : left + 16]
        mask[:, left : left + 16] = 255
    assert fit("laplacian", learn, [(photo, mask)], SIDE).window == WINDOWS[0]


@pytest.mark.parametrize("value", [0, 255])
def test_pairs_that_are_all_of_one_kind(value):
    photo, mask = half_blurred(0)
    one_kind = [(photo, np.full_like(mask, value))]
    defocus = fit("gradient", one_kind, one_kind, SIDE)(photo)
    assert (np.mean(defocus >= 0.5) > 0.95) == bool(value)


def test_on_rendered_scenes_better_than_a_guess():
    pairs = [(scene.image, scene.mask) for scene in map(render_scene, range(8))]
    for measure in MEASURES:
        baseline = fit(measure, pairs[:4], pairs[4:6], 320)
        errors = [count(to_uint8(baseline(rgb)), mask).absolute_error for rgb, mask in pairs[6:]]
        assert np.mean(errors) < 0.45
