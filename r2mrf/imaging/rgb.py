"""RGB of 8 bits from pictures that Pillow has opened, whatever they are made of: grey, palettes, inks, deep values."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from r2mrf.formats import depth, jpeg, tiff
from r2mrf.imaging.orientation import orientation_of, upright


def rgb_of_jpeg(data: bytes, mode: str, factor: int, height: int, width: int) -> np.ndarray:
    """Decode a JPEG strictly to uint8 H×W×3; Pillow does not report damage."""
    if mode != "CMYK":
        return jpeg.decode(data, "RGB", factor, height, width)
    inverted = jpeg.decode(data, "CMYK", factor, height, width)  # inverted, as Adobe and therefore everyone writes it
    return np.asarray(Image.fromarray(255 - inverted, "CMYK").convert("RGB"))


def rgb_of(image: Image.Image, data: bytes) -> np.ndarray:
    """Decode any format but JPEG to uint8 H×W×3; a TIFF is turned upright.

    Args:
        data: the file's bytes.
    """
    if image.format != "TIFF":
        image.load()
        is_deep = image.format == "PNG" and data[24:25] == b"\x10" and image.mode == "RGB"
        return _unless_dark(_to_rgb(image), data if is_deep else b"")
    directory = next(iter(tiff.directories(data)), tiff.Directory({}))
    deep = tiff.planar_sixteen_bit(data, directory)
    if deep is not None:
        return upright(depth.to_eight_bits(deep, directory.top), orientation_of(image))
    image.load()
    is_deep = directory.values.bits == 16 and image.mode == "RGB" and directory.values.samples == 3
    return _unless_dark(_to_rgb(image, directory.top), data if is_deep else b"", directory.top)


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture holds greys of more than 8 bits."""
    return image.mode in ("F", "I") or image.mode.startswith("I;16")


def deep_map(image: Image.Image, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return a map that `is_deep` as uint8 H×W, and its values as stored, H×W; both upright.

    Args:
        data: the file's bytes.
    """
    stated = next(iter(tiff.directories(data)), None) if image.format == "TIFF" else None
    values = np.asarray(image)
    values = upright(values, orientation_of(image))  # not before, because Pillow turns a TIFF as it loads it
    return depth.map_to_eight_bits(values, stated.top if stated else None), values


def _unless_dark(rgb: np.ndarray, deep: bytes, top: float | None = None) -> np.ndarray:
    """Return a colour picture that Pillow has decoded, unless it uses only the lowest quarter of the range.

    Such a picture is decoded again, and its deep values are scaled by the smallest usual depth that holds them: some
    16-bit files hold 12-bit values.

    Args:
        deep: bytes of the file, if it has 16 bits; else empty.
    """
    if not deep or rgb.max(initial=0) >= 64:
        return rgb
    # OpenCV turns TIFFs all the same, as Pillow does
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    values = cv2.imdecode(np.frombuffer(deep, np.uint8), flags)
    if values is None or values.dtype != np.uint16 or values.shape != rgb.shape:
        return rgb
    return depth.to_eight_bits(values[..., ::-1], top)


def _to_rgb(image: Image.Image, top: float | None = None) -> np.ndarray:
    """Return a loaded image as uint8 H×W×3; `top` is the value of white in deep greys, if the file states it."""
    if is_deep(image):
        return cv2.cvtColor(depth.to_eight_bits(np.asarray(image), top), cv2.COLOR_GRAY2RGB)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))
