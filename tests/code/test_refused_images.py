"""Files that are damaged, no image, too small or too large are refused with the right reason, never half decoded."""

import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from r2mrf.imaging.images import ImageError, decode, decode_reduced, load
from tests.support.decoded import refused
from tests.support.picture_files import LOSSLESS, LOSSY, H, W, encode, gradient, noise


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "png", "webp", "webp lossy", "tiff", "bmp", "ppm"])
def test_truncated_file_is_refused(name, share):
    form, options = {**LOSSY, **LOSSLESS}[name]
    data = encode(noise(), form, **options)
    assert refused(data[: int(share * len(data))]).reason == "corrupt"


@pytest.mark.parametrize("place", [0.4, 0.5, 0.6])
def test_png_with_a_flipped_bit_in_its_pixels_is_refused(place):
    data = bytearray(encode(noise(), "PNG"))
    data[int(place * len(data))] ^= 1
    assert refused(bytes(data)).reason == "corrupt"


def test_jpeg_with_a_bad_marker_in_its_middle_is_refused():
    data = bytearray(encode(noise(), "JPEG"))
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    data[middle : middle + 2] = b"\xff\x0d"
    assert refused(bytes(data)).reason == "corrupt"


def test_jpeg_with_damaged_tables_is_refused():
    data = bytearray(encode(noise(), "JPEG"))
    start = data.index(b"\xff\xc4") + 5  # how many Huffman codes of each length
    data[start : start + 16] = b"\xff" * 16
    assert refused(bytes(data)).reason == "corrupt"


def test_jpeg_with_overwritten_pixels_is_refused():
    data = bytearray(encode(noise(), "JPEG", quality=95))
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    data[middle : middle + 64] = bytes(64)
    assert refused(bytes(data)).reason == "corrupt"


@pytest.mark.parametrize(
    "data",
    [
        b"just some words\n" * 50,
        b"\x00" * 1000,
        b"\xff\xd8",
        bytes([0, 0, 2, *[0] * 9, 9, 0, 9, 0, 24, 0]) + b"x" * 300,  # passes for a TGA of 9×9
    ],
    ids=["text", "zeros", "two bytes of jpeg", "no signature"],
)
def test_what_is_no_image(data):
    assert refused(data).reason == "not_an_image"


def test_empty(tmp_path):
    assert refused(b"").reason == "empty"
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError) as caught:
        load(path)
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("size", [(1, 1), (20000, 1), (1, 20000), (7, 100)])
def test_too_small(size):
    assert refused(encode(Image.new("L", size), "PNG")).reason == "too_small"


def test_smallest_size():
    assert decode(encode(Image.new("L", (8, 8), 77), "PNG")).tolist() == [[[77] * 3] * 8] * 8


def test_limit_of_pixels():
    data = encode(noise(), "PNG")
    assert decode(data, max_pixels=H * W).shape == (H, W, 3)
    assert refused(data, max_pixels=H * W - 1).reason == "too_large"


def test_the_limit_holds_for_the_pixels_that_are_decoded():
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.fromarray(cv2.resize(gradient(), (1600, 1200)))
    data = encode(photo, "JPEG", exif=exif)
    pixels, size = decode_reduced(data, 100, max_pixels=200 * 150)
    assert (pixels.shape, size) == ((200, 150, 3), (1600, 1200))
    np.testing.assert_array_equal(pixels, decode_reduced(data, 100)[0])
    for other in (encode(photo, "JPEG", progressive=True), encode(photo, "PNG")):
        with pytest.raises(ImageError, match="too_large"):
            decode_reduced(other, 100, max_pixels=200 * 150)
    assert refused(data, max_pixels=200 * 150).reason == "too_large"


def test_a_panorama_above_the_limit_is_decoded_at_a_fraction():
    data = encode(Image.new("L", (13_500, 13_500), 200), "JPEG")
    pixels, size = decode_reduced(data, 640)
    assert (pixels.shape, size) == ((1688, 1688, 3), (13_500, 13_500))
    assert set(np.unique(pixels)) == {200}
    assert refused(data).reason == "too_large"


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_decompression_bomb_is_refused_by_its_header():
    side = 100_000
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 << 20)) for _ in range(40)) + rows.flush()  # 40 MB of the 10 GB
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    assert len(bomb) < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(bomb).reason == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
