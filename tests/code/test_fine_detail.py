"""The example that compares a map with the photo's fine detail finds the blur that was put in, without a network, and
says so where noise or smoothness leaves nothing to compare."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from examples import fine_detail
from r2mrf.imaging import images
from r2mrf.rendering.lens import defocus as blur

RIGHT = np.zeros((600, 800), bool)
RIGHT[:, 400:] = True


def half_blurred(radius: float, noise: float = 0.0) -> np.ndarray:
    """Return a texture, uint8 H×W, whose right half is blurred by a disc, with noise (levels of grey) all over."""
    generator = np.random.default_rng(0)
    light = cv2.GaussianBlur(generator.random(RIGHT.shape, dtype=np.float32), (0, 0), 0.8)
    light = np.repeat(light[..., None], 3, axis=2)
    if radius:
        light[RIGHT] = blur(light, radius)[RIGHT]
    return np.rint(light[..., 0] * 255 + generator.normal(0, noise, RIGHT.shape)).clip(0, 255).astype(np.uint8)


def parts(grey: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return fine_detail.tiles(grey, ~RIGHT), fine_detail.tiles(grey, RIGHT)


@pytest.mark.parametrize(("radius", "noise"), [(0.0, 0), (1.1, 0), (1.6, 0), (1.1, 0.3), (0.0, 1)])
def test_it_tells_the_radius_of_the_blurred_part(radius, noise):
    grey = half_blurred(radius, noise)
    sharp, soft = parts(grey)
    assert len(sharp) > 10
    assert fine_detail.doubt(grey, sharp, soft) is None
    assert fine_detail.disc(sharp, soft) == pytest.approx(radius, abs=0.3)


def test_noise_is_not_taken_for_detail():
    grey = half_blurred(2.2, noise=2.5)
    sharp, soft = parts(grey)
    assert fine_detail.disc(sharp, soft) < 1.9  # what noise makes of 2.2
    assert "of the fine detail out of focus may be noise" in fine_detail.doubt(grey, sharp, soft)


def test_noise_in_a_part_that_the_blur_left_smooth_is_no_texture():
    grey = half_blurred(12, noise=2.5)
    grey[RIGHT] = np.rint(grey + np.linspace(-60, 60, 800))[RIGHT].clip(0, 255).astype(np.uint8)  # much contrast
    sharp, soft = parts(grey)
    assert soft == []
    assert fine_detail.doubt(grey, sharp, soft) == "fewer than 10 tiles with texture are out of focus"


def waves(frequency: float, amplitude: float) -> np.ndarray:
    side = fine_detail.TILE + 2 * fine_detail.MARGIN
    return np.tile(amplitude * np.sin(2 * np.pi * frequency * np.arange(side)), (side, 1))


def test_detail_by_hand():
    """Check that a wave has the standard deviation amplitude / √2, and that noise has the same energy everywhere.

    The bands have the areas π (0.12² - 0.06²) and π (0.5² - 0.25²), in which the energy of a wave is spread.
    """
    assert fine_detail.texture(waves(0.09, 10)) == pytest.approx(10 / 2**0.5, rel=0.03)
    assert fine_detail.texture(waves(0.3, 10)) < 0.1
    both = waves(0.09, 10) + waves(0.35, 3)
    assert fine_detail.median([both]) == pytest.approx(0.3**2 * (0.12**2 - 0.06**2) / (0.5**2 - 0.25**2), rel=0.06)
    noise = np.random.default_rng(0).normal(0, 4, (144, 144))
    assert fine_detail.detail(noise) == pytest.approx((16, 16, 16), rel=0.2)


def test_a_photo_without_texture(tmp_path: Path, capsys):
    (tmp_path / "flat.png").write_bytes(images.encode_png(np.full((400, 400, 3), 128, np.uint8)))
    with pytest.raises(SystemExit) as ended:
        fine_detail.main([str(tmp_path / "flat.png")])
    assert str(ended.value).startswith("cannot tell whether the map is right: fewer than 10 tiles with texture are ")
    out = capsys.readouterr().out.splitlines()
    assert out[1:] == ["fine detail in focus: no tile with texture", "fine detail out of focus: no tile with texture"]
