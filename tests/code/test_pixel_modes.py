"""Grey, CMYK, deep, float, transparent and palette pictures become RGB of 8 bits as they are displayed."""

import cv2
import numpy as np
import pytest
from PIL import Image

from r2mrf.imaging.images import decode
from tests.support.decoded import assert_near
from tests.support.picture_files import H, W, encode, gradient


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF"])
def test_grey(form):
    grey = gradient()[..., 0]
    assert_near(decode(encode(grey, form)), np.repeat(grey[..., None], 3, axis=-1))


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_one_bit(form):
    bits = (np.indices((H, W)).sum(axis=0) % 2 * 255).astype(np.uint8)
    shown = decode(encode(Image.fromarray(bits).convert("1", dither=Image.Dither.NONE), form))
    np.testing.assert_array_equal(shown, np.repeat(bits[..., None], 3, axis=-1))


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(form):
    # no cyan, all magenta and yellow, no black: red
    shown = decode(encode(Image.new("CMYK", (W, H), (0, 255, 255, 0)), form))
    assert_near(shown, np.broadcast_to([255, 0, 0], (H, W, 3)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(suffix):
    deep = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
    shown = decode(cv2.imencode(suffix, deep)[1].tobytes())
    # 65535 = 255 · 257
    np.testing.assert_array_equal(shown, np.repeat(np.rint(deep / 257).astype(np.uint8)[..., None], 3, axis=-1))


def test_sixteen_bit_file_with_eight_bit_values():
    deep = np.arange(H * W, dtype=np.uint16).reshape(H, W) % 256
    shown = decode(cv2.imencode(".png", deep)[1].tobytes())
    np.testing.assert_array_equal(shown[..., 0], deep.astype(np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colour(suffix):
    deep = gradient().astype(np.uint16) * 257
    shown = decode(cv2.imencode(suffix, deep[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(shown, gradient())


def test_thirty_two_bit_integers_by_their_own_range():
    deep = np.linspace(0, 1_000_000, H * W).reshape(H, W).astype(np.int32)
    shown = decode(encode(deep, "TIFF"))[..., 0]
    np.testing.assert_array_equal(shown, np.rint(deep / 1_000_000 * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("top", "scale"), [(1.0, 255), (0.5, 255), (1000.0, 0.255)], ids=["[0, 1]", "dark", "own range"]
)
def test_float_tiff(top, scale):
    values = np.linspace(0, top, H * W, dtype=np.float32).reshape(H, W)
    shown = decode(encode(values, "TIFF"))[..., 0]
    np.testing.assert_allclose(shown, values * scale, atol=0.51)


def test_float_tiff_with_values_that_are_no_numbers():
    values = np.full((H, W), 0.4, np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    shown = decode(encode(values, "TIFF"))[..., 0]
    assert shown[0, :3].tolist() == [0, 0, 0]
    assert (shown[1:] == 102).all()  # 0.4 · 255


def test_transparency_lies_over_white():
    rgba = np.zeros((H, W, 4), np.uint8)  # black
    rgba[:, 20:, 3] = 255
    shown = decode(encode(rgba, "PNG"))
    assert (shown[:, :20] == 255).all()
    assert (shown[:, 20:] == 0).all()


def test_half_transparent_black_over_white_is_grey():
    shown = decode(encode(Image.new("LA", (W, H), (0, 128)), "PNG"))
    assert (np.abs(shown.astype(int) - 127) <= 1).all()  # 255 · (1 − 128/255)


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_palette_with_and_without_transparency(form):
    image = Image.fromarray((np.arange(H * W).reshape(H, W) % 2).astype(np.uint8), "P")
    image.putpalette([200, 10, 20, 30, 220, 40])
    opaque = decode(encode(image, form))
    assert opaque[0, 0].tolist() == [200, 10, 20]
    assert opaque[0, 1].tolist() == [30, 220, 40]
    clear = decode(encode(image, form, transparency=1))
    assert clear[0, 0].tolist() == [200, 10, 20]
    assert clear[0, 1].tolist() == [255, 255, 255]
