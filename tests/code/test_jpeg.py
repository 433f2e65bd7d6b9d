"""Damaged JPEGs: harmless damage passes, damaged pixels are refused, in every colour space."""

import numpy as np
import pytest
from PIL import Image

from r2mrf.formats import jpeg
from r2mrf.imaging.images import decode
from tests.support.decoded import refused
from tests.support.picture_files import encode, gradient, noise

PICTURE = (gradient(120, 200) // 2 + noise(120, 200) // 4).astype(np.uint8)
KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "subsampled": {"subsampling": "4:2:0"},
    "restarts": {"restart_marker_blocks": 4},
}


@pytest.fixture(scope="module", params=KINDS)
def data(request) -> bytes:
    return encode(PICTURE, "JPEG", quality=90, icc_profile=bytes(500), **KINDS[request.param])


def insert(data: bytes, before: bytes, extra: bytes) -> bytes:
    place = data.index(before)
    return data[:place] + extra + data[place:]


def samsung_trailer() -> bytes:
    block = b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1618328532"
    length = len(block).to_bytes(4, "little")
    directory = b"SEFH" + (106).to_bytes(4, "little") + (1).to_bytes(4, "little") + block[:4] + length + length
    return block + directory + len(directory).to_bytes(4, "little") + b"SEFT"


HARMLESS = {
    "no end marker": lambda d: d[:-2],
    "no end marker, a Samsung trailer": lambda d: d[:-2] + samsung_trailer(),
    "a trailer": lambda d: d + samsung_trailer(),
    "another JPEG behind it": lambda d: d + d,
    "bytes before a table": lambda d: insert(d, b"\xff\xdb", b"\0\0\0"),
    "fill bytes before a table": lambda d: insert(d, b"\xff\xdb", b"\xff\xff"),
    "fill bytes before the end": lambda d: d[:-2] + b"\xff\xff\xff\xd9",
    "zeros and fill bytes before the end": lambda d: d[:-2] + bytes(20) + b"\xff\xff\xff\xd9",
    "fill bytes behind each scan": lambda d: d.replace(b"\xff\xda", b"\xff\xff\xff\xda"),
    "bytes before the frame": lambda d: insert(insert(d, b"\xff\xc4", b"\0ab"), b"\xff\xdb", b"x"),
    "a broken ICC profile": lambda d: d.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\2\1"),
    "an unknown version of JFIF": lambda d: d.replace(b"JFIF\0\1", b"JFIF\0\7"),
    "a zero before the end": lambda d: d[:-2] + b"\0\xff\xd9",
    "zeros before the end": lambda d: d[:-2] + bytes(16) + b"\xff\xd9",
}


@pytest.mark.parametrize("change", HARMLESS)
def test_damage_that_harms_no_pixel_passes(data, change):
    changed = HARMLESS[change](data)
    assert changed != data
    np.testing.assert_array_equal(decode(changed), decode(data))


def test_odd_scan_parameters_pass():
    data = encode(PICTURE, "JPEG", quality=90)
    odd = bytearray(data)
    place = data.index(b"\xff\xda")
    odd[place + 2 + 2 + 1 + 6 + 1] = 0  # the last coefficient of a sequential scan must be 63
    np.testing.assert_array_equal(decode(bytes(odd)), decode(data))


def zeroed(data: bytes, place: int, count: int) -> bytes:
    return data[:place] + bytes(count) + data[place + count :]


TORN = {
    "cut by three bytes": lambda d: d[:-3],
    "cut by 40 bytes": lambda d: d[:-40],
    "cut to a half": lambda d: d[: len(d) // 2],
    "torn, and a Samsung trailer": lambda d: d[:-300] + samsung_trailer(),
    "its end blank": lambda d: d[:-500] + bytes(500),
    "its last pixels blank": lambda d: zeroed(d, len(d) - 42, 40),
    "its last pixels blank, and padding": lambda d: d[:-12] + bytes(40) + b"\xff\xd9",
    "a middle of random bytes": lambda d: d[: len(d) // 2] + noise().tobytes()[:400] + d[len(d) // 2 + 400 :],
    "a marker amid the pixels": lambda d: d[: len(d) // 2] + b"\xff\x0d" + d[len(d) // 2 + 2 :],
    "zeros in a table of quantisation": lambda d: zeroed(d, d.index(b"\xff\xdb") + 6, 64),
    "random bytes behind a broken ICC profile": lambda d: (
        d.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\2\1")[: len(d) // 2] + noise().tobytes()[:400] + d[-900:]
    ),
}


@pytest.mark.parametrize("change", TORN)
def test_torn_pixels_are_refused(data, change):
    assert refused(TORN[change](data)).reason == "corrupt"


def test_a_sector_of_zeros_anywhere_in_the_pixels_is_refused(data):
    # as a broken card or a file with a hole has it; libjpeg alone takes every tenth of them for sound
    if b"\xff\xc2" in data:
        data = encode(np.tile(PICTURE, (4, 4, 1)), "JPEG", quality=90, progressive=True)
    start = data.index(b"\xff\xda") + 14
    places = range(start, len(data) - 514, 97 if len(data) < 30_000 else 4001)
    assert {refused(data[:place] + bytes(512) + data[place + 512 :]).reason for place in places} == {"corrupt"}


@pytest.mark.parametrize("kind", [*KINDS, "optimize"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_zeros_that_mean_a_plain_area_pass(kind, mode):
    y, x = np.mgrid[:1200, :1600]
    ramp = Image.fromarray((255 - (x + y) // 16).astype(np.uint8))
    for picture in (Image.new("L", (1600, 1200), 0), Image.new("L", (1600, 1200), 255), ramp):
        plain = encode(picture.convert(mode), "JPEG", quality=75, **KINDS.get(kind, {"optimize": True}))
        assert decode(plain).shape == (1200, 1600, 3)
    black = encode(Image.new("L", (1600, 1200), 0), "JPEG", optimize=True)
    assert bytes(1000) in black and decode(black).max() == 0


def test_a_progressive_jpeg_cut_between_two_scans_is_refused():
    # it would decode without a warning, and look blurred
    data = encode(PICTURE, "JPEG", quality=90, progressive=True)
    scans = [i for i in range(len(data)) if data.startswith(b"\xff\xda", i)]
    for place in scans[1:]:
        assert refused(data[:place]).reason == "corrupt"


def cmyk() -> bytes:
    return encode(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=90)


def test_cmyk_is_shown_as_pillow_shows_it():
    data = cmyk()
    assert np.abs(decode(data).astype(int) - PICTURE).mean() < 6
    np.testing.assert_array_equal(decode(data[:-2]), decode(data))


@pytest.mark.parametrize("change", ["cut by 40 bytes", "cut to a half", "a middle of random bytes"])
def test_torn_cmyk_is_refused(change):
    assert refused(TORN[change](cmyk())).reason == "corrupt"


def test_dimensions():
    data = encode(PICTURE, "JPEG")
    assert jpeg.dimensions(b"abc" + data, 3) == (120, 200)
    assert jpeg.dimensions(data[:30]) is None
    assert jpeg.dimensions(b"\xff\xd8\xff\xff") is None
