"""An encoded photo -> its record. Bulk scoring runs the two halves apart: read the photo; sum up its map."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.borders import Box, inside_borders
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.imaging.resize import resize
from r2mrf.prediction import exif
from r2mrf.prediction.analyser import Analysis
from r2mrf.prediction.exif import Taken
from r2mrf.prediction.focus import Focus, Thresholds, describe, local_contrast
from r2mrf.system.sandbox import Guard, Lost

if TYPE_CHECKING:  # what only reads photos needs no network
    from r2mrf.prediction.predictor import Predictor

VERSION = 3  # raise it when the same photo and model would give another record; it enters every fingerprint

# The keys of a record, which are columns of the table of scores.
RECORD = ("status", "error", "width", "height", "content_sha256", *Focus.__dataclass_fields__)

# JPEGs may be decoded at a fraction of their size as long as each side keeps this many times the network's input:
# the rest is an area average, as shrinking is. tests/model/test_released_weights.py holds what that changes in a score.
REDUCED = 2


@dataclass(frozen=True)
class Shrunk:
    """A photo as the network will see it: `pixels`, uint8 S×S×3, and facts read from the file before it runs."""

    pixels: np.ndarray
    width: int
    height: int
    content_sha256: str
    contrast: float  # see focus.local_contrast
    box: Box  # the part of the photo that `pixels` show, within its borders; in pixels of the photo
    taken: Taken = field(default_factory=Taken)


def shrink(data: bytes, preprocess: Preprocess, max_pixels: int) -> Shrunk:
    """Decode a photo, cut its borders and shrink it to the network's input; the full-size pixels are not kept.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    rgb, (height, width) = images.decode_reduced(data, REDUCED * preprocess.size, max_pixels)
    box = inside_borders(rgb)
    pixels = preprocess.shrink(box.cut(rgb))
    place = box.scaled(rgb.shape[:2], (height, width))
    content, taken = hashlib.sha256(data).hexdigest(), exif.read(data)
    return Shrunk(pixels, width, height, content, local_contrast(pixels), place, taken)


def read_photo(source: str | bytes, preprocess: Preprocess, max_pixels: int) -> Shrunk:
    """Read, decode and shrink the photo at a path, or its bytes, on one core.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    cv2.setNumThreads(1)
    return shrink(images.read_bytes(source) if isinstance(source, str) else source, preprocess, max_pixels)


def read_guarded(guard: Guard, source: str | bytes) -> Shrunk:
    """Call a guard of `read_photo`; whatever ends its process is a reason why the photo cannot be used.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    try:
        return guard(source)
    except MemoryError:
        raise images.ImageError("too_large", "does not fit into memory") from None
    except Lost as error:
        raise images.ImageError(error.reason, str(error)) from None


def focus_of(analysis: Analysis, photo: Shrunk, score: Score) -> Focus:
    """Sum up the map of a photo's shrunk pixels. Shares are those of the photo within its borders."""
    thresholds = Thresholds(score.sharp_below, score.blurred_above)
    size = photo.height, photo.width
    return describe(analysis.defocus, size, analysis.confidence, photo.contrast, thresholds, photo.box)


def map_of(analysis: Analysis, photo: Shrunk) -> np.ndarray:
    """Return the map of all of a photo, float32 S×S: its borders, of which nothing can be said, count as in focus."""
    size = photo.height, photo.width
    if photo.box == (0, 0, photo.width, photo.height):
        return analysis.defocus
    painted = np.zeros_like(analysis.defocus)
    region = photo.box.scaled(size, painted.shape).cut(painted)
    region[:] = resize(analysis.defocus, *region.shape).clip(0, 1)
    return painted


def record(predictor: Predictor, data: bytes, score: Score) -> dict:
    """Return the record of one encoded photo: status, error, size, content hash and the fields of `focus.Focus`.

    A photo that cannot be used raises nothing: `status` is "failed", `error` says why, and the other fields are None.
    """
    return record_and_map(predictor, data, score)[0]


def record_and_map(
    predictor: Predictor, data: bytes, score: Score, guard: Guard | None = None
) -> tuple[dict, np.ndarray | None]:
    """Return the record and the map of all of the photo, float32 S×S; None if it failed.

    Args:
        guard: of `read_photo`; None = decode in this process.
    """
    try:
        shrunk = read_guarded(guard, data) if guard else shrink(data, predictor.preprocess, score.max_pixels)
    except images.ImageError as error:
        return dict.fromkeys(RECORD) | {"status": "failed", "error": str(error)}, None
    analysis = predictor.analyse_batch(shrunk.pixels[None])[0]
    focus = focus_of(analysis, shrunk, score)
    facts = {"width": shrunk.width, "height": shrunk.height, "content_sha256": shrunk.content_sha256}
    return {"status": "ok", "error": None, **facts, **asdict(focus)}, map_of(analysis, shrunk)
