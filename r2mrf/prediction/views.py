"""Maps a photo at a chosen size, from coarse to fine, in windows that the network sees at their own resolution.

    analyser = Predictor.load("lite")
    defocus = at_view(analyser, rgb, "full")    # uint8 H×W×3 -> float32 H×W, 1 = out of focus at 1:1

By optics, whatever is out of focus in a small view is also out of focus in every larger one. This decides which windows
of the next view need to be run, and removes the specks that noise and JPEG blocks leave at 1:1. Smooth surfaces, whose
fine texture only a larger view shows, are the exception: a small view calls them blurred, but without certainty, so the
larger view overrules it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from r2mrf.errors import UserError
from r2mrf.imaging.resize import lay_in, resize
from r2mrf.prediction.blend import Blend
from r2mrf.prediction.windows import Window, crop_map, windows

if TYPE_CHECKING:
    from r2mrf.prediction.analyser import Analyser

View = str | int  # whole, full, or pixels along the long side
BATCH = 4  # windows per call of the engine; eight at a time took 270 MB more

# A region that a view finds out of focus with this probability stays so in all larger views; elsewhere the larger view
# decides. Of five rules that were tried on partly blurred photographs, this one was wrong least often.
SURE = 0.95
UNSURE = 0.9  # below this probability the larger view alone decides; in between, both do


def parse(view: View) -> View:
    """Check a view; convert a number of pixels to int.

    Raises:
        UserError: it is neither whole, nor full, nor a number of at least 64 pixels.
    """
    if view in ("whole", "full"):
        return view
    if not re.fullmatch(r"\d{1,9}", str(view)) or int(view) < 64:
        raise UserError(f"view {view}: give whole, full, or the length of the long side in pixels (64 or more)")
    return int(view)


def at_view(analyser: Analyser, rgb: np.ndarray, view: View) -> np.ndarray:
    """Return the map of a photo at a view: uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused.

    Besides the photo and the map, only the photo at this view and a few windows are kept in memory.

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
        return resize(analyser.whole(rgb), height, width).clip(0, 1)
    defocus = resize(defocus, height, width)
    return defocus.clip(0, 1, out=defocus)  # a copy of a large map would take more memory than the photo


def sizes(height: int, width: int, least: int, view: View) -> list[tuple[int, int]]:
    """Return (height, width) of the views after the whole photo, up to `view`; each is twice the one before.

    The list is empty for `whole`. If the photo fits into one window, it holds one size, at most `least`.
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
    """Map a view window by window, skipping windows that a smaller view found certainly out of focus.

    Args:
        pixels: the photo at this view, uint8 h×w×3.
        coarse: the map of a smaller view, of any size; None if there is none.

    Returns:
        float32 h×w in [0, 1].
    """
    blend = Blend(pixels.shape[:2], analyser.preprocess.size)
    for window, found, before in seen_windows(analyser, pixels, coarse):
        blend.add(window, found if before is None else found + _kept(before) * (before - found).clip(0))
    return blend.defocus()


def _kept(before: np.ndarray) -> np.ndarray:
    """Return how far a smaller view prevails where it finds more blur: 1 where it is `SURE`, 0 below `UNSURE`."""
    return ((before - UNSURE) / (SURE - UNSURE)).clip(0, 1)


class SeenWindow(NamedTuple):
    """A window of a view, with the network's map of it and the smaller view's map of the same region, float32 h×w each.

    If the window was skipped, `found` is `before`; without a smaller view, `before` is None.
    """

    window: Window
    found: np.ndarray
    before: np.ndarray | None


def seen_windows(analyser: Analyser, pixels: np.ndarray, coarse: np.ndarray | None) -> Iterator[SeenWindow]:
    """Yield each window of a view, in any order. The arguments are those of `refine`."""
    height, width = pixels.shape[:2]
    batch: list[tuple[Window, np.ndarray | None]] = []
    for window in windows(height, width, analyser.preprocess.size):
        before = None if coarse is None else crop_map(coarse, window.rows, window.columns, height, width)
        if before is not None and before.min() >= SURE:
            yield SeenWindow(window, before, before)
            continue
        batch.append((window, before))
        if len(batch) == BATCH:
            yield from _analysed(analyser, pixels, batch)
            batch = []
    if batch:
        yield from _analysed(analyser, pixels, batch)


def _analysed(
    analyser: Analyser, pixels: np.ndarray, batch: list[tuple[Window, np.ndarray | None]]
) -> Iterator[SeenWindow]:
    """Run the network on a batch of windows."""
    crops = [lay_in(pixels[window.rows, window.columns], analyser.preprocess.size) for window, _ in batch]
    for (window, before), analysis in zip(batch, analyser.analyse_batch(np.stack(crops)), strict=True):
        height, width = len(window.down.share), len(window.across.share)
        yield SeenWindow(window, analysis.defocus[:height, :width], before)
