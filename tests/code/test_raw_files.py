"""Raw files: the photo that the camera has embedded, never its thumbnail."""

import time

import numpy as np
import pytest
from PIL import Image

from r2mrf.formats import raw_files
from r2mrf.imaging.images import decode, decode_reduced, is_turned
from tests.support.decoded import refused
from tests.support.picture_files import encode, gradient, raw_file, tiff_file

PHOTO = gradient(600, 800)
JPEG = encode(PHOTO, "JPEG", quality=90)


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def cr3(photo: bytes, orientation: int) -> bytes:
    settings = tiff_file([{274: ("H", (orientation,))}])
    inner = box(b"uuid", bytes(16) + box(b"CMT1", settings) + box(b"THMB", encode(gradient(120, 160), "JPEG")))
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", inner) + box(b"mdat", photo)


def raf(photo: bytes) -> bytes:
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0")
    return head + (160).to_bytes(4, "big") + len(photo).to_bytes(4, "big") + bytes(68) + photo + bytes(5000)


def cr2(photo: bytes) -> bytes:
    tags = {256: ("I", (800,)), 257: ("I", (600,)), 259: ("H", (6,)), 273: ("I", photo), 279: ("I", (len(photo),))}
    data = bytearray(tiff_file([tags]))
    return b"II*\0" + (16 + int.from_bytes(data[4:8], "little")).to_bytes(4, "little") + _shifted(bytes(data), 16)


def _shifted(data: bytes, by: int) -> bytes:
    """Return what follows a TIFF's header, with 16 bytes of Canon's before it, and its strip moved likewise."""
    place = data.index((273).to_bytes(2, "little") + b"\4\0\1\0\0\0") + 8
    strip = int.from_bytes(data[place : place + 4], "little") + by
    return b"CR\2\0".ljust(by, b"\0") + data[8:place] + strip.to_bytes(4, "little") + data[place + 4 :]


KINDS = {
    "DNG": raw_file(JPEG),
    "NEF, ARW": raw_file(JPEG, dng=False),
    "CR2": cr2(JPEG),
    "CR3": cr3(JPEG, 1),
    "RAF": raf(JPEG),
    "ORF": b"IIRO" + raw_file(JPEG)[4:],
    "RW2": b"IIU\0" + raw_file(JPEG)[4:],
}


def test_many_starts_of_jpegs_take_little_time():
    """Each start is followed by the segments of all later ones."""
    hostile = cr2(b"\xff\xd8" + b"\xff\xe0\0\x04\xff\xd8" * 100_000)
    began = time.process_time()
    refused(hostile)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_embedded_photo_is_taken(kind):
    np.testing.assert_array_equal(decode(KINDS[kind]), decode(JPEG))
    assert decode_reduced(KINDS[kind], 300)[1] == (600, 800)


def test_the_largest_of_several_photos_is_taken():
    small = encode(gradient(480, 640), "JPEG")
    assert decode(raw_file(small) + JPEG + small).shape == (600, 800, 3)


@pytest.mark.parametrize("data", [raw_file(JPEG, 6), cr3(JPEG, 6)], ids=["DNG", "CR3"])
def test_the_raw_file_tells_the_orientation(data):
    np.testing.assert_array_equal(decode(data), np.rot90(decode(JPEG), -1))
    assert is_turned(data)


def test_where_the_raw_file_tells_none_the_jpeg_does():
    exif = Image.Exif()
    exif[0x0112] = 8
    turned = encode(PHOTO, "JPEG", quality=90, exif=exif)
    np.testing.assert_array_equal(decode(raf(turned)), np.rot90(decode(JPEG)))


@pytest.mark.parametrize("photo", [None, encode(gradient(120, 160), "JPEG")], ids=["none", "thumbnail"])
@pytest.mark.parametrize("dng", [True, False])
def test_a_thumbnail_never_stands_for_the_photo(photo, dng):
    error = refused(raw_file(photo, dng=dng))
    assert error.reason == "unsupported"
    assert "raw file" in error.detail


@pytest.mark.parametrize("kind", ["DNG", "NEF, ARW", "RAF", "CR3"])
def test_a_raw_file_cut_short_is_refused(kind):
    data = KINDS[kind]
    whole = data.index(JPEG) + len(JPEG)
    assert refused(data[: whole - len(JPEG) // 2]).reason in ("corrupt", "not_an_image")


def test_ordinary_tiffs_are_no_raw_files():
    assert not raw_files.is_raw(encode(PHOTO, "TIFF"))
    pages = encode(PHOTO, "TIFF", save_all=True, append_images=[Image.fromarray(PHOTO)])
    assert not raw_files.is_raw(pages)
    np.testing.assert_array_equal(decode(pages), PHOTO)
