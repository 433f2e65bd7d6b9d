"""Every kind of file that a photo archive may hold is decoded correctly or refused with the right reason."""

import contextlib
import io
import os
import pickle
import resource
import signal
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from r2mrf.imaging import images
from r2mrf.imaging.images import ImageError, decode, decode_mask, decode_reduced, load, read_bytes

H, W = 24, 40


def gradient() -> np.ndarray:
    """Every row, column and channel differs, smoothly."""
    y, x = np.mgrid[:H, :W]
    return np.stack([x * 6, y * 10, 255 - 3 * (x + y)], axis=-1).astype(np.uint8)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)


def encode(image: Image.Image | np.ndarray, form: str, **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, form, **options)
    return file.getvalue()


def refused(data: bytes, **options) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, **options)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def assert_near(shown: np.ndarray, expected: np.ndarray, tolerance: float = 4):
    assert shown.shape == expected.shape
    assert shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - expected).mean() < tolerance


@contextlib.contextmanager
def at_most(seconds: int):
    def stop(*_):
        raise TimeoutError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- formats ---------------------------------------------------------------------------------------------

LOSSLESS = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "webp": ("WEBP", {"lossless": True}),
    "ppm": ("PPM", {}),
    "jpeg2000": ("JPEG2000", {}),
}
LOSSY = {
    "jpeg": ("JPEG", {"quality": 95}),
    "jpeg progressive": ("JPEG", {"quality": 95, "progressive": True}),
    "webp lossy": ("WEBP", {"quality": 95}),
    "avif": ("AVIF", {"quality": 95}),
}


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


# --- at a fraction of the size ---------------------------------------------------------------------------


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


# --- modes -----------------------------------------------------------------------------------------------


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


# --- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "png", "webp", "webp lossy", "tiff", "bmp", "ppm"])
def test_truncated_file_is_refused(name, share):
    form, options = {**LOSSY, **LOSSLESS}[name]
    data = encode(noise(), form, **options)
    assert refused(data[: int(share * len(data))]) == "corrupt"


@pytest.mark.parametrize("place", [0.4, 0.5, 0.6])
def test_png_with_a_flipped_bit_in_its_pixels_is_refused(place):
    data = bytearray(encode(noise(), "PNG"))
    data[int(place * len(data))] ^= 1
    assert refused(bytes(data)) == "corrupt"


def test_jpeg_with_a_bad_marker_in_its_middle_is_refused():
    data = bytearray(encode(noise(), "JPEG"))
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    data[middle : middle + 2] = b"\xff\x0d"
    assert refused(bytes(data)) == "corrupt"


def test_jpeg_with_damaged_tables_is_refused():
    data = bytearray(encode(noise(), "JPEG"))
    start = data.index(b"\xff\xc4") + 5  # how many Huffman codes of each length
    data[start : start + 16] = b"\xff" * 16
    assert refused(bytes(data)) == "corrupt"


def test_jpeg_with_overwritten_pixels_is_refused():
    data = bytearray(encode(noise(), "JPEG", quality=95))
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    data[middle : middle + 64] = bytes(64)
    assert refused(bytes(data)) == "corrupt"


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
    assert refused(data) == "not_an_image"


def test_empty(tmp_path):
    assert refused(b"") == "empty"
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError) as caught:
        load(path)
    assert caught.value.reason == "empty"


# --- size ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (20000, 1), (1, 20000), (7, 100)])
def test_too_small(size):
    assert refused(encode(Image.new("L", size), "PNG")) == "too_small"


def test_smallest_size():
    assert decode(encode(Image.new("L", (8, 8), 77), "PNG")).tolist() == [[[77] * 3] * 8] * 8


def test_limit_of_pixels():
    data = encode(noise(), "PNG")
    assert decode(data, max_pixels=H * W).shape == (H, W, 3)
    assert refused(data, max_pixels=H * W - 1) == "too_large"


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
    assert refused(data, max_pixels=200 * 150) == "too_large"


def test_a_panorama_above_the_limit_is_decoded_at_a_fraction():
    data = encode(Image.new("L", (13_500, 13_500), 200), "JPEG")
    pixels, size = decode_reduced(data, 640)
    assert (pixels.shape, size) == ((1688, 1688, 3), (13_500, 13_500))
    assert set(np.unique(pixels)) == {200}
    assert refused(data) == "too_large"


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
    assert refused(bomb) == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


# --- what is no file -------------------------------------------------------------------------------------


def unreadable(path) -> str:
    with pytest.raises(ImageError) as caught, at_most(5):
        read_bytes(path)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_missing_file(tmp_path):
    assert unreadable(tmp_path / "absent.jpg") == "unreadable"


def test_name_that_no_file_can_have():
    assert unreadable("a\0b.jpg") == "unreadable"


def test_folder(tmp_path):
    assert unreadable(tmp_path) == "not_a_file"


def test_pipe_that_nobody_writes_to(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert unreadable(tmp_path / "pipe.jpg") == "not_a_file"


def test_device_without_end():
    assert unreadable("/dev/zero") == "not_a_file"


def test_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.jpg")
        assert unreadable("s.jpg") == "not_a_file"


def test_links(tmp_path):
    (tmp_path / "good.png").write_bytes(encode(noise(), "PNG"))
    (tmp_path / "link.png").symlink_to("good.png")
    (tmp_path / "broken.png").symlink_to("absent.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    np.testing.assert_array_equal(load(tmp_path / "link.png"), noise())
    assert unreadable(tmp_path / "broken.png") == "not_a_file"
    assert unreadable(tmp_path / "loop.png") == "not_a_file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(encode(noise(), "PNG"))
    path.chmod(0)
    assert unreadable(path) == "unreadable"


def test_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(encode(noise(), "PNG"))
    np.testing.assert_array_equal(load(path), noise())


def test_file_too_long_to_read(tmp_path):
    path = tmp_path / "long.tif"
    with path.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)  # sparse
    assert unreadable(path) == "too_large"


# --- errors, masks, encoding -----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", images.REASONS)
def test_errors_travel_between_processes(reason):
    for error in (ImageError(reason), ImageError(reason, "said otherwise"), ImageError(reason, "", "a.jpg")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is ImageError
        assert (copy.reason, copy.detail, str(copy)) == (error.reason, error.detail, str(error))


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
