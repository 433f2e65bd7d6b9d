"""An encoded photo -> its record. Bulk scoring runs the two halves apart: read the photo; sum up its map."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.borders import Box, inside_borders
from r2mrf.imaging.preprocess import Preprocess, visible
from r2mrf.imaging.resize import resize
from r2mrf.prediction import exif
from r2mrf.prediction.analyser import Analysis
from r2mrf.prediction.detail import Detail, Place, judge, take
from r2mrf.prediction.exif import Taken
from r2mrf.prediction.focus import Focus, Thresholds, describe, local_contrast
from r2mrf.system.sandbox import Guard, Lost

if TYPE_CHECKING:  # what only reads photos needs no network
    from r2mrf.prediction.predictor import Predictor

VERSION = 4  # raise it when the same photo and model would give another record; it enters every fingerprint

# The keys of a record, which are columns of the table of scores.
RECORD = ("status", "error", "width", "height", "content_sha256", *Focus.__dataclass_fields__)
DETAIL = tuple(Detail.__dataclass_fields__)  # and these, if `Score.detail` asks for them

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
    places: tuple[Place, ...] = ()  # within the box, where the sharpest place may be; empty if detail is not wanted
    taken: Taken = field(default_factory=Taken)


def shrink(data: bytes, preprocess: Preprocess, max_pixels: int, detail: bool = False) -> Shrunk:
    """Decode a photo, cut its borders and shrink it to the network's input; the full-size pixels are not kept.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    rgb, (height, width) = images.decode_reduced(data, 0 if detail else REDUCED * preprocess.size, max_pixels)
    box = inside_borders(rgb)
    pixels = preprocess.shrink(box.cut(rgb))
    place = box.scaled(rgb.shape[:2], (height, width))
    places = tuple(take(box.cut(rgb), preprocess.size)) if detail else ()
    content, taken = hashlib.sha256(data).hexdigest(), exif.read(data)
    return Shrunk(pixels, width, height, content, local_contrast(pixels), place, places, taken)


def read_photo(source: str | bytes, detail: bool = False, *, preprocess: Preprocess, max_pixels: int) -> Shrunk:
    """Read, decode and shrink the photo at a path, or its bytes, on one core.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    cv2.setNumThreads(1)
    return shrink(images.read_bytes(source) if isinstance(source, str) else source, preprocess, max_pixels, detail)


def read_guarded(guard: Guard, *arguments: object) -> Any:
    """Call a guard of a function that reads a photo; whatever ends its process is a reason why it cannot be used.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    try:
        return guard(*arguments)
    except MemoryError:
        raise images.ImageError("too_large", "does not fit into memory") from None
    except Lost as error:
        raise images.ImageError(error.reason, str(error)) from None


def focus_of(analysis: Analysis, photo: Shrunk, score: Score) -> Focus:
    """Sum up the map of a photo's shrunk pixels. Shares are those of the photo within its borders."""
    size, box = (photo.height, photo.width), photo.box
    defocus = visible(analysis.defocus, box.y1 - box.y0, box.x1 - box.x0)
    return describe(defocus, size, analysis.confidence, photo.contrast, thresholds_of(score), box)


def thresholds_of(score: Score) -> Thresholds:
    """Return the thresholds of the verdict that the options of scoring hold."""
    return Thresholds(score.sharp_below, score.blurred_above, score.soft_above)


def detail_of(photo: Shrunk, maps: list[np.ndarray], scale: BlurScale) -> dict:
    """Return the fields of `detail.Detail` from the maps of a photo's places; none if detail is not wanted."""
    if not photo.places:
        return {}
    left, top = photo.box[:2]
    detail = asdict(judge(list(photo.places), maps, scale, (photo.height, photo.width)))
    for name, start in (("x0", left), ("x1", left), ("y0", top), ("y1", top)):
        detail[f"sharpest_{name}"] += start
    return detail


def map_of(analysis: Analysis, photo: Shrunk) -> np.ndarray:
    """Return the map of all of a photo, float32 S×S, or of the photo's size if that is smaller.

    Its borders, of which nothing can be said, count as in focus.
    """
    size = photo.height, photo.width
    if photo.box == (0, 0, photo.width, photo.height):
        return visible(analysis.defocus, *size)
    left, top, right, bottom = photo.box
    painted = np.zeros_like(visible(analysis.defocus, *size))
    region = photo.box.scaled(size, painted.shape).cut(painted)
    region[:] = resize(visible(analysis.defocus, bottom - top, right - left), *region.shape).clip(0, 1)
    return painted


def within_borders(rgb: np.ndarray, look: Callable[[np.ndarray], np.ndarray], outside: float) -> np.ndarray:
    """Look at a photo within its borders, uint8 H×W×3 -> float32 H×W, which holds `outside` in the borders."""
    seen, box = np.full(rgb.shape[:2], outside, np.float32), inside_borders(rgb)
    box.cut(seen)[:] = look(box.cut(rgb))
    return seen


def record(predictor: Predictor, data: bytes, score: Score) -> dict:
    """Return the record of one encoded photo: the keys of `RECORD`, and those of `DETAIL` if `score` asks for them.

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
        shrunk = read_guarded(guard, data, score.detail) if guard else _shrink(data, predictor, score)
    except images.ImageError as error:
        known = dict.fromkeys(RECORD + (DETAIL if score.detail else ()))
        return known | {"status": "failed", "error": str(error)}, None
    pictures = [shrunk.pixels, *(place.picture for place in shrunk.places)]
    analysis, *of_places = predictor.analyse_batch(np.stack(pictures))
    focus = focus_of(analysis, shrunk, score)
    facts = {"width": shrunk.width, "height": shrunk.height, "content_sha256": shrunk.content_sha256}
    detail = detail_of(shrunk, [place.defocus for place in of_places], predictor.blur_scale)
    row = {"status": "ok", "error": None, **facts, **asdict(focus), **detail}
    row["verdict"] = thresholds_of(score).verdict_of(row | {"contrast": shrunk.contrast})
    return row, map_of(analysis, shrunk)


def _shrink(data: bytes, predictor: Predictor, score: Score) -> Shrunk:
    return shrink(data, predictor.preprocess, score.max_pixels, score.detail)
