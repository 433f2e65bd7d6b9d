"""EXIF orientation: which one a picture asks for, and how a viewer turns its pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

# How a viewer transforms H×W×3 for each EXIF orientation.
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


def orientation_of(image: Image.Image) -> int:
    """Return the orientation in which an opened picture is still to be turned, 1 … 8.

    It is 1 for a TIFF that is loaded, because Pillow has applied its EXIF, and for a JPEG XL, because its decoder has
    applied the orientation of the pixels themselves, beside which that of EXIF is to be ignored (ISO/IEC 18181-2). A
    JPEG that is packed as JPEG XL is unpacked as it was, and turned like any other.
    """
    if image.format == "JXL" and not getattr(image, "jpeg", False):
        return 1
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # broken metadata around good pixels: shown as stored, as viewers do
        return 1
    return orientation if orientation in _TURN else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view of H×W or H×W×C pixels as they are displayed."""
    return _TURN[orientation](pixels)


def is_sideways(orientation: int) -> bool:
    """Return whether height and width are exchanged for display."""
    return orientation in (5, 6, 7, 8)
