"""Bytes -> RGB as a person sees it, or an `ImageError`. Every hostile file ends here.

Decided here, once, for training, evaluation and scoring: the file's content counts, not its suffix; EXIF
orientation is applied; transparency lies over white; 16-bit and float greys are scaled to 8 bits; of an
animation the first frame is taken; a damaged file is an error, never half a picture (grey filling would
pass for defocus).
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from r2mrf.errors import UserError

MAX_PIXELS = 178_000_000  # just below Pillow's own limit, which stays in force
MAX_BYTES = 1 << 30
MIN_SIDE = 8  # smaller pictures hold nothing that could be in or out of focus

# Others are refused: some have hardly a signature (TGA), some start a program (EPS) or hide a second header (ICNS).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

# Names under which such files are looked for in folders; what they hold is told by their content.
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif", ".jp2", ".ppm", ".pgm"}

REASONS = {
    "unreadable": "the file cannot be opened or read",
    "unreachable": "its server or bucket is not there, or does not answer",
    "not_allowed": "a list names it on a server or bucket that the command does not allow",
    "not_a_file": "a folder, pipe, device or broken link",
    "empty": "the file has no bytes",
    "not_an_image": "the bytes are no image format known here",
    "corrupt": "the image is damaged or cut short",
    "too_large": "more pixels or bytes than allowed",
    "too_small": f"a side is shorter than {MIN_SIDE} pixels",
    "crashed": "decoding it ends the process that does it",
    "timeout": "fetching or decoding it takes too long",
}


class ImageError(UserError):
    """An image that cannot be used. `reason` is a key of `REASONS`; the message is a sentence."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail or REASONS[reason]}")
        self.reason, self.detail = reason, detail or REASONS[reason]

    def __reduce__(self):
        return type(self), (self.reason, self.detail)


def read_bytes(path: str | Path) -> bytes:
    """Content of a regular file. Pipes and devices are refused, so nothing waits for ever.

    Raises:
        ImageError: unreadable, not_a_file, empty or too_large.
    """
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("not_a_file")
            if status.st_size > MAX_BYTES:
                raise ImageError("too_large", f"{status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
            data = file.read()
    except IsADirectoryError:
        raise ImageError("not_a_file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        reason = "not_a_file" if _is_no_file(path, error) else "unreadable"
        raise ImageError(reason, getattr(error, "strerror", None) or str(error)) from None
    if not data:
        raise ImageError("empty")
    return data


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image file's bytes.

    Returns:
        uint8 H×W×3, RGB, at the displayed size (EXIF orientation applied).

    Raises:
        ImageError: empty, not_an_image, corrupt, too_large or too_small.
    """
    return decode_reduced(data, 0, max_pixels)[0]


def decode_reduced(data: bytes, least: int, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode for a use that needs no side longer than `least`: JPEGs of camera size are decoded at 1/2, 1/4 or 1/8,
    as long as both sides keep `least` pixels. 0: at full size.

    Returns:
        The pixels as `decode` gives them, maybe smaller, and (height, width) as displayed at full size.

    Raises:
        ImageError: as `decode`.
    """
    if not data:
        raise ImageError("empty")
    image = _open(data)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError("too_large", f"{width}×{height} pixels; at most {max_pixels:,} are decoded")
    if min(width, height) < MIN_SIDE:
        raise ImageError("too_small", f"{width}×{height} pixels; each side must have {MIN_SIDE}")
    try:
        if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB"):
            # libjpeg only warns of damaged pixels, and Pillow keeps that to itself; here it is an error
            factor = max((f for f in (2, 4, 8) if least and min(width, height) >= f * least), default=1)
            smallest = {"min_width": -(-width // factor), "min_height": -(-height // factor)} if factor > 1 else {}
            pixels = simplejpeg.decode_jpeg(data, "RGB", **smallest)
        else:
            image.load()
            pixels = _to_rgb(image)
            height, width = pixels.shape[:2]  # Pillow turns TIFFs itself
        orientation = _orientation(image)
        pixels = np.ascontiguousarray(_TURN[orientation](pixels))
        return pixels, (width, height) if orientation in _SIDEWAYS else (height, width)
    except MemoryError:
        raise ImageError("too_large", f"{width}×{height} pixels do not fit into memory") from None
    except Exception as error:  # decoders of damaged files raise all sorts
        raise ImageError("corrupt", f"{REASONS['corrupt']} ({error})") from None


def is_turned(data: bytes) -> bool:
    """Whether EXIF asks for an image file's pixels to be turned or mirrored when they are shown.

    Raises:
        ImageError: not_an_image, corrupt or too_large.
    """
    return _orientation(_open(data)) != 1


def load(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`decode(read_bytes(path))`."""
    return decode(read_bytes(path), max_pixels)


def decode_mask(data: bytes) -> np.ndarray:
    """Bytes of an annotation or map -> uint8 H×W; colour turns grey, polarity is left as it is.

    Raises:
        ImageError: as `decode`.
    """
    return cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode uint8 H×W×3 RGB, or uint8 or uint16 H×W, as PNG."""
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", bgr)[1].tobytes()


def encode_jpeg(rgb: np.ndarray, quality: int = 95) -> bytes:
    """uint8 RGB H×W×3 -> JPEG bytes; colour is kept at full resolution."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a pipe that nobody writes to would block


def _is_no_file(path: str | Path, error: Exception) -> bool:
    """Whether opening failed since the path is a socket, a loop of links or a link to nothing."""
    number = getattr(error, "errno", None)
    return number in (errno.ENXIO, errno.ELOOP) or (number == errno.ENOENT and Path(path).is_symlink())


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError("not_an_image") from None
    except Image.DecompressionBombError:
        raise ImageError("too_large", f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise ImageError("too_large", "does not fit into memory") from None
    except Exception as error:  # a header that lies: struct, overflow, syntax errors
        raise ImageError("corrupt", f"{REASONS['corrupt']} ({error})") from None


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 … 8; of a TIFF that is loaded always 1, since Pillow has turned it."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # broken metadata around good pixels: shown as they lie, as viewers do
        return 1
    return orientation if orientation in _TURN else 1


# What a viewer does for each EXIF orientation, on H×W×3.
_TURN = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}
_SIDEWAYS = (5, 6, 7, 8)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        return cv2.cvtColor(_grey_to_uint8(np.asarray(image)), cv2.COLOR_GRAY2RGB)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _grey_to_uint8(grey: np.ndarray) -> np.ndarray:
    """Deep greys to 8 bits: integers by the range of 16 bits, unless none exceeds 255; floats by [0, 1]; what exceeds
    such a range, by its own."""
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if np.issubdtype(grey.dtype, np.integer):
        low, high = 0.0, max(values.max(), 65535.0) if values.max() > 255 else 255.0
    else:
        low, high = min(values.min(), 0.0), max(values.max(), 1.0)
    return np.rint((values - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
