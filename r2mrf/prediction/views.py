"""Looks at a photo at a chosen size, coarse to fine, in windows that the network sees at their own resolution.

    analyser = Predictor.load("lite")
    defocus = at_view(analyser, rgb, "full")    # uint8 H×W×3 -> float32 H×W, 1 = out of focus at 1:1

By optics, what is out of focus in a small view is so in every larger one. That decides which windows of the next view
are worth a look, and it removes specks that noise and JPEG blocks leave at 1:1. Smooth things, whose fine texture only
a larger view shows, are the exception: a small view calls them blurred without being sure, and is overruled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from r2mrf.errors import UserError
from r2mrf.imaging.resize import lay_in, resize
from r2mrf.prediction.windows import Window, windows

if TYPE_CHECKING:
    from r2mrf.prediction.analyser import Analyser

View = str | int  # whole, full, or pixels along the long side
BATCH = 8  # windows that the engine gets at a time

# What a view finds out of focus with this probability is so in all larger ones; of the rest the larger view decides.
# Of five rules this one was right most often on photographs blurred in part (docs/method.md).
SURE = 0.95


def parse(view: View) -> View:
    """Check a view, and turn one that is written as a number into pixels.

    Raises:
        UserError: it is neither whole, nor full, nor a number of pixels from 64 on.
    """
    if view in ("whole", "full"):
        return view
    if not re.fullmatch(r"\d{1,9}", str(view)) or int(view) < 64:
        raise UserError(f"view {view}: give whole, full, or how many pixels (64 or more) the long side shall have")
    return int(view)


def at_view(analyser: Analyser, rgb: np.ndarray, view: View) -> np.ndarray:
    """Return the map of a photo at a view: uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused.

    Beside the photo and the map, memory holds the photo at this view and a few windows.

    Raises:
        UserError: as `parse`.
    """
    view, (height, width) = parse(view), rgb.shape[:2]
    defocus = None
    for h, w in sizes(height, width, analyser.preprocess.size, view):
        if defocus is None and max(h, w) > analyser.preprocess.size:
            defocus = analyser.whole(rgb)
        defocus = refine(analyser, resize(rgb, h, w), defocus)
    if defocus is None:
        defocus = analyser.whole(rgb)
    return resize(defocus, height, width).clip(0, 1)


def sizes(height: int, width: int, least: int, view: View) -> list[tuple[int, int]]:
    """Return (height, width) of the views from the one behind the whole photo to `view`, each twice the one before.

    The list is empty for `whole`, and holds one size, no longer than `least`, where the photo fits into one window.
    """
    if view == "whole":
        return []
    long = max(height, width)
    finest = long if view == "full" else min(int(view), long)
    scales = [finest / long]
    while scales[0] * long / 2 > least:
        scales.insert(0, scales[0] / 2)
    return [(max(round(height * s), 1), max(round(width * s), 1)) for s in scales]


def refine(analyser: Analyser, pixels: np.ndarray, coarse: np.ndarray | None) -> np.ndarray:
    """Map a view by windows, passing over those that a smaller view found surely out of focus.

    Args:
        pixels: the photo at this view, uint8 h×w×3.
        coarse: the map of a smaller view, of any size; None if there is none.

    Returns:
        float32 h×w in [0, 1].
    """
    defocus = np.zeros(pixels.shape[:2], np.float32)
    for look in looks(analyser, pixels, coarse):
        before = look.before
        found = look.found if before is None else np.where(before >= SURE, before, look.found)
        defocus[look.window.rows, look.window.columns] += look.window.share * found
    return defocus.clip(0, 1, out=defocus)


class Look(NamedTuple):
    """A window of a view, with what the network finds in it and what the smaller view found there, float32 h×w each.

    `found` is `before` where the window was passed over; `before` is None where there is no smaller view.
    """

    window: Window
    found: np.ndarray
    before: np.ndarray | None


def looks(analyser: Analyser, pixels: np.ndarray, coarse: np.ndarray | None) -> Iterator[Look]:
    """Yield each window of a view, in any order; arguments as of `refine`."""
    height, width = pixels.shape[:2]
    batch: list[tuple[Window, np.ndarray | None]] = []
    for window in windows(height, width, analyser.preprocess.size):
        before = None if coarse is None else cut(coarse, window, height, width)
        if before is not None and before.min() >= SURE:
            yield Look(window, before, before)
            continue
        batch.append((window, before))
        if len(batch) == BATCH:
            yield from _analysed(analyser, pixels, batch)
            batch = []
    if batch:
        yield from _analysed(analyser, pixels, batch)


def _analysed(analyser: Analyser, pixels: np.ndarray, batch: list[tuple[Window, np.ndarray | None]]) -> Iterator[Look]:
    """Run the network on a batch of windows."""
    cuts = [lay_in(pixels[window.rows, window.columns], analyser.preprocess.size) for window, _ in batch]
    for (window, before), analysis in zip(batch, analyser.analyse_batch(np.stack(cuts)), strict=True):
        height, width = window.share.shape
        yield Look(window, analysis.defocus[:height, :width], before)


def cut(coarse: np.ndarray, window: Window, height: int, width: int) -> np.ndarray:
    """Return the part of a smaller view's map that a window of the view of height×width shows, at its resolution."""
    top, down = _span(coarse.shape[0], height, window.rows)
    left, across = _span(coarse.shape[1], width, window.columns)
    x, y = np.meshgrid(across, down)
    return cv2.remap(np.ascontiguousarray(coarse[top, left]), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _span(coarse: int, length: int, span: slice) -> tuple[slice, np.ndarray]:
    """Return the pixels of the smaller map's axis that a window needs, and where among them its own pixels lie."""
    places = (np.arange(span.start, span.stop, dtype=np.float32) + 0.5) * (coarse / length) - 0.5
    first, last = max(int(places[0]) - 1, 0), min(int(places[-1]) + 3, coarse)
    return slice(first, last), (places - first).astype(np.float32)
