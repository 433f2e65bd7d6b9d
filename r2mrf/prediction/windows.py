"""Divides a photo into overlapping windows of the network's input size, with the weights that blend their maps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np

OVERLAP = 4  # neighbouring windows share one fourth of their side
REMAPPED = 16_384  # columns at a time: cv2.remap takes fewer than 32,767


class Weights(NamedTuple):
    """Weights of a window along one axis, and their slopes; float32.

    At each pixel, the weights of all windows along the axis add up to 1 and their slopes to 0.
    """

    share: np.ndarray
    slope: np.ndarray


class Window(NamedTuple):
    """A window of a view: its rows and columns, and its weights along each of them."""

    rows: slice
    columns: slice
    down: Weights
    across: Weights

    @property
    def share(self) -> np.ndarray:
        """The weight at each pixel, float32 h×w in (0, 1]. The weights of all windows of a view add up to 1."""
        return np.outer(self.down.share, self.across.share)


def windows(height: int, width: int, size: int) -> Iterator[Window]:
    """Yield the windows of a view of height×width pixels, row by row.

    Their stride is fixed, so a photo and its crop by whole strides have the same windows; only the last one in a row
    or column ends where the view ends. Along an axis shorter than `size`, a single window covers the view.
    """
    rows, columns = list(_spans(height, size)), list(_spans(width, size))
    for (y, down), (x, across) in product(rows, columns):
        yield Window(slice(y, y + len(down.share)), slice(x, x + len(across.share)), down, across)


def count(height: int, width: int, size: int) -> int:
    """Return the number of windows that cover a view of height×width pixels."""
    return len(_starts(height, size)) * len(_starts(width, size))


def crop_map(coarse: np.ndarray, rows: slice, columns: slice, height: int, width: int) -> np.ndarray:
    """Return a part of a coarse map at the resolution of a height×width view; rows and columns are of that view.

    There may be as many columns as a panorama has, but only some thousand rows.
    """
    top, down = _places(coarse.shape[0], height, rows)
    pieces = []
    for start in range(columns.start, columns.stop, REMAPPED):
        left, across = _places(coarse.shape[1], width, slice(start, min(start + REMAPPED, columns.stop)))
        x, y = np.meshgrid(across, down)
        part = np.ascontiguousarray(coarse[top, left])
        pieces.append(cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.hstack(pieces) if len(pieces) > 1 else pieces[0]


def _spans(length: int, size: int) -> Iterator[tuple[int, Weights]]:
    """Yield start and weights of the windows along an axis."""
    starts, span = _starts(length, size), min(size, length)
    ramp = np.sin((np.arange(size // OVERLAP) + 0.5) / (size // OVERLAP) * np.pi / 2).astype(np.float32) ** 2
    shares = np.ones((len(starts), span), np.float32)
    for share, start in zip(shares, starts, strict=True):
        if start > 0:
            share[: len(ramp)] = ramp
        if start + span < length:
            share[-len(ramp) :] *= ramp[::-1]
    shares /= _at(starts, _sum(starts, shares, length), span)
    slopes = np.asarray(np.gradient(shares, axis=1)) if span > 1 else np.zeros_like(shares)
    slopes -= shares * _at(starts, _sum(starts, slopes, length), span)  # not 0 yet where a window ends
    for start, share, slope in zip(starts, shares, slopes, strict=True):
        yield start, Weights(share, slope)


def _sum(starts: list[int], values: np.ndarray, length: int) -> np.ndarray:
    """Add up what windows have along an axis, n×span -> float32 of `length`."""
    total = np.zeros(length, np.float32)
    for start, value in zip(starts, values, strict=True):
        total[start : start + len(value)] += value
    return total


def _at(starts: list[int], values: np.ndarray, span: int) -> np.ndarray:
    """Return the part of an axis that each window shows, n×span."""
    return np.stack([values[start : start + span] for start in starts])


def _starts(length: int, size: int) -> list[int]:
    if length <= size:
        return [0]
    return [*range(0, length - size, size - size // OVERLAP), length - size]


def _places(coarse: int, length: int, span: slice) -> tuple[slice, np.ndarray]:
    """Return the pixels of the coarse map that a span of the view needs, and the span's own positions among them."""
    places = (np.arange(span.start, span.stop, dtype=np.float32) + 0.5) * (coarse / length) - 0.5
    first, last = max(int(places[0]) - 1, 0), min(int(places[-1]) + 3, coarse)
    return slice(first, last), (places - first).astype(np.float32)
