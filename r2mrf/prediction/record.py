"""Makes the record of an encoded photo, in two halves that bulk scoring runs separately: reading and summarising."""

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
from r2mrf.prediction.detail import Detail, Probe, judge, make_probe
from r2mrf.prediction.exif import Taken
from r2mrf.prediction.focus import Focus, Thresholds, describe, local_contrast
from r2mrf.system.sandbox import Guard, Lost

if TYPE_CHECKING:  # processes that only read photos need no network
    from r2mrf.prediction.predictor import Predictor

VERSION = 6  # raise it when a change gives a photo another record; every fingerprint contains it

# The keys of a record, which are also columns of the table of scores.
RECORD = ("status", "error", "width", "height", "content_sha256", *Focus.__dataclass_fields__)
DETAIL = tuple(Detail.__dataclass_fields__)  # additional keys, if `Score.detail` is set

# A JPEG may be decoded at a fraction of its size as long as each side keeps this many times the network's input size;
# area averaging does the rest. tests/model/test_released_weights.py limits how much this changes a score.
REDUCED = 2


@dataclass(frozen=True)
class Shrunk:
    """A photo as the network will see it: `pixels`, uint8 S×S×3, and facts that are read from the file."""

    pixels: np.ndarray
    width: int
    height: int
    content_sha256: str
    contrast: float  # see focus.local_contrast
    box: Box  # the part of the photo that `pixels` show, inside its borders; in pixels of the photo
    probe: Probe | None = None  # the place that is probably the sharpest, inside the box; None without `detail`
    taken: Taken = field(default_factory=Taken)


def shrink(data: bytes, preprocess: Preprocess, max_pixels: int, detail: bool = False) -> Shrunk:
    """Decode a photo, cut off its borders and shrink it to the network's input; the full-size pixels are not kept.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    least = REDUCED * preprocess.size
    rgb, (height, width) = images.decode_reduced(data, 0 if detail else least, max_pixels)
    small = _reduced(rgb, least) if detail else rgb
    found = inside_borders(small)
    if small.shape[:2] != (height, width) and (left := min(found.crop(small).shape[:2])) < least:
        least = -(-least * min(small.shape[:2]) // left)  # so that the part inside the borders keeps enough pixels
        try:
            small = _reduced(rgb, least) if detail else images.decode_reduced(data, least, max_pixels)[0]
        except images.ImageError as error:
            if error.reason != "too_large":  # if it is, the smaller form must do
                raise
        found = inside_borders(small)
    pixels = preprocess.shrink(found.crop(small))
    box = found.scaled(small.shape[:2], (height, width))
    probe = make_probe(box.crop(rgb), preprocess.size) if detail else None
    content, taken = hashlib.sha256(data).hexdigest(), exif.read(data)
    return Shrunk(pixels, width, height, content, local_contrast(pixels), box, probe, taken)


def _reduced(rgb: np.ndarray, least: int) -> np.ndarray:
    """Halve a photo as often as a JPEG would be while it is decoded."""
    for _ in range(3):
        if min(rgb.shape[:2]) >= 2 * least:
            rgb = resize(rgb, rgb.shape[0] // 2, rgb.shape[1] // 2)
    return rgb


def read_photo(source: str | bytes, detail: bool = False, *, preprocess: Preprocess, max_pixels: int) -> Shrunk:
    """Read, decode and shrink the photo at a path, or in memory, on one core.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    cv2.setNumThreads(1)
    return shrink(images.read_bytes(source) if isinstance(source, str) else source, preprocess, max_pixels, detail)


def read_guarded(guard: Guard, *arguments: object) -> Any:
    """Call a guarded function that reads a photo; if its process dies, raise the reason as an ImageError.

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
    """Summarise the map of a photo's shrunk pixels. Shares refer to the photo inside its borders."""
    size, box = (photo.height, photo.width), photo.box
    seen = analysis.shown(box.y1 - box.y0, box.x1 - box.x0)
    return describe(seen.defocus, size, seen.confidence, photo.contrast, thresholds_of(score), box)


def thresholds_of(score: Score) -> Thresholds:
    """Return the thresholds of the verdicts, taken from the scoring options."""
    return Thresholds(score.sharp_below, score.blurred_above, score.soft_above)


def pictures_of(photo: Shrunk) -> list[np.ndarray]:
    """Return what the network is to see of a photo, uint8 S×S×3 each: all of it, and its probe if it has one."""
    return [photo.pixels, *([photo.probe.picture] if photo.probe else [])]


def detail_of(photo: Shrunk, defocus: np.ndarray | None, scale: BlurScale) -> dict:
    """Return the fields of `detail.Detail`, measured on the map of a photo's probe; empty if it has none."""
    if photo.probe is None or defocus is None:
        return {}
    left, top = photo.box[:2]
    detail = asdict(judge(photo.probe, defocus, scale, (photo.height, photo.width)))
    for name, start in (("x0", left), ("x1", left), ("y0", top), ("y1", top)):
        detail[f"sharpest_{name}"] += start
    return detail


def map_of(analysis: Analysis, photo: Shrunk) -> np.ndarray:
    """Return the map of the whole photo, float32 S×S, or of the photo's size if that is smaller.

    Its borders, about which nothing can be said, count as in focus.
    """
    size = photo.height, photo.width
    if photo.box == (0, 0, photo.width, photo.height):
        return visible(analysis.defocus, *size)
    left, top, right, bottom = photo.box
    painted = np.zeros_like(visible(analysis.defocus, *size))
    region = photo.box.scaled(size, painted.shape).crop(painted)
    region[:] = resize(visible(analysis.defocus, bottom - top, right - left), *region.shape).clip(0, 1)
    return painted


def within_borders(rgb: np.ndarray, measure: Callable[[np.ndarray], np.ndarray], outside: float) -> np.ndarray:
    """Map a photo inside its borders, uint8 H×W×3 -> float32 H×W; the borders get the value `outside`."""
    seen, box = np.full(rgb.shape[:2], outside, np.float32), inside_borders(rgb)
    box.crop(seen)[:] = measure(box.crop(rgb))
    return seen


def record(predictor: Predictor, data: bytes, score: Score) -> dict:
    """Return the record of one encoded photo: the keys of `RECORD`, and those of `DETAIL` if `score.detail` is set.

    Nothing is raised for a photo that cannot be used: `status` is "failed", `error` says why, and other fields are
    None.
    """
    return record_and_map(predictor, data, score)[0]


def record_and_map(
    predictor: Predictor, data: bytes, score: Score, guard: Guard | None = None
) -> tuple[dict, np.ndarray | None]:
    """Return the record, and the map of the whole photo, float32 S×S, or None if the photo failed.

    Args:
        guard: a guarded `read_photo`; None = decode in this process.
    """
    try:
        shrunk = read_guarded(guard, data, score.detail) if guard else _shrink(data, predictor, score)
    except images.ImageError as error:
        known = dict.fromkeys(RECORD + (DETAIL if score.detail else ()))
        return known | {"status": "failed", "error": str(error)}, None
    analysis, *of_probe = predictor.analyse_batch(np.stack(pictures_of(shrunk)))
    focus = focus_of(analysis, shrunk, score)
    facts = {"width": shrunk.width, "height": shrunk.height, "content_sha256": shrunk.content_sha256}
    detail = detail_of(shrunk, of_probe[0].defocus if of_probe else None, predictor.blur_scale)
    row = {"status": "ok", "error": None, **facts, **asdict(focus), **detail}
    row["verdict"] = thresholds_of(score).verdict_of(row | {"contrast": shrunk.contrast})
    return row, map_of(analysis, shrunk)


def _shrink(data: bytes, predictor: Predictor, score: Score) -> Shrunk:
    return shrink(data, predictor.preprocess, score.max_pixels, score.detail)
