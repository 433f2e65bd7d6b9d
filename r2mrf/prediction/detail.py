"""Measures how sharp a photo is at its sharpest place, with only two more runs of the network.

    places = take(rgb, size=320)                        # without the network: the most detailed places, as patches
    detail = judge(places, maps, blur_scale, (h, w))    # maps: of the places' pictures; sharpest_radius, and where

`blur_radius` measures every pixel and examines every window, but bulk scoring only needs the sharpest place. Places are
chosen by their fine detail. The network then sees each of them at four views, an octave apart, as patches of one
picture. In the middle of a 160-pixel patch its output is the same as in a window of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.resize import lay_in, resize
from r2mrf.prediction.radius import exceeded
from r2mrf.prediction.views import SURE

AREA = 0.01  # share of the photo that a place covers; half of its pixels decide, which is the promised 0.5 %
PLACES = 2  # number of places examined
ACROSS = 2  # patches in each row and each column of a picture
SCALES = (1, 2, 4, 8)  # photo pixels per pixel, for each patch
RIM = 0.25  # of a patch's side: the margin in which neighbouring patches may disturb the result
FADE = 0.15  # of a patch's side: the width over which it fades out
CELL = 16  # pixels: side of the squares in which detail is compared


@dataclass(frozen=True)
class Place:
    """A place of a photo, and its patches in one picture, uint8 S×S×3.

    `box`: in pixels of the photo, x1 and y1 exclusive. `inner`: for each patch, the rows and columns of the picture
    that show the place and are not disturbed by other patches.
    """

    box: tuple[int, int, int, int]  # x0, y0, x1, y1
    picture: np.ndarray
    inner: tuple[tuple[slice, slice], ...]


@dataclass(frozen=True)
class Detail:
    """The sharpest place that covers at least 0.5 % of a photo. All values are in pixels of the photo."""

    sharpest_radius: float | None  # 0 = in focus at 1:1; None = larger than `SCALES` can measure, about 13 pixels
    sharpest_x0: int  # the place, for a crop at 1:1; x1 and y1 exclusive
    sharpest_y0: int
    sharpest_x1: int
    sharpest_y1: int
    sharp_view: int | None  # the largest view in which the place is in focus: the length of its long side


def take(rgb: np.ndarray, size: int) -> list[Place]:
    """Cut out the most detailed places of a photo, uint8 H×W×3; `size` is the side of the network's input."""
    return [_place(rgb, center, size) for center in _most_detailed(rgb)]


def judge(places: list[Place], maps: list[np.ndarray], scale: BlurScale, size: tuple[int, int]) -> Detail:
    """Measure the places and return the sharpest one.

    Args:
        maps: the network's map of each place's picture, float32 S×S.
        scale: the network's blur scale.
        size: (height, width) of the photo.
    """
    radii = [_radius(place, defocus, scale) for place, defocus in zip(places, maps, strict=True)]
    best = int(np.argmin(radii))
    radius, long = radii[best], max(size)
    if not np.isfinite(radius):
        return Detail(None, *places[best].box, None)
    view = long if radius <= scale.radius else round(long * scale.radius / radius)
    return Detail(round(radius, 3), *places[best].box, view)


def _radius(place: Place, defocus: np.ndarray, scale: BlurScale) -> float:
    """Return the radius of a place: 0 = in focus at 1:1, infinity = out of focus in all patches."""
    total, sure = 0.0, False
    for rows, columns in reversed(place.inner):  # from the coarsest patch to the finest, like `radius.blur_radius`
        found = np.median(defocus[rows, columns])
        share = 1.0 if sure else float(exceeded(found, scale))
        total = share + total * min(2 * share, 1)
        sure |= bool(found >= SURE)
    if total >= len(SCALES) - 0.5:
        return np.inf
    return 0.0 if total < 0.5 else scale.radius * 2 ** (total - 0.5)


def _place(rgb: np.ndarray, center: tuple[int, int], size: int) -> Place:
    height, width = rgb.shape[:2]
    tall, wide = _sides(height, width)
    y, x = _inside(center[0], tall, height), _inside(center[1], wide, width)
    picture, inner, side = np.zeros((size, size, 3), np.uint8), [], size // ACROSS
    for number, scale in enumerate(SCALES):
        patch, rows, columns = _patch(rgb, (y, y + tall), (x, x + wide), scale, side)
        top, left = number // ACROSS * side, number % ACROSS * side
        picture[top : top + side, left : left + side] = patch
        inner.append((slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop)))
    return Place((x, y, x + wide, y + tall), picture, tuple(inner))


def _patch(
    rgb: np.ndarray, tall: tuple[int, int], wide: tuple[int, int], scale: int, side: int
) -> tuple[np.ndarray, slice, slice]:
    """Return side×side pixels around the middle of a place at a scale, and which rows and columns show the place."""
    spans, inner = [], []
    for (first, last), length in ((tall, rgb.shape[0]), (wide, rgb.shape[1])):
        span = min(round(side * scale), length)
        start = _inside((first + last) // 2, span, length)
        shown = max(min(round(span / scale), side), 1)
        rim = round(RIM * shown)
        low, high = (min(max(round((edge - start) / scale), rim), shown - rim) for edge in (first, last))
        spans.append((slice(start, start + span), shown))
        inner.append(slice(min(low, shown - 1), max(high, low + 1)))
    (rows, h), (columns, w) = spans
    return _faded(lay_in(resize(rgb[rows, columns], h, w), side)), inner[0], inner[1]


def _faded(patch: np.ndarray) -> np.ndarray:
    """Fade the rim of a patch into its mean colour, because seams between patches would look like sharp edges."""
    side = len(patch)
    ramp = ((np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5) / (FADE * side)).clip(0, 1)
    share = np.outer(*[np.sin(ramp * np.pi / 2).astype(np.float32) ** 2] * 2)[..., None]
    return np.rint(patch * share + patch.mean((0, 1)) * (1 - share)).astype(np.uint8)


def _most_detailed(rgb: np.ndarray) -> list[tuple[int, int]]:
    """Return the centres (y, x) of the places with the most fine detail, which do not overlap; most detailed first."""
    height, width = rgb.shape[:2]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    edges = cv2.convertScaleAbs(cv2.Laplacian(cv2.GaussianBlur(grey, (3, 3), 0), cv2.CV_16S))
    cells = max(height // CELL, 1), max(width // CELL, 1)
    detail = resize(edges, *cells).astype(np.float32)
    tall, wide = (max(round(side / CELL), 1) for side in _sides(height, width))
    found = []
    mean = cv2.blur(detail, (wide, tall), borderType=cv2.BORDER_REFLECT)
    for _ in range(PLACES):
        y, x = np.unravel_index(mean.argmax(), mean.shape)
        found.append((int((y + 0.5) * height / cells[0]), int((x + 0.5) * width / cells[1])))
        mean[max(y - tall, 0) : y + tall + 1, max(x - wide, 0) : x + wide + 1] = -1
    return found


def _sides(height: int, width: int) -> tuple[int, int]:
    """Return height and width of a place: a square of `AREA`, or a longer rectangle where the photo is too narrow."""
    area = AREA * height * width
    tall = min(round(area**0.5), height)
    wide = min(round(area / max(tall, 1)), width)
    return max(min(round(area / max(wide, 1)), height), 1), max(wide, 1)


def _inside(middle: int, span: int, length: int) -> int:
    """Return the start of a span around `middle`, moved so that it lies within 0 … length."""
    return min(max(middle - span // 2, 0), length - span)
