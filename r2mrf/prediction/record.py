"""An encoded photo -> its record. Bulk scoring runs the two halves apart: read the photo; sum up its map."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.prediction.analyser import Analysis
from r2mrf.prediction.detail import Detail, Place, judge, take
from r2mrf.prediction.focus import Focus, Limits, describe, local_contrast

if TYPE_CHECKING:  # what only reads photos needs no network
    from r2mrf.prediction.predictor import Predictor

VERSION = 3  # raise it when the same photo and model would give another record; it enters every fingerprint

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
    places: tuple[Place, ...] = ()  # where the sharpest place may be, if detail is asked for


def shrink(data: bytes, preprocess: Preprocess, max_pixels: int, detail: bool = False) -> Shrunk:
    """Decode a photo and shrink it to the network's input; the full-size pixels are not kept.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    least = 0 if detail else REDUCED * preprocess.size
    rgb, (height, width) = images.decode_reduced(data, least, max_pixels)
    pixels = preprocess.shrink(rgb)
    places = tuple(take(rgb, preprocess.size)) if detail else ()
    return Shrunk(pixels, width, height, hashlib.sha256(data).hexdigest(), local_contrast(pixels), places)


def read_photo(source: str | bytes, preprocess: Preprocess, max_pixels: int, detail: bool = False) -> Shrunk:
    """Read, decode and shrink the photo at a path, or its bytes, on one core.

    Raises:
        images.ImageError: the photo cannot be used.
    """
    cv2.setNumThreads(1)
    return shrink(images.read_bytes(source) if isinstance(source, str) else source, preprocess, max_pixels, detail)


def focus_of(
    analysis: Analysis, preprocess: Preprocess, width: int, height: int, contrast: float, score: Score
) -> Focus:
    """Sum up the map of a photo's shrunk pixels.

    Args:
        preprocess: has shrunk them.
        width, height: of the photo as displayed, in pixels.
        contrast: see `focus.local_contrast`.
        score: holds the limits of the verdict.
    """
    defocus = preprocess.visible(analysis.defocus, height, width)
    return describe(defocus, (height, width), analysis.confidence, contrast, limits_of(score))


def limits_of(score: Score) -> Limits:
    """Return the limits of the verdict that the options of scoring hold."""
    return Limits(score.sharp_below, score.blurred_above, score.soft_above)


def detail_of(shrunk: Shrunk, maps: list[np.ndarray], scale: BlurScale) -> dict:
    """Return the fields of `detail.Detail` from the maps of a photo's places; none if detail was not asked for."""
    if not shrunk.places:
        return {}
    return asdict(judge(list(shrunk.places), maps, scale, (shrunk.height, shrunk.width)))


def record(predictor: Predictor, data: bytes, score: Score) -> dict:
    """Return the record of one encoded photo: the keys of `RECORD`, and those of `DETAIL` if they are asked for.

    A photo that cannot be used raises nothing: `status` is "failed", `error` says why, and the other fields are None.
    """
    return record_and_map(predictor, data, score)[0]


def record_and_map(predictor: Predictor, data: bytes, score: Score) -> tuple[dict, np.ndarray | None]:
    """Return the record and the map that it sums up: float32 S×S, as the network saw the photo; None if it failed."""
    try:
        shrunk = shrink(data, predictor.preprocess, score.max_pixels, score.detail)
    except images.ImageError as error:
        known = dict.fromkeys(RECORD + (DETAIL if score.detail else ()))
        return known | {"status": "failed", "error": str(error)}, None
    pictures = [shrunk.pixels, *(place.picture for place in shrunk.places)]
    analysis, *of_places = predictor.analyse_batch(np.stack(pictures))
    focus = focus_of(analysis, predictor.preprocess, shrunk.width, shrunk.height, shrunk.contrast, score)
    facts = {"width": shrunk.width, "height": shrunk.height, "content_sha256": shrunk.content_sha256}
    detail = detail_of(shrunk, [place.defocus for place in of_places], predictor.blur_scale)
    row = {"status": "ok", "error": None, **facts, **asdict(focus), **detail}
    row["verdict"] = limits_of(score).verdict(row | {"contrast": shrunk.contrast})
    return row, analysis.defocus
