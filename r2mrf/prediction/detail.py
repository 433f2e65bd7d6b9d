"""Measures how sharp a photo is at its sharpest place, with only one more run of the network.

    probe = make_probe(rgb, size=320)                         # without the network: views of the place, in one picture
    detail = judge(probe, defocus, blur_scale, (h, w))  # defocus: map of the picture; sharpest_radius, and where

`blur_radius` measures every pixel and examines every window, but bulk scoring only needs the sharpest place. It is
chosen by its fine detail. The network then sees it at eight views, half an octave apart, as patches of one picture. In
the middle of a patch its output is nearly the same as in a window of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.resize import lay_in, resize
from r2mrf.prediction.radius import exceeded
from r2mrf.prediction.views import SURE

AREA = 0.01  # share of the photo that the place covers; half of its pixels decide, which is the promised 0.5 %
STEP = 0.5  # octaves from patch to patch
ROWS, COLUMNS = 4, 2  # of patches in the picture
RIM = 0.05  # of the picture's side: the margin of a patch in which neighbouring patches may disturb the result
FADE = 0.045  # of the picture's side: the width over which a patch fades out
CELL = 8  # pixels of the halved photo: side of the squares in which detail is compared


@dataclass(frozen=True)
class Probe:
    """The place of a photo that is probably its sharpest, and a picture of it in several views.

    Attributes:
        picture: uint8 S×S×3.
        box: of the place, x0, y0, x1, y1 in pixels of the photo; x1 and y1 exclusive.
        inner: for each patch, from 1:1 on, the rows and columns of the picture that show the place and are not
            disturbed by other patches.
    """

    picture: np.ndarray
    box: tuple[int, int, int, int]
    inner: tuple[tuple[slice, slice], ...]


@dataclass(frozen=True)
class Detail:
    """The sharpest place that covers at least 0.5 % of a photo. All values are in pixels of the photo."""

    sharpest_radius: float | None  # 0 = in focus at 1:1; None = larger than the patches can measure, some 13 pixels
    sharpest_x0: int  # the place, for a crop at 1:1; x1 and y1 exclusive
    sharpest_y0: int
    sharpest_x1: int
    sharpest_y1: int
    sharp_view: int | None  # the largest view in which the place is in focus: the length of its long side


def make_probe(rgb: np.ndarray, size: int) -> Probe:
    """Cut out what is probably the sharpest place of a photo, uint8 H×W×3; `size` is the network's input size."""
    height, width = rgb.shape[:2]
    tall, wide = _sides(height, width)
    middle_y, middle_x = _most_detailed(rgb)
    y, x = _inside(middle_y, tall, height), _inside(middle_x, wide, width)
    picture, box = np.zeros((size, size, 3), np.uint8), (x, y, x + wide, y + tall)
    return Probe(picture, box, tuple(_patch(rgb, box, picture, number) for number in range(ROWS * COLUMNS)))


def judge(probe: Probe, defocus: np.ndarray, scale: BlurScale, size: tuple[int, int]) -> Detail:
    """Measure the place.

    Args:
        defocus: the network's map of the probe's picture, float32 S×S.
        scale: the network's blur scale.
        size: (height, width) of the photo.
    """
    steps, sure = 0.0, False
    for rows, columns in reversed(probe.inner):  # from the coarsest patch to the finest, like `radius.blur_radius`
        found = np.median(defocus[rows, columns])
        share = 1.0 if sure else float(exceeded(found, scale))
        steps = share + steps * min(2 * share, 1)
        sure |= bool(found >= SURE)
    if steps >= len(probe.inner) - 0.5:
        return Detail(None, *probe.box, None)
    radius, long = scale.radius * 2 ** ((steps - 0.5) * STEP), max(size)
    if steps < 0.5:
        return Detail(0.0, *probe.box, long)
    return Detail(round(radius, 3), *probe.box, round(long * scale.radius / radius))


def _patch(rgb: np.ndarray, box: tuple[int, int, int, int], picture: np.ndarray, number: int) -> tuple[slice, slice]:
    """Paint the middle of a place into the picture at one view.

    Args:
        number: of the patch: 0 is at 1:1, and each is `STEP` octaves coarser than the one before.

    Returns:
        The rows and columns of the picture that show the place.
    """
    size, scale = len(picture), 2 ** (STEP * number)
    spans, inner = [], []
    for axis, parts in ((0, ROWS), (1, COLUMNS)):
        first, last, length, side = box[1 - axis], box[3 - axis], rgb.shape[axis], size // parts
        span = min(round(side * scale), length)
        start = _inside((first + last) // 2, span, length)
        shown = max(min(round(span / scale), side), 1)
        rim = min(round(RIM * size), shown // 4)
        low, high = (min(max(round((edge - start) / scale), rim), shown - rim) for edge in (first, last))
        corner = (number // COLUMNS, number % COLUMNS)[axis] * side
        spans.append((slice(start, start + span), shown, slice(corner, corner + side)))
        inner.append(slice(corner + min(low, shown - 1), corner + max(high, low + 1)))
    (rows, h, down), (columns, w, across) = spans
    tall, wide = size // ROWS, size // COLUMNS
    patch = lay_in(resize(rgb[rows, columns], h, w), max(tall, wide))[:tall, :wide]
    picture[down, across] = _faded(patch, FADE * size)
    return inner[0], inner[1]


def _faded(patch: np.ndarray, width: float) -> np.ndarray:
    """Fade the rim of a patch into its mean colour, because seams between patches would look like sharp edges."""
    shares = []
    for side in patch.shape[:2]:
        ramp = ((np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5) / width).clip(0, 1)
        shares.append(np.sin(ramp * np.pi / 2).astype(np.float32) ** 2)
    share = np.outer(*shares)[..., None]
    return np.rint(patch * share + patch.mean((0, 1)) * (1 - share)).astype(np.uint8)


def _most_detailed(rgb: np.ndarray) -> tuple[int, int]:
    """Return the centre (y, x) of the place with most fine detail.

    Fine detail in proportion to coarse detail would find faint places better, but it also finds noise.
    """
    height, width = rgb.shape[:2]
    half = max(height // 2, 1), max(width // 2, 1)  # a quarter of the work, and less noise
    grey = resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), *half)
    edges = cv2.convertScaleAbs(cv2.Laplacian(grey, cv2.CV_16S))
    cells = max(half[0] // CELL, 1), max(half[1] // CELL, 1)
    tall, wide = (max(round(side / (2 * CELL)), 1) for side in _sides(height, width))
    detail = cv2.blur(resize(edges, *cells).astype(np.float32), (wide, tall), borderType=cv2.BORDER_REFLECT)
    y, x = np.unravel_index(detail.argmax(), cells)
    return int((y + 0.5) * height / cells[0]), int((x + 0.5) * width / cells[1])


def _sides(height: int, width: int) -> tuple[int, int]:
    """Return height and width of a place: a square of `AREA`, or a longer rectangle where the photo is too narrow."""
    area = AREA * height * width
    tall = min(round(area**0.5), height)
    wide = min(round(area / max(tall, 1)), width)
    return max(min(round(area / max(wide, 1)), height), 1), max(wide, 1)


def _inside(middle: int, span: int, length: int) -> int:
    """Return the start of a span around `middle`, moved so that it lies within 0 … length."""
    return min(max(middle - span // 2, 0), length - span)
