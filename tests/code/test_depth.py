"""Pictures of more than 8 bits are scaled by the range that the file states, or else by their own."""

import cv2
import numpy as np
import pytest

from r2mrf.imaging.images import ImageError, decode
from tests.support.picture_files import encode, gradient, tiff_file

GREY = gradient(48, 64)[..., 1]


def deep_tiff(values: np.ndarray, bits: int, planar: int = 1, extra: dict | None = None) -> bytes:
    height, width, *rest = values.shape
    samples, kind = (rest or [1])[0], {"u": 1, "f": 3}[values.dtype.kind]
    pixels = (np.moveaxis(values, -1, 0) if planar == 2 else values).tobytes()
    strip = len(pixels) // (samples if planar == 2 else 1)
    place = 8
    tags = {256: ("I", (width,)), 257: ("I", (height,)), 258: ("H", (bits,) * samples), 259: ("H", (1,))}
    tags |= {262: ("H", (2 if samples >= 3 else 1,)), 277: ("H", (samples,)), 278: ("I", (height,))}
    tags |= {284: ("H", (planar,)), 339: ("H", (kind,) * samples)} | (extra or {})
    count = len(pixels) // strip
    tags |= {273: ("I", tuple(place + i * strip for i in range(count))), 279: ("I", (strip,) * count)}
    if samples > 3:
        tags[338] = ("H", (0,) * (samples - 3))
    return tiff_file([tags], pixels=pixels)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("form", ["png", "tiff"])
def test_grey_of_fewer_bits_in_sixteen_is_not_dark(bits, form):
    values = (GREY.astype(float) / GREY.max() * (2**bits - 1)).astype(np.uint16)
    data = deep_tiff(values, 16) if form == "tiff" else cv2.imencode(".png", values)[1].tobytes()
    np.testing.assert_allclose(decode(data)[..., 0], values / (2**bits - 1) * 255, atol=1)


def test_the_file_says_its_range():
    values = (GREY.astype(np.uint16) * 8) + 1
    said = deep_tiff(values, 16, extra={281: ("H", (4095,))})
    np.testing.assert_allclose(decode(said)[..., 0], values / 4095 * 255, atol=1)


def test_a_hot_pixel_does_not_make_a_picture_black():
    values = GREY.astype(np.float32) / 300
    values[3, 5] = 4000
    np.testing.assert_allclose(decode(deep_tiff(values, 32))[10:, :, 0], values[10:] * 255, atol=1)
    counts = GREY.astype(np.uint16) * 16
    counts[3, 5] = 65535
    assert decode(deep_tiff(counts, 16))[10:, :, 0].max() > 200


@pytest.mark.parametrize("samples", [3, 4])
def test_planar_sixteen_bit_colour_is_read_in_order(samples):
    rgb = gradient(48, 64).astype(np.uint16) * 257
    values = np.concatenate([rgb, np.full((48, 64, 1), 65535, np.uint16)], -1)[..., :samples]
    data = deep_tiff(np.ascontiguousarray(values), 16, planar=2)
    np.testing.assert_allclose(decode(data).astype(int), gradient(48, 64), atol=1)
    turned = deep_tiff(np.ascontiguousarray(values), 16, planar=2, extra={274: ("H", (6,))})
    np.testing.assert_allclose(decode(turned).astype(int), np.rot90(gradient(48, 64), -1), atol=1)
    with pytest.raises(ImageError) as caught:
        decode(deep_tiff(np.ascontiguousarray(values[:-1]), 16, planar=2, extra={257: ("I", (48,))}))
    assert caught.value.reason == "corrupt"


@pytest.mark.parametrize("samples", [3, 5])
def test_bands_that_are_not_read_are_named(samples):
    values = np.zeros((48, 64, samples), np.float32 if samples == 3 else np.uint16)
    with pytest.raises(ImageError) as caught:
        decode(deep_tiff(values, 32 if samples == 3 else 16))
    assert caught.value.reason == "unsupported"
    assert f"{samples} {'float ' if samples == 3 else ''}bands" in caught.value.detail


def test_eight_bits_in_sixteen():
    assert decode(encode(GREY, "TIFF")).tolist() == decode(deep_tiff(GREY.astype(np.uint16), 16)).tolist()


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("form", ["png", "tiff"])
def test_colour_of_fewer_bits_in_sixteen_is_not_dark(bits, form):
    values = (gradient(48, 64).astype(float) / 255 * (2**bits - 1)).astype(np.uint16)
    png = cv2.imencode(".png", values[..., ::-1])[1].tobytes()
    data = deep_tiff(values, 16, extra={274: ("H", (6,))}) if form == "tiff" else png
    expected = np.rot90(gradient(48, 64), -1) if form == "tiff" else gradient(48, 64)
    np.testing.assert_allclose(decode(data).astype(int), expected, atol=2)
