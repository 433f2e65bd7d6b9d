"""The example that compares a map with the photo's fine detail finds the blur that was put in, without a network."""

import cv2
import numpy as np
import pytest

from examples import fine_detail
from r2mrf.rendering.lens import defocus as blur


@pytest.mark.parametrize("radius", [0.0, 1.1, 1.6])
def test_it_tells_the_radius_of_the_blurred_part(radius):
    light = np.random.default_rng(0).random((600, 800), dtype=np.float32)
    light = np.repeat(cv2.GaussianBlur(light, (0, 0), 0.8)[..., None], 3, axis=2)
    right = np.zeros((600, 800), bool)
    right[:, 400:] = True
    if radius:
        light[right] = blur(light, radius)[right]
    grey = np.rint(light[..., 0] * 255).astype(np.uint8)
    sharp, soft = fine_detail.tiles(grey, ~right), fine_detail.tiles(grey, right)
    assert len(sharp) > 10
    assert fine_detail.disc(sharp, soft) == pytest.approx(radius, abs=0.3)
