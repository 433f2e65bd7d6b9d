"""Photos of every format are decoded upright, in whole or no larger than needed; masks and encodings keep values."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from r2mrf.imaging import images
from r2mrf.imaging.images import ImageError, decode, decode_mask, decode_reduced, load
from tests.support.decoded import assert_near
from tests.support.picture_files import LOSSLESS, LOSSY, H, W, encode, gradient, noise


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_pixel(name):
    form, options = LOSSLESS[name]
    shown = decode(encode(noise(), form, **options))
    np.testing.assert_array_equal(shown, noise())
    assert shown.flags.c_contiguous


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats(name):
    form, options = LOSSY[name]
    assert_near(decode(encode(gradient(), form, **options)), gradient())


def test_content_counts_not_suffix(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(noise(), "PNG"))
    np.testing.assert_array_equal(load(path), noise())


def test_trailing_junk_does_no_harm():
    data = encode(gradient(), "JPEG")
    np.testing.assert_array_equal(decode(data + b"junk" * 100), decode(data))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_many(form):
    red, blue = (Image.new("RGB", (W, H), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if form == "WEBP" else {}
    shown = decode(encode(red, form, save_all=True, append_images=[blue], **options))
    np.testing.assert_array_equal(shown, np.broadcast_to([255, 0, 0], (H, W, 3)).astype(np.uint8))


# What each value of the EXIF tag asks of a viewer, after its definition: where row 0 and column 0 are shown.
ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),  # row 0 is shown at the right
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),  # row 0 is shown at the left
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    data = encode(gradient(), form, exif=exif, **options)
    assert_near(decode(data), ORIENTATIONS[orientation](gradient()))
    assert images.is_turned(data) == (orientation > 1)


@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_orientation_without_meaning_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(encode(noise(), "PNG", exif=exif)), noise())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_cost_the_photo(form):
    shown = decode(encode(gradient(), form, exif=b"Exif\0\0no such thing"))
    assert_near(shown, gradient())


@pytest.mark.parametrize(("least", "factor"), [(0, 1), (25, 1), (13, 1), (12, 2), (7, 2), (6, 4), (3, 8), (1, 8)])
def test_jpegs_are_decoded_no_larger_than_needed(least, factor):
    for orientation, (height, width) in ((1, (H, W)), (6, (W, H))):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels, size = decode_reduced(encode(gradient(), "JPEG", quality=95, exif=exif), least)
        assert size == (height, width)
        assert pixels.shape == (height // factor, width // factor, 3)
        blocks = gradient().reshape(H // factor, factor, W // factor, factor, 3).mean(axis=(1, 3))
        assert_near(pixels, ORIENTATIONS[orientation](blocks))


def test_other_formats_are_decoded_whole():
    pixels, size = decode_reduced(encode(noise(), "PNG"), 3)
    assert size == (H, W)
    np.testing.assert_array_equal(pixels, noise())


def test_mask_is_grey_and_keeps_its_polarity():
    mask = np.zeros((H, W), np.uint8)
    mask[:, 20:] = 255
    np.testing.assert_array_equal(decode_mask(encode(mask, "PNG")), mask)
    np.testing.assert_array_equal(decode_mask(encode(Image.fromarray(mask).convert("RGB"), "PNG")), mask)


def test_png_round_trip():
    np.testing.assert_array_equal(decode(images.encode_png(noise())), noise())
    np.testing.assert_array_equal(decode(images.encode_png(noise()[..., 0]))[..., 1], noise()[..., 0])


def test_jpeg_keeps_colour_at_full_resolution():
    # columns of one brightness, alternately red and green: subsampled chroma would mix them to one brown
    stripes = np.zeros((H, W, 3), np.uint8)
    stripes[:, ::2] = 160, 0, 0
    stripes[:, 1::2] = 0, 82, 0
    assert_near(decode(images.encode_jpeg(stripes, quality=100)), stripes)
    assert Image.open(io.BytesIO(images.encode_jpeg(stripes))).layer[0][1:3] == (1, 1)


@pytest.mark.parametrize("reason", images.REASONS)
def test_errors_travel_between_processes(reason):
    for error in (ImageError(reason), ImageError(reason, "said otherwise"), ImageError(reason, "", "a.jpg")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is ImageError
        assert (copy.reason, copy.detail, str(copy)) == (error.reason, error.detail, str(error))
