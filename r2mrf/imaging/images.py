"""Decodes image files to RGB as displayed. Anything that cannot be decoded, however hostile, raises an `ImageError`.

Training, evaluation and scoring all decode here. A file's content decides its format, not its suffix. EXIF orientation
is applied, transparency is laid over white, and values of more than 8 bits are scaled to 8. An animation is read as its
first frame, a raw file as the JPEG that the camera embedded. A damaged file is an error and never half a picture,
because its grey filling would pass for defocus.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from r2mrf.errors import UserError, one_line
from r2mrf.formats import box_files, jpeg, jpeg_xl, known, raw_files, tiff
from r2mrf.formats.known import SUFFIXES as SUFFIXES
from r2mrf.imaging.orientation import is_sideways, orientation_of, upright
from r2mrf.imaging.rgb import deep_map, is_deep, rgb_of, rgb_of_jpeg
from r2mrf.system import missing
from r2mrf.system.regular_files import NotRegular, read_regular

MAX_PIXELS = 178_000_000  # just below Pillow's own limit, which stays in force
MAX_BYTES = 1 << 30
JPEG_SIDE = 65_500  # pixels, the most that OpenCV writes into a JPEG
MIN_SIDE = 8  # pixels; smaller pictures show nothing that could be in or out of focus
FORMATS = tuple(form.name for form in known.FORMATS if form.package is None and form.name != "RAW")  # Pillow's names

# Colour profiles and texts of a PNG may be as long as a photo's pixels; this is how far they are decompressed.
PngImagePlugin.MAX_TEXT_CHUNK = 64 << 20
PngImagePlugin.MAX_TEXT_MEMORY = 128 << 20

REASONS = {
    "unreadable": "the file cannot be opened or read",
    "unreachable": "its server or bucket does not exist or does not answer",
    "not_allowed": "a list names it on a server or bucket that has not been allowed",
    "not_a_file": "it is a folder, pipe, device or broken link",
    "empty": "the file has no bytes",
    "not_an_image": "the bytes are not in any known image format",
    "unsupported": "this kind of image is not read",
    "ambiguous": "it is not certain which value of the mask means white",
    "corrupt": "the image is damaged or cut short",
    "too_large": "more pixels or bytes than allowed",
    "too_small": f"a side is shorter than {MIN_SIDE} pixels",
    "crashed": "decoding it crashes the process",
    "timeout": "fetching or decoding it takes too long",
}


class ImageError(UserError):
    """An image that cannot be used. `reason` is a key of `REASONS`; the message names the file, if `path` is given."""

    def __init__(self, reason: str, detail: str = "", path: str | Path | None = None):
        self.reason, self.detail, self.path = reason, detail or REASONS[reason], path
        super().__init__(f"{path}: " * (path is not None) + f"{reason}: {self.detail}")

    def __reduce__(self):
        return type(self), (self.reason, self.detail, self.path)


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a regular file. Pipes and devices are refused, so that reading never hangs.

    Raises:
        ImageError: unreadable, not_a_file, empty or too_large.
    """
    try:
        data = read_regular(path, MAX_BYTES)
    except NotRegular:
        raise ImageError("not_a_file") from None
    except (OSError, ValueError) as error:
        reason = "too_large" if getattr(error, "errno", None) == errno.EFBIG else "unreadable"
        raise ImageError(reason, getattr(error, "strerror", None) or str(error)) from None
    if not data:
        raise ImageError("empty")
    return data


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image file's bytes.

    Returns:
        uint8 H×W×3, RGB, at the displayed size (EXIF orientation applied).

    Raises:
        ImageError: empty, not_an_image, unsupported, corrupt, too_large or too_small.
    """
    return decode_reduced(data, 0, max_pixels)[0]


def decode_reduced(data: bytes, least: int, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image for a use that needs no side longer than `least` pixels; 0 = full size.

    JPEGs from cameras are decoded at 1/2, 1/4 or 1/8 as long as both sides keep `least` pixels.

    Returns:
        The pixels as `decode` returns them, possibly smaller, and the displayed (height, width) at full size.
        `max_pixels` limits the pixels that are actually decoded.

    Raises:
        ImageError: as `decode`.
    """
    if not data:
        raise ImageError("empty")
    data, orientation = _photo_in(data, max_pixels)
    if large := _large_but_reduced(data, least, max_pixels):
        image, (height, width) = _open(jpeg.header(data)), large  # Pillow opens no picture above `MAX_PIXELS`
    else:
        image = _open(data)
        width, height = image.size
        if width * height > max_pixels:
            raise _too_many_pixels(height, width, max_pixels)
    if min(width, height) < MIN_SIDE:
        raise ImageError("too_small", f"{width}×{height} pixels; each side needs at least {MIN_SIDE}")
    try:
        if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB", "CMYK"):
            pixels = rgb_of_jpeg(data, image.mode, reduction(least, height, width), height, width)
        else:
            pixels = rgb_of(image, data)
            height, width = pixels.shape[:2]  # Pillow itself applies the orientation of TIFFs
        orientation = orientation or (1 if image.format == "TIFF" else orientation_of(image))  # `rgb_of` turns TIFFs
        pixels = np.ascontiguousarray(upright(pixels, orientation))
        return pixels, (width, height) if is_sideways(orientation) else (height, width)
    except MemoryError:
        raise ImageError("too_large", f"{width}×{height} pixels do not fit into memory") from None
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        raise ImageError("corrupt", f"{REASONS['corrupt']} ({one_line(error)})") from None


def is_turned(data: bytes) -> bool:
    """Return whether an image file asks for its pixels to be rotated or mirrored for display.

    Raises:
        ImageError: not_an_image, unsupported, corrupt or too_large.
    """
    photo, orientation = _photo_in(data)
    return (orientation or orientation_of(_open(photo))) != 1


def load(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return `decode(read_bytes(path))`; an `ImageError` names the file."""
    with _named(path):
        return decode(read_bytes(path), max_pixels)


def load_mask(path: str | Path) -> np.ndarray:
    """Return `decode_mask(read_bytes(path))`; an `ImageError` names the file."""
    with _named(path):
        return decode_mask(read_bytes(path))


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise ImageError(error.reason, error.detail, path) from None


def decode_mask(data: bytes) -> np.ndarray:
    """Decode an annotation or map to uint8 H×W. Colour becomes grey; the polarity stays as in the file.

    Raises:
        ImageError: as `decode`.
    """
    return cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY)


def own_channels(data: bytes) -> dict[str, np.ndarray]:
    """Return a picture's channels as stored, whatever it looks like when displayed; each is uint8 H×W and upright.

    Returns:
        Its colours as `grey`, as if they were opaque; its transparency as `alpha`, if it has any. For a palette also
        `index`, the palette numbers, and `is_grey`, which is 255 where the palette's colour is a grey. For greys of
        more than 8 bits, which `grey` scales by a fixed range, also `deep`, the values as stored.

    Raises:
        ImageError: as `decode`.
    """
    rgb = decode(data)  # refuses damaged or oversized images
    image = _open(_photo_in(data)[0])
    if is_deep(image):
        grey, deep = deep_map(image, data)
        return {"grey": np.ascontiguousarray(grey), "deep": deep}
    if image.mode not in ("P", "PA", "LA", "RGBA", "La", "RGBa") and "transparency" not in image.info:
        return {"grey": cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)}
    rgba = np.asarray(image.convert("RGBA"))
    orientation = orientation_of(image)  # not before, because Pillow turns a TIFF as it loads it
    channels = {"grey": cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2GRAY), "alpha": rgba[..., 3]}
    if image.mode == "P":
        grey = (rgba[..., :1] == rgba[..., 1:3]).all(-1)
        channels |= {"index": np.asarray(image), "is_grey": grey.astype(np.uint8) * 255}
    return {name: np.ascontiguousarray(upright(channel, orientation)) for name, channel in channels.items()}


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode uint8 H×W×3 RGB, or uint8 or uint16 H×W, as PNG. Raises ImageError: too_large."""
    return _encoded("PNG", pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))


def encode_jpeg(rgb: np.ndarray, quality: int = 95) -> bytes:
    """Encode RGB uint8 H×W×3 as JPEG; colour keeps its full resolution. Raises ImageError: too_large."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return _encoded("JPEG", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)


def _encoded(form: str, bgr: np.ndarray, settings: Sequence[int] = ()) -> bytes:
    refused = ImageError("too_large", f"{bgr.shape[1]}×{bgr.shape[0]} pixels do not fit into a {form}")
    if form == "JPEG" and max(bgr.shape[:2]) > JPEG_SIDE:  # OpenCV would print an error of its own
        raise refused
    done, content = cv2.imencode(f".{form.lower()}", bgr, settings)
    if not done:
        raise refused
    return content.tobytes()


def _photo_in(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[bytes, int | None]:
    """Return the bytes that Pillow is to open, and the orientation if it is stored outside of them.

    Raises:
        ImageError: unsupported, corrupt, or too_large.
    """
    form = known.optional(data)
    if form is not None and not known.is_installed(form):
        raise ImageError("unsupported", f"{form.name} needs an optional package: `{missing.install('[formats]')}`")
    try:
        if form is not None and form.name == "JXL":
            height, width = jpeg_xl.dimensions(data)
            if height * width > max_pixels:
                raise _too_many_pixels(height, width, max_pixels)
        if raw_files.is_raw(data):
            return raw_files.embedded_jpeg(data)
        box_files.check_boxes(data)
        return data, None
    except raw_files.NoPreview as error:
        raise ImageError("unsupported", str(error)) from None
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError("corrupt", f"{REASONS['corrupt']} ({one_line(error)})") from None


def _too_many_pixels(height: int, width: int, most: int) -> ImageError:
    return ImageError("too_large", f"{width}×{height} pixels; at most {most:,} are decoded")


def _open(data: bytes) -> Image.Image:
    form = known.optional(data)
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS if form is None else (form.name,))
    except UnidentifiedImageError:
        raise _unknown(data, form) from None
    except Image.DecompressionBombError:
        raise ImageError("too_large", f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise ImageError("too_large", "does not fit into memory") from None
    except Exception as error:  # a header that lies: struct, overflow and syntax errors
        raise ImageError("corrupt", f"{REASONS['corrupt']} ({one_line(error)})") from None


def _unknown(data: bytes, form: known.Format | None) -> ImageError:
    """Describe bytes that no decoder recognises."""
    if name := known.unread(data):
        return ImageError("unsupported", f"{name} is not read")
    if form is not None or box_files.brands(data):
        return ImageError("corrupt")
    if directories := tiff.directories(data):
        bits, samples, floats = directories[0].values
        bands = f"{samples} {'float ' if floats else ''}band{'s' if samples > 1 else ''}"
        return ImageError("unsupported", f"an image of {bands}, {bits} bits each, is not read")
    if data.startswith((b"II*\0", b"MM\0*")):
        return ImageError("corrupt")
    return ImageError("not_an_image")


def reduction(least: int, height: int, width: int) -> int:
    """Return the factor by which a JPEG may be shrunk while decoding, for a use that needs `least` pixels."""
    return max((f for f in (2, 4, 8) if least and min(width, height) >= f * least), default=1)


def _large_but_reduced(data: bytes, least: int, max_pixels: int) -> tuple[int, int] | None:
    """Return (height, width) of a JPEG that has too many pixels but few enough when reduced; None for any other file.

    Progressive JPEGs do not count, because the decoder keeps their coefficients at full size in memory.
    """
    size = jpeg.dimensions(data) if least and jpeg.is_sequential(data) else None
    if size is None or size[0] * size[1] <= max_pixels:
        return None
    factor = reduction(least, *size)
    return size if -(-size[0] // factor) * -(-size[1] // factor) <= max_pixels else None
