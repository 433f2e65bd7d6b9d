"""Decodes image files to RGB as a person sees it, or raises an `ImageError`: every hostile file ends here.

Training, evaluation and scoring all decode here. The file's content counts, not its suffix; EXIF orientation is
applied; transparency lies over white; deep values are scaled to 8 bits; of an animation the first frame is taken, of a
raw file the photo that the camera has embedded. A damaged file is an error, never half a picture: grey filling would
pass for defocus.
"""

from __future__ import annotations

import errno
import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from r2mrf.errors import UserError, one_line
from r2mrf.formats import box_files, depth, jpeg, jpeg_xl, known, raw_files, tiff
from r2mrf.formats.known import SUFFIXES as SUFFIXES
from r2mrf.system.regular_files import NotRegular, read_regular

MAX_PIXELS = 178_000_000  # just below Pillow's own limit, which stays in force
MAX_BYTES = 1 << 30
MIN_SIDE = 8  # smaller pictures hold nothing that could be in or out of focus
FORMATS = tuple(form.name for form in known.FORMATS if form.package is None and form.name != "RAW")  # Pillow's names

# Colour profiles and texts of PNGs may be as long as a photo's pixels; each is unpacked only up to here.
PngImagePlugin.MAX_TEXT_CHUNK = 64 << 20
PngImagePlugin.MAX_TEXT_MEMORY = 128 << 20

REASONS = {
    "unreadable": "the file cannot be opened or read",
    "unreachable": "its server or bucket is not there, or does not answer",
    "not_allowed": "a list names it on a server or bucket that the command does not allow",
    "not_a_file": "a folder, pipe, device or broken link",
    "empty": "the file has no bytes",
    "not_an_image": "the bytes are no image format known here",
    "unsupported": "an image of a kind that is not read",
    "ambiguous": "a mask in which it is not certain what is white",
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
    """Decode for a use that needs no side longer than `least`: JPEGs of camera size are decoded at 1/2, 1/4 or 1/8,
    as long as both sides keep `least` pixels. 0: at full size.

    Returns:
        The pixels as `decode` gives them, maybe smaller, and (height, width) as displayed at full size. `max_pixels`
        holds for the pixels that are decoded.

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
        raise ImageError("too_small", f"{width}×{height} pixels; each side must have {MIN_SIDE}")
    try:
        if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB", "CMYK"):
            pixels = _decode_jpeg(data, image.mode, _factor(least, height, width), height, width)
        else:
            pixels = _load(image, data)
            height, width = pixels.shape[:2]  # Pillow turns TIFFs itself
        orientation = orientation or _orientation(image)
        pixels = np.ascontiguousarray(_TURN[orientation](pixels))
        return pixels, (width, height) if orientation in _SIDEWAYS else (height, width)
    except MemoryError:
        raise ImageError("too_large", f"{width}×{height} pixels do not fit into memory") from None
    except Exception as error:  # decoders of damaged files raise all sorts
        raise ImageError("corrupt", f"{REASONS['corrupt']} ({one_line(error)})") from None


def is_turned(data: bytes) -> bool:
    """Return whether an image file asks for its pixels to be turned or mirrored when they are shown.

    Raises:
        ImageError: not_an_image, unsupported, corrupt or too_large.
    """
    photo, orientation = _photo_in(data)
    return (orientation or _orientation(_open(photo))) != 1


def load(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`decode(read_bytes(path))`."""
    return decode(read_bytes(path), max_pixels)


def decode_mask(data: bytes) -> np.ndarray:
    """Bytes of an annotation or map -> uint8 H×W; colour turns grey, polarity is left as it is.

    Raises:
        ImageError: as `decode`.
    """
    return cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY)


def own_channels(data: bytes) -> dict[str, np.ndarray]:
    """Return what a picture holds apart from how it is shown, each uint8 H×W and upright.

    Returns:
        `grey`: its colours as greys, as if it were opaque. `alpha`, where it has one. Of a palette's colours: `index`,
        their numbers, and `is_grey`, 255 where a colour is a grey.

    Raises:
        ImageError: as `decode`.
    """
    rgb = decode(data)  # which refuses what is damaged or too large
    image = _open(_photo_in(data)[0])
    if image.mode not in ("P", "PA", "LA", "RGBA", "La", "RGBa") and "transparency" not in image.info:
        return {"grey": cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)}
    orientation = _orientation(image)
    rgba = np.asarray(image.convert("RGBA"))
    channels = {"grey": cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2GRAY), "alpha": rgba[..., 3]}
    if image.mode == "P":
        grey = (rgba[..., :1] == rgba[..., 1:3]).all(-1)
        channels |= {"index": np.asarray(image), "is_grey": grey.astype(np.uint8) * 255}
    return {name: np.ascontiguousarray(_TURN[orientation](channel)) for name, channel in channels.items()}


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode uint8 H×W×3 RGB, or uint8 or uint16 H×W, as PNG."""
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", bgr)[1].tobytes()


def encode_jpeg(rgb: np.ndarray, quality: int = 95) -> bytes:
    """uint8 RGB H×W×3 -> JPEG bytes; colour is kept at full resolution."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def _photo_in(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[bytes, int | None]:
    """Return the bytes that Pillow is to open, and the orientation where other bytes than these tell it.

    Raises:
        ImageError: unsupported, corrupt, or too_large.
    """
    form = known.optional(data)
    if form is not None and not known.is_installed(form):
        raise ImageError("unsupported", f"{form.name} is read with an optional package: {known.INSTALL}")
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
    except Exception as error:  # a header that lies: struct, overflow, syntax errors
        raise ImageError("corrupt", f"{REASONS['corrupt']} ({one_line(error)})") from None


def _unknown(data: bytes, form: known.Format | None) -> ImageError:
    """Say what bytes are that no decoder knows."""
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


def _factor(least: int, height: int, width: int) -> int:
    """Return the fraction of its size, as 1/factor, at which a JPEG is decoded for a use that needs `least` pixels."""
    return max((f for f in (2, 4, 8) if least and min(width, height) >= f * least), default=1)


def _large_but_reduced(data: bytes, least: int, max_pixels: int) -> tuple[int, int] | None:
    """Return (height, width) of a JPEG of too many pixels that is decoded to few enough; None for any other file.

    A progressive one is any other: its coefficients at full size are held in memory.
    """
    size = jpeg.dimensions(data) if least and jpeg.is_sequential(data) else None
    if size is None or size[0] * size[1] <= max_pixels:
        return None
    factor = _factor(least, *size)
    return size if -(-size[0] // factor) * -(-size[1] // factor) <= max_pixels else None


def _decode_jpeg(data: bytes, mode: str, factor: int, height: int, width: int) -> np.ndarray:
    """Decode a JPEG strictly to uint8 H×W×3; Pillow does not tell of damage."""
    if mode != "CMYK":
        return jpeg.decode(data, "RGB", factor, height, width)
    inverted = jpeg.decode(data, "CMYK", factor, height, width)  # as Adobe writes it, and so everyone
    return np.asarray(Image.fromarray(255 - inverted, "CMYK").convert("RGB"))


def _load(image: Image.Image, data: bytes) -> np.ndarray:
    """Decode what is no JPEG to uint8 H×W×3."""
    if image.format != "TIFF":
        image.load()
        return _to_rgb(image)
    directory = next(iter(tiff.directories(data)), tiff.Directory({}))
    deep = tiff.planar_sixteen_bit(data, directory)
    if deep is not None:
        turn = _TURN[_orientation(image)]
        return turn(depth.to_eight_bits(deep, directory.top))
    image.load()
    return _to_rgb(image, directory.top)


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


def _to_rgb(image: Image.Image, top: float | None = None) -> np.ndarray:
    """Pixels of a loaded image as uint8 H×W×3; `top` is the value of white in deep greys, if the file names it."""
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        return cv2.cvtColor(depth.to_eight_bits(np.asarray(image), top), cv2.COLOR_GRAY2RGB)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))
