"""Divides a photo into overlapping windows of the network's input size, with the weights that blend their maps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

OVERLAP = 4  # neighbouring windows share one fourth of their side


class Window(NamedTuple):
    """A window of a view: its rows and columns, and its weight at each pixel, float32 h×w in (0, 1].

    The weights of all windows of a view add up to 1 everywhere.
    """

    rows: slice
    columns: slice
    share: np.ndarray


def windows(height: int, width: int, size: int) -> Iterator[Window]:
    """Yield the windows of a view of height×width pixels, row by row.

    Their stride is fixed, so a photo and its crop by whole strides have the same windows; only the last one in a row
    or column ends where the view ends. Along an axis shorter than `size`, a single window covers the view.
    """
    rows, columns = list(_spans(height, size)), list(_spans(width, size))
    for (y, down), (x, across) in product(rows, columns):
        yield Window(slice(y, y + len(down)), slice(x, x + len(across)), np.outer(down, across))


def count(height: int, width: int, size: int) -> int:
    """Return the number of windows that cover a view of height×width pixels."""
    return len(_starts(height, size)) * len(_starts(width, size))


def _spans(length: int, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield start and weights of the windows along an axis; the weights of a pixel add up to 1."""
    starts, span = _starts(length, size), min(size, length)
    ramp = np.sin((np.arange(size // OVERLAP) + 0.5) / (size // OVERLAP) * np.pi / 2).astype(np.float32) ** 2
    shares = np.ones((len(starts), span), np.float32)
    total = np.zeros(length, np.float32)
    for share, start in zip(shares, starts, strict=True):
        if start > 0:
            share[: len(ramp)] = ramp
        if start + span < length:
            share[-len(ramp) :] *= ramp[::-1]
        total[start : start + span] += share
    for share, start in zip(shares, starts, strict=True):
        yield start, share / total[start : start + span]


def _starts(length: int, size: int) -> list[int]:
    if length <= size:
        return [0]
    return [*range(0, length - size, size - size // OVERLAP), length - size]
