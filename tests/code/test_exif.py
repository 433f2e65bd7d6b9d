"""EXIF of a photo: sound fields are read, and a damaged field costs no other."""

import io

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from r2mrf.formats import jpeg_xl
from r2mrf.prediction import exif
from r2mrf.prediction.exif import Taken


def photo(
    main: dict | None = None, taken: dict | None = None, xmp: bytes = b"", kind: str = "JPEG", **options
) -> bytes:
    tags = Image.Exif()
    tags.update(main or {})
    if taken:
        tags.get_ifd(0x8769).update(taken)
    file = io.BytesIO()
    options |= {"xmp": xmp} if xmp else {}
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(file, kind, exif=tags.tobytes(), **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {}) for kind in ("JPEG", "PNG", "WEBP", "AVIF")),
        ("JXL", {"use_container": True}),
        ("JXL", {"use_container": True, "compress_metadata": True}),
    ],
)
def test_all_facts(kind, options):
    if kind == "JXL":
        pytest.importorskip("pillow_jxl")
    ratio = TiffImagePlugin.IFDRational
    main = {0x010F: "NIKON CORPORATION", 0x0110: "NIKON Z 6", 0x0112: 6, 0x4746: 4}
    taken = {0x9003: "2023:08:13 09:26:38", 0x9291: "25", 0x9011: "+02:00", 0xA434: "50mm  f/1.8", 0x8827: 400,
             0x829A: ratio(1, 250), 0x829D: ratio(18, 10), 0x920A: ratio(50, 1)}  # fmt: skip
    assert exif.read(photo(main, taken, kind=kind, **options)) == Taken(
        "2023-08-13T09:26:38.25+02:00", "NIKON Z 6", "50mm f/1.8", 400, 1 / 250, 1.8, 50.0, 6, 4
    )


def test_a_panorama_above_the_limit_of_pixels_has_them_too():
    data = photo({0x0110: "PANO"})
    size = data.index(b"\xff\xc0") + 5
    assert exif.read(data[:size] + 2 * (20_000).to_bytes(2, "big") + data[size + 4 :]) == Taken(camera="PANO")


def test_a_phones_heic_has_them_too():
    pytest.importorskip("pi_heif")
    data = photo({0x0110: "iPhone 15"}, {0x9003: "2023:08:13 09:26:38"}, kind="AVIF")
    heic = data.replace(b"avif", b"heic")  # the same boxes; only their pixels are encoded otherwise
    assert exif.read(heic) == Taken("2023-08-13T09:26:38", "iPhone 15")


@pytest.mark.parametrize(
    ("main", "taken"),
    [
        ({}, {0x9003: "0000:00:00 00:00:00"}),
        ({}, {0x9003: "2023:13:40 09:26:38"}),
        ({}, {0x9003: "2023:02:31 09:26:38"}),
        ({}, {0x8827: 0, 0x829D: TiffImagePlugin.IFDRational(1, 0)}),
        ({0x0112: 9, 0x4746: 77}, {}),
        ({0x010F: "\0\0", 0x0110: "   "}, {}),
    ],
)
def test_what_makes_no_sense_is_missing(main, taken):
    assert exif.read(photo(main, taken)) == Taken()


REJECTED = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description xmp:Rating="-1"/></x:xmpmeta>'


def test_rating_of_xmp_may_reject():
    assert exif.read(photo({0x4746: 3}, xmp=REJECTED)).rating == -1


def test_rating_of_a_jpeg_xls_compressed_xmp():
    pytest.importorskip("pillow_jxl")
    options = {"use_container": True, "compress_metadata": True}
    data = photo({0x4746: 3}, xmp=REJECTED, kind="JXL", **options)
    assert REJECTED not in data
    assert exif.read(data).rating == -1


@pytest.mark.parametrize("kind", [b"Exif", b"brob"])
def test_damaged_metadata_of_a_jpeg_xl_raise_nothing(kind):
    pytest.importorskip("pillow_jxl")
    data = photo({0x0110: "m"}, kind="JXL", use_container=True, compress_metadata=kind == b"brob")
    place, dice = data.index(kind), np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(data)
        damaged[place - 4 + dice.integers(40)] = dice.integers(256)
        exif.read(bytes(damaged))
    for end in range(place, place + 40):
        exif.read(data[:end])


def test_metadata_of_a_jpeg_xl_may_say_where_they_begin():
    tiff = b"II*\0\x08\0\0\0\1\0\x10\x01\2\0\4\0\0\0CAM\0\0\0\0\0"
    for content in (tiff, b"\0\0\0\0" + tiff, b"\0\0\0\6Exif\0\0" + tiff):
        box = (8 + len(content)).to_bytes(4, "big") + b"Exif" + content
        assert exif.read(jpeg_xl.CONTAINER + box) == Taken(camera="CAM")


def test_maker_and_model():
    assert exif.read(photo({0x010F: "Apple", 0x0110: "iPhone 13"})).camera == "Apple iPhone 13"
    assert exif.read(photo({0x0110: "a\x1b[2Jb" + "x" * 500})).camera == "a [2Jb" + "x" * 94


@pytest.mark.parametrize("seed", range(40))
def test_damaged_metadata_raises_nothing(seed):
    dice = np.random.default_rng(seed)
    data = bytearray(photo({0x010F: "m", 0x0112: 6}, {0x9003: "2023:08:13 09:26:38", 0x8827: 400}))
    for place in dice.integers(0, 200, 12):
        data[place] = dice.integers(256)
    exif.read(bytes(data))
    exif.read(bytes(data[: dice.integers(len(data))]))
