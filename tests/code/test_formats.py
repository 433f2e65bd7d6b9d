"""Formats: content decides, missing optional packages are named, and so are formats that are not read."""

import builtins
import time

import numpy as np
import pytest
from PIL import Image

from r2mrf.formats import box_files, jpeg_xl, known
from r2mrf.imaging import images
from r2mrf.imaging.images import ImageError, decode
from r2mrf.system import missing
from tests.support.decoded import refused
from tests.support.picture_files import HEIC, encode, gradient, noise, tiff_file


def test_every_suffix_is_of_one_format():
    suffixes = [suffix for form in known.FORMATS for suffix in form.suffixes]
    assert len(suffixes) == len({*suffixes}) and all(suffix == suffix.lower() for suffix in suffixes)
    assert not known.SUFFIXES & known.UNREAD.keys()
    assert images.SUFFIXES is known.SUFFIXES
    assert {".jfif", ".pjpeg", ".heic", ".mpo", ".avifs", ".cr3", ".jxl"} <= known.SUFFIXES


def test_first_frame_of_an_avif_sequence_and_of_an_mpo():
    red, blue = (Image.new("RGB", (40, 24), colour) for colour in ("red", "blue"))
    for form in ("AVIF", "MPO"):
        shown = decode(encode(red, form, save_all=True, append_images=[blue], quality=95))
        assert np.abs(shown.astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_avif_cut_short_is_refused(share):
    data = encode(noise(200, 300), "AVIF", quality=90)
    assert refused(data[: int(share * len(data))]).reason == "corrupt"


def test_heic():
    pytest.importorskip("pi_heif")
    assert np.abs(decode(HEIC).astype(int) - gradient(64, 64)).mean() < 8


@pytest.mark.parametrize("left", [300, 450, 535])
def test_heic_cut_short_is_refused(left):
    pytest.importorskip("pi_heif")
    assert refused(HEIC[:left]).reason == "corrupt"


def test_lengths_of_boxes_are_compared_whatever_the_decoder_says():
    box_files.check_boxes(HEIC)
    box_files.check_boxes(b"no boxes")
    for left in range(40, len(HEIC) - 1, 7):
        with pytest.raises(ValueError, match="cut short"):
            box_files.check_boxes(HEIC[:left])
    open_end = HEIC.replace(len(HEIC[HEIC.index(b"mdat") - 4 :]).to_bytes(4, "big") + b"mdat", b"\0\0\0\0mdat")
    assert open_end != HEIC  # a last box up to the end tells no length: the places of the items do
    with pytest.raises(ValueError, match="its picture ends"):
        box_files.check_boxes(open_end[:-1])


def test_items_that_take_no_bytes_do_not_keep_anyone_waiting():
    """Each of 3,000 items says that it has 65,535 extents, of offset and length in 0 bytes."""
    items = b"\0" * 4 + b"\0\0" + (3000).to_bytes(2, "big") + (b"\0\1\0\0" + b"\xff\xff") * 3000
    boxes = b"\0" * 4 + (len(items) + 8).to_bytes(4, "big") + b"iloc" + items
    data = b"\0\0\0\x10ftypavif\0\0\0\0" + (len(boxes) + 8).to_bytes(4, "big") + b"meta" + boxes
    began = time.monotonic()
    assert refused(data).reason == "corrupt"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("tag", [254, 330, 341])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_tag_that_is_no_number_costs_no_pixel(tag, value):
    grey = gradient()[..., 0]
    tags = {256: ("I", (40,)), 257: ("I", (24,)), 258: ("H", (8,)), 262: ("H", (1,)), 273: ("I", (8,))}
    data = tiff_file([tags | {279: ("I", (grey.size,)), tag: ("d", (value,))}], pixels=grey.tobytes())
    np.testing.assert_array_equal(decode(data)[..., 0], grey)


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
def test_jpeg_xl(share):
    pytest.importorskip("pillow_jxl")
    data = encode(gradient(100, 160), "JXL", quality=95)
    if share < 1:
        assert refused(data[: int(share * len(data))]).reason == "corrupt"
    else:
        assert np.abs(decode(data).astype(int) - gradient(100, 160)).mean() < 4


def test_a_jpeg_xl_is_not_turned_a_second_time():
    pytest.importorskip("pillow_jxl")
    turned = Image.Exif()
    turned[0x0112] = 6
    data = encode(gradient(100, 160), "JXL", lossless=True, use_container=True, exif=turned.tobytes())
    assert b"Exif" in data
    np.testing.assert_array_equal(decode(data), gradient(100, 160))


def test_a_jpeg_packed_as_jpeg_xl_is_turned(tmp_path):
    pytest.importorskip("pillow_jxl")
    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg = encode(gradient(96, 160), "JPEG", exif=turned.tobytes())
    (tmp_path / "photo.jpg").write_bytes(jpeg)
    with Image.open(tmp_path / "photo.jpg") as photo:
        photo.save(tmp_path / "photo.jxl", lossless_jpeg=True)
    packed = (tmp_path / "photo.jxl").read_bytes()
    assert decode(packed).shape == (160, 96, 3)
    assert np.abs(decode(packed).astype(int) - decode(jpeg)).mean() < 1


@pytest.mark.parametrize("data", [HEIC, b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100)], ids=["HEIF", "JXL"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch, data):
    real = builtins.__import__
    monkeypatch.setattr(known.importlib, "import_module", lambda name: real("no_such_package_" + name))
    known.is_installed.cache_clear()
    error = refused(data)
    known.is_installed.cache_clear()
    assert error.reason == "unsupported"
    assert f"`{missing.install('[formats]')}`" in error.detail


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"8BPS\0\1" + bytes(100), "Photoshop"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),  # would start Ghostscript
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(50), "film"),
    ],
)
def test_a_format_that_is_not_read_is_named(data, name):
    error = refused(data)
    assert error.reason == "unsupported"
    assert name in error.detail


def test_pngs_with_a_large_profile_or_text_are_read():
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("history", "edited " * 500_000, zip=True)
    for options in ({"pnginfo": text}, {"icc_profile": bytes(3 << 20)}):
        np.testing.assert_array_equal(decode(encode(noise(), "PNG", **options)), noise())


@pytest.mark.parametrize("size", [(8, 8), (40, 24), (256, 256), (300, 200), (640, 480), (1920, 1080), (1000, 77)])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(size):
    pytest.importorskip("pillow_jxl")
    data = encode(Image.new("RGB", size), "JXL")
    assert jpeg_xl.dimensions(data) == size[::-1]
    boxed = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl " + b"\0\0\0\0jxlc" + data
    assert jpeg_xl.dimensions(boxed) == size[::-1]
    with pytest.raises(ImageError) as caught:
        decode(data, max_pixels=size[0] * size[1] - 1)
    assert caught.value.reason == "too_large"
    assert decode(boxed).shape == (*size[::-1], 3)
