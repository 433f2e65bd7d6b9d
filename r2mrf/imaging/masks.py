"""Reads masks and maps made by other programs as they were meant, or refuses them if that is not certain.

pixels, note = read_mask(data)      # uint8 H×W, white = 255; "" or a key of `NOTES`, which says what was done
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from r2mrf.imaging import images
from r2mrf.imaging.images import ImageError

NOTES = {
    "classes": "of 0 and 1 instead of 0 and 255; 1 is read as white",
    "palette": "with the classes 0 and 1 in a palette; 1 is read as white, 255 as doubt",
    "alpha": "drawn only in their transparency; opaque is read as white",
    "opaque": "partly transparent; their colours are read as if they were opaque",
    "turned": "turned by their EXIF; they are read as displayed",
    "dim": "of 16 bits without a value from 255 on; 65535 is read as white",
    "values": "read by the given values",
}
_DOUBT, _VOID = 128, 255  # class 255, with which annotations mark doubtful borders, becomes grey


class Mask(NamedTuple):
    """A mask or map as it was meant. `pixels`: uint8 H×W; `note`: a key of `NOTES`, or "" if it was read as it is."""

    pixels: np.ndarray
    note: str


def read_mask(data: bytes, values: tuple[int, int] | None = None) -> Mask:
    """Read a mask.

    Args:
        data: an image file.
        values: the values for black and white, as grey values or as numbers of the palette; values between mean doubt.
            None: find them out.

    Raises:
        ImageError: as `images.decode`; or `ambiguous`: it is not certain which value means white.
    """
    channels = images.own_channels(data)
    index, deep = channels.get("index"), channels.get("deep")
    if deep is not None and (deep.dtype.kind not in "iu" or deep.max() > _VOID):
        deep = None  # its values are no grey values of 8 bits
    if values is not None:
        stored = next(found for found in (index, deep, channels["grey"]) if found is not None)
        return Mask(_by_values(stored, values), "values")
    if deep is not None and _is_dim(deep):
        raise _ambiguous(f"its brightest value is {deep.max()} of 65535")
    if index is not None and not channels["is_grey"].all():
        return Mask(_by_class(index), "palette")
    mask = read_map(data)
    if mask.pixels.max() == 1:
        return Mask(mask.pixels * np.uint8(255), "classes")
    if 1 < mask.pixels.max() <= 127:
        raise _ambiguous(f"its brightest value is {mask.pixels.max()} of 255")
    return mask


def read_map(data: bytes) -> Mask:
    """Read a map of probabilities, 0 … 255. Its transparency is ignored, unless the map is drawn in nothing else.

    Raises:
        ImageError: as `images.decode`; or `ambiguous`: its colours and its transparency disagree.
    """
    channels = images.own_channels(data)
    grey, alpha = channels["grey"], channels.get("alpha")
    if alpha is None or alpha.min() == 255:
        deep = channels.get("deep")
        dim = deep is not None and _is_dim(deep)
        return Mask(grey, "turned" if images.is_turned(data) else "dim" if dim else "")
    if alpha.min() < alpha.max() and grey.min() == grey.max():
        return Mask(alpha, "alpha")
    if alpha.min() < alpha.max() and not np.array_equal(grey > 127, alpha > 127):
        raise _ambiguous("its colours and its transparency disagree")
    return Mask(grey, "opaque")


def _is_dim(deep: np.ndarray) -> bool:
    """Return whether these are integers of more than 8 bits, none of which reaches 255: 255 may be meant as white."""
    return deep.dtype.kind in "iu" and bool(1 < deep.max() < _VOID)


def _by_values(found: np.ndarray, values: tuple[int, int]) -> np.ndarray:
    black, white = values
    share = (found.astype(float) - black) / (white - black)
    return np.rint(share.clip(0, 1) * 255).astype(np.uint8)


def _by_class(index: np.ndarray) -> np.ndarray:
    classes = {*np.unique(index).tolist()}
    if not classes <= {0, 1, _VOID}:
        raise _ambiguous(f"its palette has the classes {', '.join(map(str, sorted(classes)[:8]))}")
    return np.where(index == _VOID, _DOUBT, index * 255).astype(np.uint8)


def _ambiguous(why: str) -> ImageError:
    return ImageError("ambiguous", f"{why}, so it is not certain which value means white: save it with 0 and 255")
