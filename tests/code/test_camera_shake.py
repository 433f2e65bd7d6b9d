"""The example that tries to tell camera shake from defocus, on photos that are blurred here."""

import cv2
import numpy as np
import pytest

from examples import camera_shake
from pipelines.project.samples import samples
from r2mrf.imaging import images
from r2mrf.rendering.lens import defocus


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("bend", [0.0, 0.2])
def test_a_shake_only_moves_light(rng, bend):
    kernel = camera_shake.shake(12, bend, rng)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    rows, columns = np.nonzero(kernel > 1e-3)
    assert 9 < max(np.hypot(rows - rows[0], columns - columns[0])) < 18


def test_shake_has_a_direction_and_defocus_has_none(rng):
    photo = next(images.load(path) for path in samples() if path.stem == "china")
    light = camera_shake.linear(photo)
    kernel = camera_shake.shake(12, 0, rng)
    shaken = cv2.filter2D(light, -1, kernel)
    first = [camera_shake.direction(camera_shake.developed(blurred, rng))[0] for blurred in (shaken, defocus(light, 4))]
    assert first[0] > 2 * first[1]


def test_prints_what_it_recognises(tmp_path, rng, capsys):
    for folder in ("sharp", "photos", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(4):
        noise = cv2.GaussianBlur(rng.integers(0, 256, (96, 120, 3)).astype(np.uint8), (0, 0), 1)
        (tmp_path / "sharp" / f"{i}.jpg").write_bytes(images.encode_jpeg(noise))
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(images.encode_jpeg(noise))
        (tmp_path / "masks" / f"{i}.png").write_bytes(images.encode_png(np.full((96, 120), 255, np.uint8)))
    camera_shake.main([str(tmp_path / folder) for folder in ("sharp", "photos", "masks")])
    said = capsys.readouterr().out
    assert "real defocus: " in said and " of 4 recognised" in said and "disc: " in said and "mean: " in said
