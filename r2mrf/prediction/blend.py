"""Joins the maps of overlapping windows into one map in which the windows' edges do not show.

    blend = Blend((height, width), size)
    for window in windows(height, width, size):
        blend.add(window, defocus)              # float32 h×w in [0, 1]
    defocus = blend.defocus()                   # float32 height×width

Where there is nothing to tell focus by, such as in a clear sky, neighbouring windows may contradict each other, and a
weighted mean passes from one to the other within their overlap: a square shows. Its sides are a gradient that no window
contains, the sum of each window's logit times the gradient of its weight. A correction c cancels that gradient s
wherever it can without growing large: it minimises the sum of |grad c + s|² + (c / REACH)², which is a screened Poisson
equation. So the passage takes more than a window instead of an overlap, and what the windows agree on does not change.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from r2mrf.prediction.windows import Window, crop_map

CELLS = 20  # per window side; the correction is smooth, so it is computed on a grid of cells
REACH = CELLS / 2  # cells over which a correction fades
CERTAIN = 4.0  # logit from which windows do not contradict each other by being more certain (p = 0.982)
STRIP = 256  # rows to process at a time


class Blend:
    """Collects the maps of a view's windows. It holds one map of the view's size, and little else."""

    def __init__(self, size: tuple[int, int], side: int):
        """Begin a view of `size` (height, width) whose windows have `side`."""
        self._logits = np.zeros(size, np.float32)
        self._cell = max(side // CELLS, 1)
        grid = [-(-length // self._cell) for length in size]
        self._down, self._across = np.zeros(grid, np.float32), np.zeros(grid, np.float32)

    def add(self, window: Window, defocus: np.ndarray) -> None:
        """Add the map of a window, float32 h×w in [0, 1]."""
        logits = to_logits(defocus)
        self._logits[window.rows, window.columns] += window.share * logits
        logits = logits.clip(-CERTAIN, CERTAIN)
        cells = self._cells(window.rows), self._cells(window.columns)
        self._down[cells] += self._over_cells(logits, window, window.down.slope, window.across.share)
        self._across[cells] += self._over_cells(logits, window, window.down.share, window.across.slope)

    def defocus(self) -> np.ndarray:
        """Return the map, float32 height×width in [0, 1]. It takes the place of what was collected: call this once."""
        height, width = self._logits.shape
        correction = _solve(self._down * self._cell, self._across * self._cell)
        covered = correction.shape[0] * self._cell, correction.shape[1] * self._cell
        for rows in strips(height):
            part = self._logits[rows]
            part += crop_map(correction, rows, slice(0, width), *covered)
            part[:] = 1 / (1 + np.exp(-part))
        return self._logits

    def _cells(self, span: slice) -> slice:
        return slice(span.start // self._cell, -(-span.stop // self._cell))

    def _over_cells(self, values: np.ndarray, window: Window, down: np.ndarray, across: np.ndarray) -> np.ndarray:
        """Return the weighted mean of a window's values in each of its cells."""
        for span, weights in ((window.rows, down), (window.columns, across)):
            cells = self._cells(span)
            first = np.maximum(np.arange(cells.start, cells.stop) * self._cell - span.start, 0)
            values = np.add.reduceat(values * weights[:, None], first, axis=0).T / self._cell
        return values


def to_logits(defocus: np.ndarray) -> np.ndarray:
    """Return the logits of probabilities, at most 16 either way; float32."""
    certain = defocus.clip(1e-7, 1 - 1e-7)
    return np.log(certain / (1 - certain)).astype(np.float32, copy=False)


def strips(height: int) -> Iterator[slice]:
    """Yield the rows of a large map in parts, so that what is computed from it needs little memory."""
    for start in range(0, height, STRIP):
        yield slice(start, min(start + STRIP, height))


def _solve(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return the c that minimises the sum of |grad c + s|² + (c / REACH)², for s in cells, float32 h×w each.

    The cosine transform diagonalises it, since c has no slope at the borders of the photo.
    """
    source = _divergence(down) + _divergence(across.T).T
    if not source.any():
        return source
    height, width = source.shape
    even = cv2.copyMakeBorder(source, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)  # all that cv2.dct takes
    y, x = (2 - 2 * np.cos(np.pi * np.arange(n, dtype=np.float32) / n) for n in even.shape)
    return np.asarray(cv2.idct(cv2.dct(even) / (y[:, None] + x + 1 / REACH**2))[:height, :width])


def _divergence(slopes: np.ndarray) -> np.ndarray:
    """Return the change of slopes along the first axis, from one boundary of a cell to the other."""
    between = (slopes[1:] + slopes[:-1]) / 2
    return np.diff(np.pad(between, ((1, 1), (0, 0))), axis=0)
