"""Masks of other programs are read as they were meant, or refused if that is ambiguous."""

import numpy as np
import pytest
from PIL import Image

from r2mrf.imaging.images import ImageError
from r2mrf.imaging.masks import read_map, read_mask
from tests.support.picture_files import encode

SHAPE = np.zeros((24, 40), np.uint8)
SHAPE[:, 25:] = 1
BLACK_AND_WHITE = SHAPE * np.uint8(255)


def palette(colours: list[int], index: np.ndarray = SHAPE) -> bytes:
    image = Image.fromarray(index, "P")
    image.putpalette(colours)
    return encode(image, "PNG")


def with_alpha(colour: np.ndarray, alpha: np.ndarray) -> bytes:
    return encode(np.dstack([colour] * 3 + [alpha]), "PNG")


ALL, NOTHING = np.full_like(SHAPE, 255), np.zeros_like(SHAPE)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0]
READ = {
    "black and white": (encode(BLACK_AND_WHITE, "PNG"), ""),
    "one bit": (encode(Image.fromarray(BLACK_AND_WHITE).convert("1"), "PNG"), ""),
    "black and white in a palette": (palette([0, 0, 0, 255, 255, 255]), ""),
    "0 and 1": (encode(SHAPE, "PNG"), "classes"),
    "8 of 16 bits": (encode(SHAPE.astype(np.uint16) * 255, "PNG"), ""),
    "0 and 1 in 16 bits": (encode(SHAPE.astype(np.uint16), "PNG"), "classes"),
    "classes in a palette": (palette(VOC), "palette"),
    "alpha 0 everywhere": (with_alpha(BLACK_AND_WHITE, NOTHING), "opaque"),
    "drawn in alpha": (with_alpha(NOTHING, BLACK_AND_WHITE), "alpha"),
    "white on nothing": (with_alpha(BLACK_AND_WHITE, BLACK_AND_WHITE), "opaque"),
}


@pytest.mark.parametrize("kind", READ)
def test_masks_are_read_as_they_were_meant(kind):
    data, note = READ[kind]
    mask = read_mask(data)
    np.testing.assert_array_equal(mask.pixels, BLACK_AND_WHITE)
    assert mask.note == note


def test_class_255_of_a_palette_is_doubt():
    index = SHAPE.copy()
    index[:4] = 255
    mask = read_mask(palette(VOC + [0] * 759, index)).pixels
    assert (mask[:4] == 128).all() and (mask[4:] == BLACK_AND_WHITE[4:]).all()


def test_a_turned_mask_is_shown_upright_and_noted():
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = read_mask(encode(BLACK_AND_WHITE, "PNG", exif=exif))
    np.testing.assert_array_equal(mask.pixels, np.rot90(BLACK_AND_WHITE, -1))
    assert mask.note == "turned"


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_a_turned_map_is_shown_upright_whatever_its_form(form):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(np.dstack([BLACK_AND_WHITE] * 3 + [np.full_like(BLACK_AND_WHITE, 200)]))
    np.testing.assert_array_equal(read_map(encode(picture, form, exif=exif)).pixels, np.rot90(BLACK_AND_WHITE, -1))


PROBABILITIES = np.linspace(0.01, 0.2, 960).reshape(24, 40)  # of a photo that is mostly in focus


@pytest.mark.parametrize(
    "stored",
    [
        encode((PROBABILITIES * 65535).astype(np.uint16), "PNG"),
        encode((PROBABILITIES * 65535).astype(np.uint16), "TIFF"),
        encode(PROBABILITIES.astype(np.float32), "TIFF"),
        encode((PROBABILITIES * 255).astype(np.float32), "TIFF"),
    ],
    ids=["16-bit PNG", "16-bit TIFF", "floats", "floats up to 255"],
)
def test_the_values_of_a_map_are_not_stretched(stored):
    np.testing.assert_allclose(read_map(stored).pixels, PROBABILITIES * 255, atol=1)


@pytest.mark.parametrize("most", [0.0005, 0.0038, 0.0041, 1.0, 1.0000001, 1.01])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_map_is_not_stretched_whatever_its_largest_value_is(most, kind):
    map_ = np.linspace(0, min(most, 1) if kind is np.uint16 else most, 960).reshape(24, 40)
    stored = encode((map_ * 65535).astype(kind) if kind is np.uint16 else map_.astype(kind), "TIFF")
    np.testing.assert_allclose(read_map(stored).pixels, (map_ * 255).clip(0, 255), atol=1)


UNCERTAIN = {
    "dark": encode(SHAPE * np.uint8(100), "PNG"),
    "dark, in 16 bits": encode(SHAPE * np.uint16(100), "PNG"),
    "three classes": palette(VOC, SHAPE + np.uint8(1)),
    "colours against transparency": with_alpha(BLACK_AND_WHITE, 255 - BLACK_AND_WHITE),
}


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_an_ambiguous_mask_is_refused(kind):
    with pytest.raises(ImageError, match="which value means white") as caught:
        read_mask(UNCERTAIN[kind])
    assert caught.value.reason == "ambiguous"


@pytest.mark.parametrize(("kind", "values"), [("dark", (0, 100)), ("three classes", (1, 2))])
def test_given_values_decide(kind, values):
    np.testing.assert_array_equal(read_mask(UNCERTAIN[kind], values).pixels, BLACK_AND_WHITE)
    np.testing.assert_array_equal(read_mask(UNCERTAIN[kind], values[::-1]).pixels, 255 - BLACK_AND_WHITE)


@pytest.mark.parametrize(("most", "note"), [(1, ""), (2, "dim"), (254, "dim"), (255, ""), (256, "")])
def test_a_map_of_16_bits_that_may_be_meant_as_one_of_8_is_noted(most, note):
    assert read_map(encode(SHAPE * np.uint16(most), "TIFF")).note == note


def test_maps_may_be_dark_everywhere():
    for dark in (SHAPE, SHAPE * np.uint8(100)):
        np.testing.assert_array_equal(read_map(encode(dark, "PNG")).pixels, dark)
