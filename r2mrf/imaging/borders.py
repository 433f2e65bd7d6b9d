"""Finds borders of one colour around a picture: mats, letterboxes, the white or black around a product."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ALIKE = 6  # grey levels per channel by which pixels of one border may differ, because JPEG changes them a little
ABRUPT, WITHIN = 24, 16  # a border ends in a step of this many grey levels within this many pixels; a sky does not
EDGE = 2  # pixels next to a border that are cut off with it, because its edge may have been smoothed
LEAST_CUT, LEAST_LEFT = 0.01, 0.2  # shares of a side: the least that counts as a border, the least that must remain


class Box(NamedTuple):
    """A region of a picture in pixels; x1 and y1 are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Return the region of H×W[×C] as a view."""
        return pixels[self.y0 : self.y1, self.x0 : self.x1]

    def scaled(self, size: tuple[int, int], to: tuple[int, int]) -> Box:
        """Return the region, at least one pixel wide and high, for the picture resized to (height, width) = `to`."""
        (height, width), (h, w) = size, to
        x0, y0 = min(self.x0 * w // width, w - 1), min(self.y0 * h // height, h - 1)
        return Box(x0, y0, max(-(-self.x1 * w // width), x0 + 1), max(-(-self.y1 * h // height), y0 + 1))


def inside_borders(rgb: np.ndarray) -> Box:
    """Return the region of a picture, uint8 H×W×3, inside its borders; the whole picture if it has none.

    Each side may have a border in its own colour. A picture that is nearly all border is left as it is.
    """
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = 0, 0, width, height
    for _ in range(2):  # twice, for a letterbox inside a mat
        y0, y1 = _trimmed(rgb[:, x0:x1], y0, y1)
        across = rgb[y0:y1].swapaxes(0, 1)
        x0, x1 = _trimmed(across, x0, x1)
    if (x1 - x0) < LEAST_LEFT * width or (y1 - y0) < LEAST_LEFT * height:
        return Box(0, 0, width, height)
    return Box(x0, y0, x1, y1)


def _trimmed(lines: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """Return start and end without the lines of one colour at both ends of lines[start:end], lines being N×L×3."""
    least = LEAST_CUT * len(lines)
    first = start + _uniform(lines[start:end])
    if first == end:  # all lines are border
        return start, end
    last = end - _uniform(lines[start:end][::-1])
    new_start = first + EDGE if first - start >= least else start
    new_end = last - EDGE if end - last >= least else end
    return (new_start, new_end) if new_end > new_start else (start, end)


def _uniform(lines: np.ndarray) -> int:
    """Return how many of the first lines are a border; 0 if their colour fades slowly instead of ending abruptly.

    JPEG may have disturbed some lines between the border and the first line with contrast.
    """
    colour = np.median(lines[0], axis=0)
    count = 0
    for line in lines:
        if np.abs(line - colour).max() > ALIKE / 2:
            break
        count += 1
    if count in (0, len(lines)):
        return count
    beside = lines[count - 1 : count + WITHIN].astype(np.int16)
    ends = np.abs(np.diff(beside, axis=0)).max(axis=(1, 2)) >= ABRUPT
    return count + int(ends.argmax()) if ends.any() else 0
